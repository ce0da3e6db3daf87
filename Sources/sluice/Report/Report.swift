import BytePath
import Endpoints
import Synchronization

/// The sole writer of results: one JSON line each, in one `write`, so that a line is whole even if the process is killed next.
///
/// What counts is the object: if a result can't be written the run goes on, says what the result would have said, and ends with the status of
/// an error in writing. Nobody wants results on a standard output that was closed from the start.
final class Report: Sendable {
  /// Nil if nobody wants the results.
  private let output: Descriptor?
  private let name: String
  private let messages: Messages
  private let error = Mutex<SystemError?>(nil)

  /// - Parameters:
  ///   - path: the `--result` file, made anew; nil for standard output.
  ///   - isOutputFree: whether nothing else goes to standard output.
  /// - Throws: `usage` if the file can't be written.
  init(path: String?, isOutputFree: Bool = true, _ messages: Messages) throws(Failure) {
    self.messages = messages
    guard let path else {
      output = isOutputFree && Report.isOutputWanted ? Descriptor(adopting: STDOUT_FILENO) : nil
      name = "standard output"
      return
    }
    name = path
    do throws(SystemError) {
      output = try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o666)
    } catch {
      throw Failure(.usage, "cannot write the results to \(path): \(error.words)")
    }
  }

  /// False for one that is open for reading alone, as `Main` opens one that was closed.
  static var isOutputWanted: Bool { fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE != O_RDONLY }

  /// Prints the line of an outcome, and what went wrong for people. A usage error has no line, also one that a plugin alone could see.
  func tell(_ outcome: some ReportedOutcome, _ messages: Messages) {
    let isWritten = outcome.failure?.kind == .usage || line(outcome.json.text)
    guard var failure = outcome.failure else {
      if !isWritten { tellOfUnwritten(outcome) }
      return
    }
    failure.message = "\(outcome.name): \(failure.message)"
    messages.failure(failure)
  }

  /// Said with `-q` too: nothing else tells that the object is there.
  private func tellOfUnwritten(_ outcome: some ReportedOutcome) {
    let words = error.withLock { $0?.words } ?? ""
    messages.failure(Failure(.spool, "\(outcome.name): \(outcome.success), but the result could not be written to \(name): \(words)"))
  }

  /// Prints a line.
  ///
  /// - Returns: false if it could not be written.
  @discardableResult
  func line(_ json: String) -> Bool {
    guard let output else { return true }
    let failed = messages.withoutProgress { () -> SystemError? in
      do throws(SystemError) {
        try messages.write(json + "\n", to: output)
        return nil
      } catch {
        return error
      }
    }
    if let failed { error.withLock { $0 = $0 ?? failed } }
    return failed == nil
  }

  /// The exit status of a run that would end with `status`: that of an error in writing where all else went well but not all was written.
  func exitStatus(_ status: Int32) -> Int32 {
    guard status == 0, error.withLock({ $0 }) != nil else { return status }
    return Failure.Kind.spool.exitStatus(signal: nil)
  }

  /// As `exitStatus`, for lists, where no line has told of it before.
  func endOfList(_ status: Int32) -> Int32 {
    if let error = error.withLock({ $0 }) {
      messages.failure(Failure(.spool, "cannot write to \(name): \(error.words)"))
    }
    return exitStatus(status)
  }
}

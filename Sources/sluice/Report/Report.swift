import BytePath
import Synchronization

/// The sole writer of results: one JSON line each, in one `write`, so that a line is whole even if the process is killed next.
final class Report: Sendable {
  private let output: Descriptor
  private let name: String
  private let messages: Messages
  private let isBroken = Mutex(false)

  /// - Parameter path: the `--result` file, made anew; nil for standard output.
  /// - Throws: `usage` if the file can't be written.
  init(path: String?, _ messages: Messages) throws(Failure) {
    self.messages = messages
    guard let path else {
      output = Descriptor(adopting: STDOUT_FILENO)
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

  /// Prints the line of an outcome, and what went wrong for people. A usage error has no line, also one that a plugin alone could see.
  func tell(_ outcome: Outcome, _ messages: Messages) {
    if outcome.failure?.kind != .usage { line(outcome.json) }
    guard var failure = outcome.failure else { return }
    failure.message = "\(outcome.destination): \(failure.message)"
    messages.failure(failure)
  }

  /// Prints a line. If nobody reads it any more the run goes on: what counts is the object.
  func line(_ json: String) {
    let error = messages.withoutProgress { () -> SystemError? in
      do throws(SystemError) {
        try output.writeAll(json + "\n")
        return nil
      } catch {
        return error
      }
    }
    if let error {
      let isFirst = isBroken.withLock { isBroken in
        defer { isBroken = true }
        return !isBroken
      }
      if isFirst { messages.warning("cannot write results to \(name): \(error.words)") }
    }
  }
}

import BytePath
import Endpoints
import Synchronization

/// The sole writer of standard error: lines that begin with the program's name, and the lines of progress below them.
final class Messages: Sendable {
  enum Verbosity: Int, Sendable, Comparable {
    case quiet, normal, verbose
    static func < (one: Verbosity, other: Verbosity) -> Bool { one.rawValue < other.rawValue }
  }

  private struct State {
    var verbosity = Verbosity.normal
    var progress: [String] = []

    /// Takes the lines of progress away: the cursor is at the end of the last one.
    var erasure: String {
      guard !progress.isEmpty else { return "" }
      return progress.count == 1 ? "\r\u{1b}[K" : "\u{1b}[\(progress.count - 1)A\r\u{1b}[J"
    }
  }

  private let state = Mutex(State())
  private let output = Descriptor(adopting: STDERR_FILENO)
  /// Nil if the process was started without room for descriptors.
  private let interrupt = try? Interrupt()

  var verbosity: Verbosity {
    get { state.withLock { $0.verbosity } }
    set { state.withLock { $0.verbosity = newValue } }
  }

  /// What went wrong, what is left where, and what to do next.
  func failure(_ failure: Failure) {
    let lines = [failure.message] + (failure.hint.map { ["hint: \($0)"] } ?? [])
    let unnamed = failure.left.filter { failure.hint?.contains($0) != true }
    write(lines + (unnamed.isEmpty ? [] : ["left there: \(unnamed.joined(separator: ", "))"]))
  }

  /// What to do next, as the last line of a run: said also to who wants to hear of errors alone.
  func advice(_ text: String) { write([text]) }

  func warning(_ text: String) {
    if verbosity >= .normal { write(["warning: \(text)"]) }
  }

  func note(_ text: String) {
    if verbosity >= .normal { write([text]) }
  }

  func detail(_ text: String) {
    if verbosity >= .verbose { write([text]) }
  }

  /// A line of JSON for `--progress json`.
  func json(_ line: JSONValue) {
    state.withLock { _ in put(line.text + "\n") }
  }

  /// Replaces the lines of progress; none removes them.
  func progress(_ lines: [String]) {
    state.withLock { state in
      guard lines != state.progress else { return }
      let erasure = state.erasure
      state.progress = lines
      put(erasure + lines.joined(separator: "\n"))
    }
  }

  /// Takes the lines of progress away while something else is written to what may be the same terminal.
  func withoutProgress<Result>(_ body: () -> Result) -> Result {
    state.withLock { state in
      put(state.erasure)
      defer { put(state.progress.joined(separator: "\n")) }
      return body()
    }
  }

  private func write(_ lines: [String]) {
    let text = lines.map { "sluice: \(Messages.printable($0))\n" }.joined()
    withoutProgress { put(text) }
  }

  /// Nobody may be listening any more, and the run goes on all the same.
  private func put(_ text: String) {
    guard !text.isEmpty else { return }
    _ = try? write(text, to: output)
  }

  /// Writes a text to a pipe, terminal or file. After a signal it does not wait for a reader any more.
  ///
  /// - Throws: `EINTR` if the text could not be written to its end without waiting.
  func write(_ text: String, to output: Descriptor) throws(SystemError) {
    guard let interrupt else { return try output.writeAll(text) }
    guard try interrupt.writeAll(text, to: output) else { throw SystemError("write", EINTR) }
  }

  /// Ends every wait for a reader, now and later.
  func stopWaiting() { interrupt?.trigger() }

  /// Messages hold names and servers' words. Control characters in them are shown, not obeyed, and none can begin a line of its own.
  static func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: \.isObeyed) else { return text }
    return text.unicodeScalars.map { $0.isObeyed ? "\\u{\(String($0.value, radix: 16))}" : String($0) }.joined()
  }
}

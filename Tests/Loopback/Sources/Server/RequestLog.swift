/// The file that `--log` names. One write per line; O_APPEND keeps the lines of several tasks apart.
final class RequestLog: Sendable {
  private let descriptor: CInt

  init(_ path: String) throws(FileError) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError("open", path) }
  }

  func append(_ entry: LogEntry) {
    StandardError.write(entry.json.text + "\n", to: descriptor)
  }
}

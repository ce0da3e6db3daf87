import BytePath
import Synchronization

/// The copy of the input that `--tee` writes to standard output. It never stands in the way of the upload.
final class InputCopy: Sendable {
  private let messages: Messages
  private let isCut = Mutex(false)

  init(_ messages: Messages) {
    self.messages = messages
  }

  /// The copy ends before the input does. A reader that goes away has had enough, as `head` has, and a standard output that is closed has none;
  /// anything else, such as a full disk, cuts what somebody will take for the whole.
  func ended(_ error: SystemError) {
    let what = "cannot write to standard output: \(error.words)"
    guard error.code != EPIPE, error.code != EBADF else { return messages.warning("\(what); the copy ends there") }
    isCut.withLock { $0 = true }
    messages.failure(Failure(.spool, "\(what); the copy is cut there, and the upload goes on"))
  }

  /// The exit status of a run that would end with `status`.
  func exitStatus(_ status: Int32) -> Int32 {
    status == 0 && isCut.withLock { $0 } ? Failure.Kind.spool.exitStatus(signal: nil) : status
  }
}

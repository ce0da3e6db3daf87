import Synchronization

/// Whether the kernel can send a file to a socket by itself, which not every file system and not every kernel lets it do (`EINVAL` and `ENOSYS` of
/// sendfile(2): FUSE, overlays of some containers, gVisor). Asked before the first byte goes, as a connection does not outlive the error.
final class KernelSending: Sendable {
  private struct State {
    var isPossible: Bool?
    var error: CInt?
  }

  private let state = Mutex(State())

  /// Asks once, by having a byte of the file sent to a pipe.
  func isPossible(_ file: Descriptor) -> Bool {
    state.withLock { state in
      if let known = state.isPossible { return known }
      let isPossible = KernelSending.ask(file)
      state.isPossible = isPossible
      return isPossible
    }
  }

  private static func ask(_ file: Descriptor) -> Bool {
    #if os(Linux)
      guard let pipe = try? Descriptor.pipe() else { return true }
      var offset: off_t = 0
      return sendfile(pipe.write.raw, file.raw, &offset, 1) >= 0
    #else
      return true
    #endif
  }

  func note(_ error: CInt) {
    state.withLock { state in
      if KernelSending.isRefusal(error) { state.isPossible = false }
      if KernelSending.isRefusal(error) || error == EIO { state.error = error }
    }
  }

  func takeError() -> CInt? {
    state.withLock { state in
      defer { state.error = nil }
      return state.error
    }
  }

  static func isRefusal(_ error: CInt) -> Bool { [EINVAL, ENOSYS, EOPNOTSUPP].contains(error) }
}

extension Payload {
  /// Whether the kernel can send its bytes to a socket from where they lie; otherwise they must be read, hashed if need be, and written.
  public var isSentByKernel: Bool { !isHashedWhileSent && kernelSending.isPossible(descriptor) }

  /// Notes with which `errno` the kernel has ended sending it.
  public func noteKernelError(_ error: CInt) { kernelSending.note(error) }

  /// The failure that the error noted last stands for, once; nil if there was none, or one of the connection.
  public func takeKernelFailure() -> Failure? {
    guard let code = kernelSending.takeError() else { return nil }
    let words = SystemError("sendfile", code).words
    // The next attempt reads and writes.
    return KernelSending.isRefusal(code)
      ? Failure(failureKind, "the system does not send \(name) by itself: \(words)", retryable: true)
      : Failure(failureKind, "cannot read \(name): \(words)")
  }
}

/// A switch that ends the waiting of threads that read from descriptors: `read(2)` itself knows nothing of a cancelled task.
public final class Interrupt: Sendable {
  private let ends: (read: Descriptor, write: Descriptor)

  /// - Throws: a failure of kind `spool` if the process has no descriptors left.
  public init() throws(Failure) {
    do throws(SystemError) { ends = try Descriptor.pipe() } catch { throw Failure(.spool, "cannot make a pipe: \(error.words)") }
  }

  /// Ends every wait, now and later.
  public func trigger() {
    try? ends.write.close()
  }

  /// Waits until `descriptor` can be read. Returns false if the interrupt came first.
  func waitUntilReadable(_ descriptor: Descriptor) throws(SystemError) -> Bool {
    var wanted = [
      pollfd(fd: ends.read.raw, events: Int16(POLLIN), revents: 0),
      pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      if poll(&wanted, 2, -1) < 0 {
        guard errno == EINTR else { throw SystemError("poll", errno) }
        continue
      }
      if wanted[0].revents != 0 { return false }
      if wanted[1].revents != 0 { return true }
    }
  }
}

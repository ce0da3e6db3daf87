/// A switch that ends the waiting of threads that read from descriptors or write to pipes: the system calls themselves know nothing of a
/// cancelled task. Whoever writes to a pipe does it through one, as a pipe that nobody reads may have many holders.
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
    try wait(for: Int16(POLLIN), of: descriptor) { false }
  }

  /// Waits until `descriptor` can be written to. Returns false if the interrupt came first.
  func waitUntilWritable(_ descriptor: Descriptor) throws(SystemError) -> Bool {
    try wait(for: Int16(POLLOUT), of: descriptor) { false }
  }

  /// Writes every byte, and waits where it can be interrupted. A descriptor that does not block takes as much at a time as there is room
  /// for; any other one pieces so small that a pipe that has room for any takes each at once. A regular file makes nobody wait, and gets all
  /// in one call: two runs that add to the end of one file do not mix what they write.
  ///
  /// - Parameters:
  ///   - isOver: asked now and then whether nobody will read any more.
  ///   - moved: told of each piece that has been taken how many bytes it had.
  /// - Returns: false if the interrupt came first, or it is over.
  public func writeAll(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Descriptor, unless isOver: () -> Bool = { false }, moved: (Int) -> Void = { _ in }
  ) throws(SystemError) -> Bool {
    let blocks = descriptor.blocks && (try? descriptor.status())?.isRegularFile != true
    var mustWait = blocks
    var rest = bytes
    while !rest.isEmpty {
      if mustWait {
        guard try wait(for: Int16(POLLOUT), of: descriptor, unless: isOver) else { return false }
      }
      mustWait = true
      let piece = blocks ? UnsafeRawBufferPointer(rebasing: rest.prefix(Int(PIPE_BUF))) : rest
      guard let count = try descriptor.writeSome(piece) else { continue }
      moved(count)
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    return true
  }

  /// As above, the UTF-8 of a text.
  public func writeAll(_ text: String, to descriptor: Descriptor) throws(SystemError) -> Bool {
    let bytes = Array(text.utf8)
    return try bytes.span.bytes.withUnsafeBytes { (buffer) throws(SystemError) in try writeAll(buffer, to: descriptor) }
  }

  private func wait(for events: Int16, of descriptor: Descriptor, unless isOver: () -> Bool) throws(SystemError) -> Bool {
    var wanted = [
      pollfd(fd: ends.read.raw, events: Int16(POLLIN), revents: 0),
      pollfd(fd: descriptor.raw, events: events, revents: 0),
    ]
    while true {
      if isOver() { return false }
      if poll(&wanted, 2, events == Int16(POLLIN) ? -1 : 200) < 0 {
        guard errno == EINTR else { throw SystemError("poll", errno) }
        continue
      }
      // What is read may have no end; what can be written without waiting may be.
      if events == Int16(POLLOUT), wanted[1].revents != 0 { return true }
      if wanted[0].revents != 0 { return false }
      if wanted[1].revents != 0 { return true }
    }
  }
}

import NIOCore

/// A file that pieces are written into, each at its place. Closed when the value ends.
struct FileAtOffset: ~Copyable {
  private let descriptor: CInt
  private let path: String
  private let room: Int?

  /// - Parameter room: the disk is full where a byte would lie behind so many.
  init(_ path: String, room: Int? = nil) throws(FileError) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError("open", path) }
    self.path = path
    self.room = room
  }

  deinit { close(descriptor) }

  func write(_ buffer: ByteBuffer, at offset: Int) throws(FileError) {
    if let room, offset + buffer.readableBytes > room { throw FileError("write", path, ENOSPC) }
    let isWritten = buffer.withUnsafeReadableBytes { bytes in
      var done = 0
      while done < bytes.count {
        let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
        if count < 0 && errno != EINTR { return false }
        done += max(count, 0)
      }
      return true
    }
    guard isWritten else { throw FileError("write", path) }
  }
}

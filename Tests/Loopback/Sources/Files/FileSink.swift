import NIOCore

/// A file that a body is written into, piece by piece. Closed when the value ends.
struct FileSink: ~Copyable {
  private let descriptor: CInt
  private let path: String
  private let limit: Int?
  private let room: Int?
  private(set) var written = 0

  /// Truncates what was there. Bytes beyond `limit` are thrown away; those beyond `room` find the disk full.
  init(_ path: String, limit: Int? = nil, room: Int? = nil) throws(FileError) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError("open", path) }
    self.path = path
    self.limit = limit
    self.room = room
  }

  deinit { close(descriptor) }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var rest = bytes
    if let limit, written + rest.count > limit { rest = UnsafeRawBufferPointer(rebasing: rest[..<max(0, limit - written)]) }
    let isFull = room.map { written + rest.count > $0 } ?? false
    if isFull, let room { rest = UnsafeRawBufferPointer(rebasing: rest[..<max(0, room - written)]) }
    while !rest.isEmpty {
      let count = write(descriptor, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError("write", path)
      }
      written += count
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    if isFull { throw FileError("write", path, ENOSPC) }
  }

  mutating func append(_ buffer: ByteBuffer) throws(FileError) {
    // The closure of `withUnsafeReadableBytes` would lose the type of the error.
    var failure: FileError?
    buffer.withUnsafeReadableBytes { bytes in
      do throws(FileError) { try append(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}

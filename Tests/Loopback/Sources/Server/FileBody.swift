import HummingbirdCore
import NIOCore

/// A file as the body of an answer, in constant memory.
struct FileBody: Sendable {
  let path: String
  let size: Int64
  var offset: Int64 = 0

  var body: ResponseBody {
    ResponseBody(contentLength: Int(size)) { writer in
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw FileError("open", path) }
      defer { close(descriptor) }
      guard lseek(descriptor, off_t(offset), SEEK_SET) == offset else { throw FileError("lseek", path) }
      var left = Int(size)
      while left > 0 {
        var buffer = ByteBuffer()
        let wanted = min(left, 1 << 18)
        let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) {
          max(0, read(descriptor, $0.baseAddress, min(wanted, $0.count)))
        }
        // The file shrank: the client sees the connection end before the announced length.
        guard count > 0 else { throw FileError("read", path, EIO) }
        left -= count
        try await writer.write(buffer)
      }
      try await writer.finish(nil)
    }
  }
}

extension ResponseBody {
  /// Never ends by itself: only when the client hangs up.
  static func endless(_ beginning: String) -> ResponseBody {
    ResponseBody { writer in
      try await writer.write(ByteBuffer(string: beginning))
      let letters = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 14)
      while true { try await writer.write(letters) }
    }
  }
}

import CZlib

/// zlib's inflate for gzip members (RFC 1952), with their headers and trailers; the only code that touches a `z_stream` of inflate. Used by one
/// thread at a time.
final class InflateStream {
  /// What a call came to.
  enum Outcome: Equatable {
    /// All input was taken, or all room filled.
    case goesOn
    /// The member has ended, and what came out of it is what its trailer says.
    case memberEnded
    /// These bytes are no member; zlib's words for why.
    case broken(String)
  }

  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  /// - Throws: `spool` if there is no memory for zlib's state (about 40 KiB with the window).
  init() throws(Failure) {
    stream.initialize(to: z_stream())
    let gzipAlone: CInt = 31
    let code = inflateInit2_(stream, gzipAlone, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
    guard code == Z_OK else { throw InflateStream.noMemory(code) }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Forgets the member, for the beginning of another one.
  func reset() { inflateReset(stream) }

  /// Unpacks on from where the last call ended.
  ///
  /// - Parameter room: where the bytes go, 1 or more. Once less than 258 are left zlib goes byte by byte, so it should be large.
  /// - Returns: how many bytes of `input` were taken and how many of `room` filled.
  /// - Throws: `spool` if there is no memory for the window.
  func inflate(
    _ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) throws(Failure) -> (taken: Int, made: Int, outcome: Outcome) {
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
    stream.pointee.avail_in = UInt32(input.count)
    stream.pointee.next_out = room.bindMemory(to: UInt8.self).baseAddress
    stream.pointee.avail_out = UInt32(room.count)
    let code = CZlib.inflate(stream, Z_NO_FLUSH)
    let outcome: Outcome
    switch code {
    // A call that can do nothing is no error: there was no input left, and nothing of it was waiting for room.
    case Z_OK, Z_BUF_ERROR: outcome = .goesOn
    case Z_STREAM_END: outcome = .memberEnded
    case Z_MEM_ERROR: throw InflateStream.noMemory(code)
    default: outcome = .broken(stream.pointee.msg.map { String(cString: $0) } ?? "code \(code)")
    }
    return (input.count - Int(stream.pointee.avail_in), room.count - Int(stream.pointee.avail_out), outcome)
  }

  private static func noMemory(_ code: CInt) -> Failure { Failure(.spool, "zlib cannot unpack: code \(code)") }
}

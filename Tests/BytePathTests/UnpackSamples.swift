import CZlib
import Synchronization
import Testing

@testable import BytePath

/// A feed of bytes that are there, in pieces of any size, which may fail, or wait without end, at a place.
final class PieceFeed: ByteFeed {
  enum End { case whole, fails, waits }

  static let failure = Failure(.unreachable, "the server has gone")

  private let bytes: [UInt8]
  private let largest: Int
  private let end: End
  private let state: Monitor<(place: Int, generator: Generator, isStopped: Bool)>

  init(_ bytes: [UInt8], largest: Int = 100_000, seed: UInt64 = 1, end: End = .whole) {
    self.bytes = bytes
    self.largest = largest
    self.end = end
    state = Monitor((0, Generator(state: seed), false), conditions: 1)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let result: Result<Int, Failure> = state.wait(for: 0) { state in
      if state.isStopped { return .failure(.interrupted) }
      if state.place == bytes.count {
        switch end {
        case .whole: return .success(0)
        case .fails: return .failure(PieceFeed.failure)
        case .waits: return nil
        }
      }
      let piece = bytes[state.place...].prefix(min(buffer.count, state.generator.number(1...largest)))
      buffer.copyBytes(from: piece)
      state.place += piece.count
      return .success(piece.count)
    }
    return try result.get()
  }

  func stop() {
    state.update { $0.isStopped = true }
    state.wakeAll()
  }
}

/// A store whose bytes are there, or come while they are read.
final class ComingStore: ByteStore {
  private let bytes: [UInt8]
  private let fails: Bool
  private let state: Monitor<(position: Int, available: Int, isStopped: Bool)>

  /// - Parameter fails: whether something goes wrong behind the last byte.
  init(_ bytes: [UInt8], areThere: Bool, fails: Bool = false) {
    self.bytes = bytes
    self.fails = fails
    state = Monitor((0, areThere ? bytes.count : 0, false), conditions: 1)
  }

  func bring(_ count: Int) {
    state.update { $0.available = min(bytes.count, $0.available + count) }
    state.wakeAll()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let count = try read(into: buffer, at: Int64(state.update { $0.position }))
    state.update { $0.position += count }
    return count
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Failure) -> Int {
    let offset = Int(offset)
    let result: Result<Int, Failure> = state.wait(for: 0) { state in
      if state.isStopped { return .failure(.interrupted) }
      if offset >= bytes.count { return fails ? .failure(PieceFeed.failure) : .success(0) }
      return state.available > offset ? .success(min(buffer.count, state.available - offset)) : nil
    }
    let count = try result.get()
    buffer.copyBytes(from: bytes[offset..<offset + count])
    return count
  }

  func stop() {
    state.update { $0.isStopped = true }
    state.wakeAll()
  }
}

/// A gzip member made by zlib.
///
/// - Parameter header: whether it has a name, a comment, an extra field and a checksum of these.
func member(of bytes: [UInt8], level: CInt = 6, header isLong: Bool = false) -> [UInt8] {
  var stream = z_stream()
  let gzip: CInt = 31
  deflateInit2_(&stream, level, Z_DEFLATED, gzip, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
  defer { deflateEnd(&stream) }
  var input = bytes
  var name = Array("a name\0".utf8)
  var comment = Array("said of it\0".utf8)
  var extra: [UInt8] = [0x41, 0x70, 2, 0, 1, 2]
  var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 1000)
  let count = input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output in
      name.withUnsafeMutableBufferPointer { name in
        comment.withUnsafeMutableBufferPointer { comment in
          extra.withUnsafeMutableBufferPointer { extra in
            var header = gz_header()
            header.name = name.baseAddress
            header.comment = comment.baseAddress
            header.extra = extra.baseAddress
            header.extra_len = UInt32(extra.count)
            header.hcrc = 1
            header.os = 3
            if isLong { deflateSetHeader(&stream, &header) }
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END)
            return output.count - Int(stream.avail_out)
          }
        }
      }
    }
  }
  return Array(output.prefix(count))
}

/// Unpacks bytes with gzip to a spool.
///
/// - Returns: what the spool has.
func unpacked(_ feed: any ByteFeed, threads: Int = 2, leastSegment: Int64 = 1 << 19) async throws -> [UInt8] {
  try await withTemporaryFolder { folder in
    var plan = UnpackPlan()
    plan.gunzips = true
    plan.threads = threads
    plan.leastSegment = leastSegment
    let path = "\(folder)/spool"
    do {
      let result = try await unpack(
        feed, plan, hashing: [], to: .spool { () throws(Failure) in try SpoolDirectory(path) }, Meter())
      let payload = try #require(result.payload)
      let output = try bytes(of: payload)
      #expect(result.outputLength == Int64(output.count))
      #expect(result.outputDigest == Checksum(.sha256, of: output))
      #expect(try await payload.digest(.sha256) == result.outputDigest)
      var status = stat()
      try #require(fstat(payload.descriptor.raw, &status) == 0)
      #expect(Int(status.st_size) == output.count, "the spool has bytes that are none of the object")
      payload.spool?.remove()
      return output
    } catch let failure as Failure {
      #expect(try spoolNames(path) == [], "a spool stays after \(failure.message)")
      throw failure
    }
  }
}

/// The failure that unpacking ends with.
func unpackingFailure(_ bytes: [UInt8], threads: Int = 2, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Failure {
  do {
    let output = try await unpacked(PieceFeed(bytes), threads: threads)
    Issue.record("\(bytes.count) bytes were unpacked to \(output.count)", sourceLocation: sourceLocation)
    throw CancellationError()
  } catch let failure as Failure {
    return failure
  }
}

/// What is in a spool folder.
func spoolNames(_ path: String) throws -> [String] { try SpoolDirectory(path).names() }

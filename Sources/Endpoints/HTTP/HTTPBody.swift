import AsyncHTTPClient
import BytePath
import NIOCore
import Synchronization

/// What a request carries: the payload, or a few bytes, or a payload between bytes, so that multipart has a length too.
struct HTTPBody: Sendable {
  var prefix: [UInt8] = []
  var payload: Payload?
  /// Which bytes of the payload; nil for all.
  var part: Range<Int64>?
  var suffix: [UInt8] = []
  var meter: Meter?

  /// The payload's bytes that are sent.
  var range: Range<Int64> { part ?? 0..<(payload?.length ?? 0) }

  /// Bytes in all.
  var length: Int64 { Int64(range.count).addingSaturated(Int64(prefix.count + suffix.count)) }
}

/// Hands a body to a connection, some pieces ahead of what that has taken.
///
/// Pieces of a payload go as regions of its file where `file` is given, so that the kernel sends them and this program does not see them;
/// otherwise they are read, from the page cache or the disk, in the caller's task: a read of a regular file is short, and nothing else
/// waits for this program's tasks.
struct HTTPBodySender {
  let body: HTTPBody
  /// The payload's file for the connection's event loop alone; nil if the bytes must pass through this program, as with TLS.
  let file: NIOFileHandle?
  let window: SendWindow
  let state: ExchangeState
  let writer: HTTPClient.Body.StreamWriter

  private var pace: Pace?
  /// Used in turn, so that the memory of a piece that has been written out serves again. What is still being written keeps its own.
  private var buffers = [ByteBuffer](repeating: ByteBuffer(), count: SendWindow.pieces + 2)
  private var turn = 0

  init(
    _ body: HTTPBody, file: NIOFileHandle?, rateLimit: Int64?, _ window: SendWindow, _ state: ExchangeState,
    to writer: HTTPClient.Body.StreamWriter
  ) {
    self.body = body
    self.file = file
    self.window = window
    self.state = state
    self.writer = writer
    pace = rateLimit.map { Pace(bytesPerSecond: $0) }
  }

  /// - Throws: `Failure` if the payload can't be read or has changed; what the connection fails with.
  mutating func send() async throws {
    if !body.prefix.isEmpty { try await hand(over: .byteBuffer(ByteBuffer(bytes: body.prefix))) }
    if let payload = body.payload {
      let end = body.range.upperBound
      var offset = body.range.lowerBound
      var hash = payload.sendingHash(of: body.range)
      while offset < end {
        let largest = pace?.pieceSize ?? (file == nil ? 256 << 10 : 4 << 20)
        let size = Int(min(end - offset, Int64(min(largest, window.pieceSize))))
        if let moment = pace?.moment(of: size), moment > .now {
          state.pauses(until: moment)
          try await Task.sleep(until: moment)
        }
        let piece = try piece(of: payload, at: offset, size, &hash)
        offset += Int64(size)
        // Asked before the last bytes go, so that an object that is not what it was never arrives whole.
        try payload.checkUnchanged()
        if offset == end {
          try hash.end()
          try await payload.checkSent()
        }
        try await hand(over: piece)
      }
    }
    if !body.suffix.isEmpty { try await hand(over: .byteBuffer(ByteBuffer(bytes: body.suffix))) }
  }

  private func hand(over piece: IOData) async throws {
    try await window.enter()
    writer.write(piece).whenFailure { [window] error in window.fail(error) }
  }

  private mutating func piece(of payload: Payload, at offset: Int64, _ size: Int, _ hash: inout SendingHash) throws -> IOData {
    if let file {
      // The kernel has no word for a region that the file does not have: it would send nothing, for ever.
      try payload.checkReadable(at: offset + Int64(size) - 1)
      return .fileRegion(FileRegion(fileHandle: file, readerIndex: Int(offset), endIndex: Int(offset) + size))
    }
    turn = (turn + 1) % buffers.count
    buffers[turn].clear(minimumCapacity: size)
    try buffers[turn].writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
      let buffer = UnsafeMutableRawBufferPointer(rebasing: space[..<size])
      let count = try payload.read(into: buffer, at: offset)
      hash.update(UnsafeRawBufferPointer(buffer))
      return count
    }
    return .byteBuffer(buffers[turn])
  }
}

/// The pieces of a body that are on their way through the client: few, so that the memory is bounded, and enough that the connection never
/// waits for the next. (The client itself takes as many as it is given.)
final class SendWindow: Sendable {
  static let pieces = 4

  private struct State {
    var inside = 0
    var waiting: CheckedContinuation<Void, any Error>?
    var error: (any Error)?
    var pieceSize = 64 * 1024
    var lastTaken = ContinuousClock.now
    var bytes: Int64 = 0
  }

  private let state = Mutex(State())

  /// How many bytes to hand over at a time, 16 KiB to 4 MiB: many on a fast connection, where each piece costs a change of threads; few on
  /// a slow one, where a piece that takes long looks like silence.
  var pieceSize: Int { state.withLock { $0.pieceSize } }

  /// Waits until one more piece may be handed over.
  ///
  /// - Throws: what the connection failed with.
  func enter() async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let result: Result<Void, any Error>? = state.withLock { state in
        if let error = state.error { return .failure(error) }
        guard state.inside < SendWindow.pieces else {
          state.waiting = continuation
          return nil
        }
        state.inside += 1
        return .success(())
      }
      if let result { continuation.resume(with: result) }
    }
  }

  /// The connection has taken a piece. Returns how many bytes it has taken in all.
  func taken(_ bytes: Int) -> Int64 {
    let (continuation, sum) = state.withLock { state in
      let now = ContinuousClock.now
      if now - state.lastTaken < .milliseconds(50) { state.pieceSize = min(state.pieceSize * 2, 4 << 20) }
      if now - state.lastTaken > .seconds(1) { state.pieceSize = max(state.pieceSize / 2, 16 * 1024) }
      state.lastTaken = now
      state.bytes += Int64(bytes)
      let continuation = state.waiting
      state.waiting = nil
      if continuation == nil { state.inside -= 1 }
      return (continuation, state.bytes)
    }
    continuation?.resume()
    return sum
  }

  /// Nothing more will be taken.
  func fail(_ error: any Error) {
    let continuation = state.withLock { state in
      if state.error == nil { state.error = error }
      defer { state.waiting = nil }
      return state.waiting
    }
    continuation?.resume(throwing: error)
  }
}

import AsyncHTTPClient
import BytePath
import NIOCore
import Synchronization

/// What a request carries: the payload, or a few bytes, or a payload between bytes, so that multipart has a length too.
struct HTTPBody: Sendable {
  var prefix: [UInt8] = []
  var payload: Payload?
  var suffix: [UInt8] = []
  var meter: Meter?

  /// Bytes in all.
  var length: Int64 { Int64(prefix.count) + (payload?.length ?? 0) + Int64(suffix.count) }
}

/// The body as the HTTP client asks for it, a piece at a time, never faster than the connection takes it. Pieces are read from the page
/// cache or the disk in the caller's task: a read of a regular file is short, and nothing else waits for this program's tasks.
struct HTTPBodyPieces: AsyncSequence, Sendable {
  typealias Element = ByteBuffer

  let body: HTTPBody
  let state: ExchangeState
  let rateLimit: Int64?
  /// The connection's.
  let eventLoop: any EventLoop

  func makeAsyncIterator() -> Iterator {
    Iterator(body: body, state: state, pace: rateLimit.map { Pace(bytesPerSecond: $0) }, eventLoop: eventLoop)
  }

  struct Iterator: AsyncIteratorProtocol {
    private enum Stage {
      case prefix, payload, suffix, end
    }

    let body: HTTPBody
    let state: ExchangeState
    var pace: Pace?
    let eventLoop: any EventLoop
    private var stage = Stage.prefix
    private var offset: Int64 = 0
    private var handedOver: Int64 = 0
    private var pieceSize = PieceSize()
    /// Used in turn, so that the memory of a piece that has been written out serves again. What is still being written keeps its own.
    private var buffers = [ByteBuffer](repeating: ByteBuffer(), count: 3)
    private var turn = 0

    init(body: HTTPBody, state: ExchangeState, pace: Pace?, eventLoop: any EventLoop) {
      self.body = body
      self.state = state
      self.pace = pace
      self.eventLoop = eventLoop
    }

    mutating func next() async throws -> ByteBuffer? {
      // The client queues pieces for the event loop and asks for more as long as the connection takes them, so on a fast connection a reader
      // that is faster than the loop would fill the memory. This waits until the loop has come to the end of its queue.
      try await eventLoop.submit {}.get()
      body.meter?.setSent(offset)
      pieceSize.adapt()
      let piece = try await nextPiece()
      handedOver += Int64(piece?.readableBytes ?? 0)
      if handedOver == body.length { state.handedOverAll() } else { state.moved() }
      return piece
    }

    private mutating func nextPiece() async throws -> ByteBuffer? {
      while true {
        switch stage {
        case .prefix:
          stage = .payload
          if !body.prefix.isEmpty { return ByteBuffer(bytes: body.prefix) }
        case .payload:
          if let payload = body.payload, offset < payload.length { return try await piece(of: payload) }
          stage = .suffix
        case .suffix:
          stage = .end
          if !body.suffix.isEmpty { return ByteBuffer(bytes: body.suffix) }
        case .end:
          return nil
        }
      }
    }

    private mutating func piece(of payload: Payload) async throws -> ByteBuffer {
      let size = Int(Swift.min(payload.length - offset, Int64(pace?.pieceSize ?? pieceSize.bytes)))
      if let delay = pace?.delay(of: size) { try await Task.sleep(for: delay) }
      turn = (turn + 1) % buffers.count
      buffers[turn].clear(minimumCapacity: size)
      try buffers[turn].writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
        try payload.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<size]), at: offset)
      }
      offset += Int64(size)
      // Asked before the last bytes go, so that an object that is not what it was never arrives whole.
      if offset == payload.length { try payload.checkUnchanged() }
      return buffers[turn]
    }
  }
}

/// How much to hand over at a time: much on a fast connection, where each piece costs a change of threads; little on a slow one, where a
/// piece that takes long looks like silence.
private struct PieceSize {
  private(set) var bytes = 64 * 1024
  private var last: ContinuousClock.Instant?

  /// To be called when the next piece is asked for.
  mutating func adapt() {
    let now = ContinuousClock.now
    if let last {
      if now - last < .milliseconds(50) { bytes = min(bytes * 2, 512 * 1024) }
      if now - last > .seconds(1) { bytes = max(bytes / 2, 16 * 1024) }
    }
    last = now
  }
}

/// How far one request has come; written by the body and the answer, read by the watch over time-outs.
final class ExchangeState: Sendable {
  enum Phase {
    case sending, answering
  }

  private struct State {
    var phase = Phase.sending
    var lastMove = ContinuousClock.now
  }

  private let state = Mutex(State())

  var phase: Phase { state.withLock { $0.phase } }
  /// When something last moved; in `answering`, when the last byte was handed over.
  var lastMove: ContinuousClock.Instant { state.withLock { $0.lastMove } }

  func moved() {
    state.withLock { $0.lastMove = .now }
  }

  func handedOverAll() {
    state.withLock { state in
      state.phase = .answering
      state.lastMove = .now
    }
  }
}

/// Bytes that are handed from who gets them to who reads them, a few at a time: who is too fast waits.
public final class StreamFeed: ByteFeed, ByteSink {
  private struct State {
    /// What has come and was not read, in order.
    var pieces: [[UInt8]] = []
    /// Of the first piece, how much was read.
    var offset = 0
    var queued = 0
    var waiting: [@Sendable () -> Void] = []
    var isEnded = false
    var isStopped = false
    var failure: Failure?

    mutating func takeWaiting() -> [@Sendable () -> Void] {
      defer { waiting = [] }
      return waiting
    }
  }

  /// Bytes; with more than these nobody is asked for more.
  private static let limit = 4 << 20

  private let state = Monitor(State(), conditions: 1)

  public init() {}

  /// Bytes that have come and were not read.
  var queued: Int { state.update { $0.queued } }

  public func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let isWanted = state.update { state in
      guard !state.isStopped else { return false }
      state.pieces.append(Array(bytes))
      state.queued += bytes.count
      return true
    }
    state.wakeAll()
    return isWanted
  }

  public func isReady(_ go: @escaping @Sendable () -> Void) -> Bool {
    state.update { state in
      if state.queued < StreamFeed.limit || state.isStopped || state.failure != nil { return true }
      state.waiting.append(go)
      return false
    }
  }

  /// Says that all bytes have come.
  public func end() {
    state.update { $0.isEnded = true }
    state.wakeAll()
  }

  /// Says that no more will come, and why.
  public func fail(_ failure: Failure) {
    release { $0.failure = $0.failure ?? failure }
  }

  public func stop() {
    release { $0.isStopped = true }
  }

  /// Ends every wait because of a change.
  private func release(_ change: (inout State) -> Void) {
    let waiting = state.update { state in
      change(&state)
      return state.takeWaiting()
    }
    state.wakeAll()
    for go in waiting { go() }
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let result = state.wait(for: 0) { state -> Result<(Int, [@Sendable () -> Void]), Failure>? in
      if state.isStopped { return .failure(.interrupted) }
      guard state.queued > 0 else { return state.failure.map { .failure($0) } ?? (state.isEnded ? .success((0, [])) : nil) }
      let count = StreamFeed.take(from: &state, into: buffer)
      return .success((count, state.queued < StreamFeed.limit / 2 ? state.takeWaiting() : []))
    }
    let (count, waiting) = try result.get()
    for go in waiting { go() }
    return count
  }

  private static func take(from state: inout State, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var (count, used) = (0, 0)
    while count < buffer.count, used < state.pieces.count {
      let piece = state.pieces[used]
      let part = min(buffer.count - count, piece.count - state.offset)
      piece.span.bytes.withUnsafeBytes { bytes in
        UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[state.offset..<state.offset + part]))
      }
      count += part
      state.offset += part
      if state.offset == piece.count { (used, state.offset) = (used + 1, 0) }
    }
    state.pieces.removeFirst(used)
    state.queued -= count
    return count
  }
}

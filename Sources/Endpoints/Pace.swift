import BytePath

/// Keeps a stream below a rate, from its first byte on: the time of a piece passes before it goes.
struct Pace {
  /// Small enough that a slow rate is smooth: a tenth of a second's bytes, 1 B to 256 KiB.
  let pieceSize: Int
  private let bytesPerSecond: Int64
  private let start = ContinuousClock.now
  private var count: Int64 = 0

  init(bytesPerSecond: Int64) {
    self.bytesPerSecond = max(bytesPerSecond, 1)
    pieceSize = Int(min(max(bytesPerSecond / 10, 1), 256 * 1024))
  }

  /// When `bytes` more may go.
  mutating func moment(of bytes: Int) -> ContinuousClock.Instant {
    count = count.addingSaturated(Int64(bytes))
    return start + .seconds(Double(count) / Double(bytesPerSecond))
  }
}

/// Keeps a stream below a rate.
struct Pace {
  /// Small enough that a slow rate is smooth: a tenth of a second's bytes, 1 KiB to 256 KiB.
  let pieceSize: Int
  private let bytesPerSecond: Int64
  private let start = ContinuousClock.now
  private var count: Int64 = 0

  init(bytesPerSecond: Int64) {
    self.bytesPerSecond = bytesPerSecond
    pieceSize = Int(min(max(bytesPerSecond / 10, 1024), 256 * 1024))
  }

  /// How long to wait before `bytes` more go; not positive if they are late.
  mutating func delay(of bytes: Int) -> Duration {
    let due = start + .microseconds(Int64(Double(count) / Double(bytesPerSecond) * 1_000_000))
    count += Int64(bytes)
    return ContinuousClock.now.duration(to: due)
  }
}

/// SplitMix64: the same seed gives the same bytes everywhere, so that a failure can be had again.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(_ seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }

  /// Bytes that no compressor can shorten.
  public mutating func bytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      var offset = 0
      while offset < count {
        var word = next()
        let length = min(8, count - offset)
        for index in offset..<offset + length {
          buffer[index] = UInt8(truncatingIfNeeded: word)
          word >>= 8
        }
        offset += length
      }
      initialized = count
    }
  }

  /// Bytes as they are in logs and dumps: words that come again, with some noise between them.
  public mutating func text(_ count: Int) -> [UInt8] {
    let words = ["insert", "into", "values", "backup", "null", "sluice", "2026-11-21", "id", "name"].map { Array($0.utf8) }
    var result: [UInt8] = []
    result.reserveCapacity(count + 32)
    while result.count < count {
      let roll = next()
      result += words[Int(roll % UInt64(words.count))]
      result.append(roll & 0x700 == 0 ? UInt8(ascii: "\n") : UInt8(ascii: " "))
      if roll & 0xf000 == 0 { result += String(roll, radix: 36).utf8 }
    }
    return Array(result[..<count])
  }
}

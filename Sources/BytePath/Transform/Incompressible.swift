/// Tells which stretches of a block deflate can't shorten: photos, films, archives, encrypted data. Used by one thread at a time.
///
/// Deflate gains in two ways, and a segment is called incompressible only if neither would gain:
/// - Some bytes are more frequent than others. The χ² of the counts against equal counts measures it: a segment of N bytes can become
///   shorter by about χ²/(2·N·ln 2) bits a byte, so the limit stands for 0.2 %, about what the table of a dynamic block costs.
/// - Something comes again. Where the counts are that even, each byte value stands at a 256th of all places, so the places of a few values
///   are a fair sample of all, found as fast as memory can be searched. Two of them that begin the same four bytes within deflate's window
///   mean that more does; by chance that is so in 1 of 10⁵ segments.
struct IncompressibleTest {
  /// Bytes that are judged together.
  static let segmentSize = 32 * 1024
  /// A shorter end of the input is not judged.
  private static let leastSize = 4 * 1024
  /// The byte values whose places are the sample: any would do.
  private static let sampledValues: [UInt8] = [0x17, 0x5a, 0xa3, 0xe8]
  private static let tableBits = 12

  /// For a hash of four bytes, where in the block they were seen last, plus one.
  private var lastPlace = [UInt32](repeating: 0, count: 1 << tableBits)
  private var counts = [UInt32](repeating: 0, count: 4 * 256)

  /// Judges a segment.
  ///
  /// - Parameters:
  ///   - bytes: a block's input and what stands before it.
  ///   - segment: the part of `bytes` to judge.
  mutating func isIncompressible(_ bytes: UnsafeRawBufferPointer, _ segment: Range<Int>) -> Bool {
    guard segment.count >= IncompressibleTest.leastSize else { return false }
    // Most of what can be compressed shows it at once.
    guard hasEvenCounts(UnsafeRawBufferPointer(rebasing: bytes[segment.prefix(IncompressibleTest.leastSize)])) else { return false }
    guard hasEvenCounts(UnsafeRawBufferPointer(rebasing: bytes[segment])) else { return false }
    return !repeats(bytes, segment)
  }

  private mutating func hasEvenCounts(_ bytes: UnsafeRawBufferPointer) -> Bool {
    // Equal bytes in a row would wait for each other's count, so there are four tables in turn.
    let squares = counts.withUnsafeMutableBufferPointer { counts -> UInt64 in
      counts.update(repeating: 0)
      var place = 0
      while place + 4 <= bytes.count {
        let four = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
        counts[Int(four & 0xff)] &+= 1
        counts[256 + Int(four >> 8 & 0xff)] &+= 1
        counts[512 + Int(four >> 16 & 0xff)] &+= 1
        counts[768 + Int(four >> 24)] &+= 1
        place += 4
      }
      return (0..<256).reduce(0) { sum, value in
        let count = UInt64(counts[value] + counts[256 + value] + counts[512 + value] + counts[768 + value])
        return sum + count * count
      }
    }
    let count = Double(bytes.count & ~3)
    let chiSquare = Double(squares) * 256 / count - count
    // 255 with a deviation of 23 for random bytes.
    return chiSquare < max(400, count * 0.02)
  }

  private mutating func repeats(_ bytes: UnsafeRawBufferPointer, _ segment: Range<Int>) -> Bool {
    guard let base = bytes.baseAddress else { return false }
    var hits = 0
    lastPlace.withUnsafeMutableBufferPointer { lastPlace in
      lastPlace.update(repeating: 0)
      let start = max(0, segment.lowerBound - Block.dictionarySize)
      for value in IncompressibleTest.sampledValues {
        var place = start
        while hits < 2, let found = memchr(base + place, CInt(value), segment.upperBound - 3 - place) {
          place = base.distance(to: found)
          let four = base.loadUnaligned(fromByteOffset: place, as: UInt32.self)
          let slot = Int((four &* 0x9e37_79b1) >> UInt32(32 - IncompressibleTest.tableBits))
          let last = Int(lastPlace[slot]) - 1
          if last >= 0, place >= segment.lowerBound, place - last <= Block.dictionarySize,
            base.loadUnaligned(fromByteOffset: last, as: UInt32.self) == four
          {
            hits += 1
          }
          lastPlace[slot] = UInt32(place + 1)
          place += 1
        }
      }
    }
    return hits >= 2
  }
}

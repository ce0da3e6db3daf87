import CZlib
import Testing

@testable import BytePath

@Suite("gzip")
struct GzipTests {
  @Test(
    "the member inflates to the input at every level and size", arguments: [1, 6, 9],
    [0, 1, 32768, 262_143, 262_144, 262_145, 1_000_000])
  func roundTrip(level: Int, size: Int) async throws {
    let input = sample(size, seed: UInt64(size + level))
    let member = try await gzipped(input, level: level, threads: 3, cuts: 7)
    #expect(try inflated(member) == input)
  }

  @Test("the bytes depend neither on the threads nor on how the input is cut", arguments: [1, 4, 9])
  func sameBytes(level: Int) async throws {
    let input = sample(1_234_567, seed: 42)
    let first = try await gzipped(input, level: level, threads: 1, cuts: 1)
    for seed in 1...6 {
      let again = try await gzipped(input, level: level, threads: 1 + seed % 5, cuts: UInt64(seed))
      #expect(again == first, "cuts with seed \(seed)")
    }
  }

  @Test("any mixture of what can be compressed and what cannot inflates to itself, and grows by next to nothing", arguments: 1...40)
  func mixtures(seed: UInt64) async throws {
    var generator = Generator(state: seed)
    let input = mixture(&generator)
    let level = Int(generator.next() % 9) + 1
    let first = try await gzipped(input, level: level, threads: 1, cuts: seed)
    #expect(try inflated(first) == input, "seed \(seed), level \(level)")
    let again = try await gzipped(input, level: level, threads: Int(generator.next() % 8) + 2, cuts: seed + 1)
    #expect(again == first, "seed \(seed), level \(level)")
    #expect(first.count <= input.count + input.count / 2000 + 64, "seed \(seed), level \(level)")
  }

  @Test("what only looks random is compressed: equal counts of all bytes that come again")
  func looksRandom() async throws {
    var generator = Generator(state: 7)
    // Every byte value equally often, in an order that comes again after 256, 5000 and 30000 bytes.
    for period in [256, 5000, 30_000] {
      let part = (0..<period).map { UInt8(truncatingIfNeeded: $0) }.shuffled(using: &generator)
      let input = Array((0..<(1_000_000 / period)).map { _ in part }.joined())
      let member = try await gzipped(input, level: 6, threads: 2, cuts: 1)
      #expect(member.count < input.count / 8, "period \(period): \(member.count)")
      #expect(try inflated(member) == input)
    }
  }

  @Test("a stretch of random bytes that comes again within 32 KiB is found")
  func repeatedRandom() async throws {
    var generator = Generator(state: 8)
    var input: [UInt8] = []
    for _ in 0..<60 {
      let part = (0..<10_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      input += part + part
    }
    let member = try await gzipped(input, level: 6, threads: 2, cuts: 1)
    #expect(member.count < input.count * 6 / 10)
    #expect(try inflated(member) == input)
  }

  @Test("random bytes are stored, at a cost of less than 0.05 %", arguments: [1, 6, 9])
  func random(level: Int) async throws {
    var generator = Generator(state: 9)
    let input = (0..<1_000_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    let member = try await gzipped(input, level: level, threads: 3, cuts: 2)
    #expect(member.count < input.count + input.count / 2000)
    #expect(try inflated(member) == input)
  }

  @Test("the header has no time and no name")
  func header() {
    #expect(GzipFrame(level: .fixed(6)).header == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])
  }

  /// Runs the byte path from a pipe that is written in random pieces to a spool.
  private func gzipped(_ input: [UInt8], level: Int, threads: Int, cuts: UInt64) async throws -> [UInt8] {
    try await withTemporaryFolder { folder in
      let pipe = "\(folder)/pipe"
      try #require(mkfifo(pipe, 0o600) == 0)
      var plan = FillPlan(input: .path(pipe))
      plan.minimumBytes = 0
      plan.gzip = GzipOptions(level: .fixed(level), threads: threads)
      async let payload = fill(plan, into: try SpoolDirectory("\(folder)/spool"), Meter())
      try await onThread { () throws(Failure) in
        var generator = Generator(state: cuts)
        guard let output = try? Descriptor.open(pipe, O_WRONLY) else { throw Failure(.input, "no pipe") }
        var rest = input[...]
        while !rest.isEmpty {
          let piece = Array(rest.prefix(Int(generator.next() % 200_000) + 1))
          rest = rest.dropFirst(piece.count)
          piece.withUnsafeBytes { bytes in try? output.writeAll(bytes) }
        }
      }
      return try await bytes(of: payload)
    }
  }

  /// Stretches of 1 byte to 200 KB of every kind, 0 to 1.5 MB in all.
  private func mixture(_ generator: inout Generator) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<Int(generator.next() % 20) {
      let count = Int(generator.next() % [100, 5000, 40_000, 200_000].randomElement(using: &generator)!) + 1
      switch generator.next() % 5 {
      case 0: bytes += sample(count, seed: generator.next())
      case 1: bytes += [UInt8](repeating: UInt8(truncatingIfNeeded: generator.next()), count: count)
      case 2: bytes += bytes.suffix(count)
      case 3: bytes += (0..<count).map { UInt8(truncatingIfNeeded: $0) }
      default: bytes += (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      }
      if bytes.count > 1_300_000 { break }
    }
    return bytes
  }

  private func inflated(_ member: [UInt8]) throws -> [UInt8] {
    var stream = z_stream()
    let gzipOnly: CInt = 31
    try #require(inflateInit2_(&stream, gzipOnly, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK)
    defer { inflateEnd(&stream) }
    var input = member
    var output = [UInt8](repeating: 0, count: 4_000_000)
    let (code, count, left) = input.withUnsafeMutableBufferPointer { source in
      output.withUnsafeMutableBufferPointer { target in
        stream.next_in = source.baseAddress
        stream.avail_in = UInt32(source.count)
        stream.next_out = target.baseAddress
        stream.avail_out = UInt32(target.count)
        return (inflate(&stream, Z_FINISH), target.count - Int(stream.avail_out), stream.avail_in)
      }
    }
    #expect(code == Z_STREAM_END)
    #expect(left == 0, "there is something behind the member")
    return Array(output.prefix(count))
  }
}

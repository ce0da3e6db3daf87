import Testing

@testable import BytePath

@Suite("gunzip")
struct GunzipTests {
  @Test(
    "members of every level and size come out as they went in, in whatever pieces they come", arguments: [0, 1, 6, 9],
    [0, 1, 32768, 262_144, 1_000_000])
  func roundTrip(level: Int, size: Int) async throws {
    let input = sample(size, seed: UInt64(size + level))
    for largest in [1 + size / 50, 300_000] {
      let output = try await unpacked(PieceFeed(member(of: input, level: CInt(level)), largest: largest))
      #expect(output == input, "pieces of up to \(largest)")
    }
  }

  @Test("members of one byte a piece, with everything that a header can have")
  func headers() async throws {
    let first = sample(5000, seed: 1)
    let second = sample(300, seed: 2)
    let bytes = member(of: first, header: true) + member(of: []) + member(of: second, header: true)
    #expect(try await unpacked(PieceFeed(bytes, largest: 1)) == first + second)
  }

  @Test("bytes that are easy to compress a thousand times come out whole")
  func zeros() async throws {
    let input = [UInt8](repeating: 0, count: 20_000_000)
    #expect(try await unpacked(PieceFeed(member(of: input, level: 9), largest: 100)) == input)
  }

  @Test("random members one behind the other", arguments: 1...20)
  func members(seed: UInt64) async throws {
    var generator = Generator(state: seed)
    let parts = (0..<generator.number(1...12)).map { _ in
      sample(generator.number(0...[0, 10, 5000, 400_000].randomElement(using: &generator)!), seed: generator.next())
    }
    let bytes = parts.flatMap { member(of: $0, level: CInt(generator.number(0...9)), header: generator.next() % 2 == 0) }
    let padding = [UInt8](repeating: 0, count: generator.next() % 3 == 0 ? generator.number(1...5000) : 0)
    let output = try await unpacked(PieceFeed(bytes + padding, largest: generator.number(1...60_000), seed: seed))
    #expect(output == parts.flatMap { $0 }, "seed \(seed)")
  }

  @Test("a cut anywhere is a failure, but between two members")
  func cuts() async throws {
    let first = member(of: sample(150, seed: 3), header: true)
    let both = first + member(of: sample(100, seed: 4))
    for count in 1..<both.count where count != first.count {
      let failure = try await unpackingFailure(Array(both.prefix(count)))
      #expect(failure.kind == .input)
      #expect(failure.message == "the object ends in the middle of a gzip member, after \(count) bytes")
    }
    #expect(try await unpacked(PieceFeed(first)) == sample(150, seed: 3))
  }

  @Test("a byte flipped anywhere is a failure, or changes nothing of what comes out")
  func flips() async throws {
    let input = sample(200, seed: 5)
    let bytes = member(of: input, header: true) + member(of: input)
    var generator = Generator(state: 6)
    for index in bytes.indices {
      var damaged = bytes
      damaged[index] ^= 1 << UInt8(generator.number(0...7))
      do {
        // A time, a kind of system: nothing depends on them.
        #expect(try await unpacked(PieceFeed(damaged)) == input + input, "byte \(index)")
      } catch let failure as Failure {
        #expect(failure.kind == .input, "byte \(index): \(failure.message)")
      }
    }
  }

  @Test("what is wrong is said in one sentence")
  func words() async throws {
    let input = sample(3000, seed: 7)
    let good = member(of: input)
    func message(_ bytes: [UInt8]) async throws -> String { try await unpackingFailure(bytes).message }
    #expect(try await message([]) == "the object is not gzip: it is empty")
    #expect(try await message(Array("a".utf8)) == "the object is not gzip: it does not begin as gzip does")
    #expect(try await message(Array("\u{1f}!".utf8)) == "the object is not gzip: it does not begin as gzip does")
    #expect(try await message(Array("<html>".utf8)) == "the object is not gzip: it does not begin as gzip does")
    #expect(try await message([0, 0, 0]) == "the object is not gzip: it does not begin as gzip does")
    let behind = "the object has data after its last gzip member that is not gzip, from byte"
    #expect(try await message(good + [7]) == "\(behind) \(good.count) on")
    #expect(try await message(good + good + [0x1f, 9]) == "\(behind) \(good.count * 2) on")
    #expect(try await message(good + [0, 0, 0, 7, 0]) == "\(behind) \(good.count + 3) on")
    #expect(try await message(good + [0] + good) == "\(behind) \(good.count + 1) on")
    let other = "what comes out of the gzip member at byte \(good.count) is not what was put into it"
    #expect(
      try await message(good + good.dropLast(5) + [good[good.count - 5] ^ 1] + good.suffix(4)) == "the object fails its CRC: \(other)")
    let length = "the gzip member at byte 0 has another length than it says"
    #expect(try await message(good.dropLast() + [1]) == "the object fails its length check: \(length)")
    var method = good
    method[2] = 7
    let damaged = try await message(method)
    #expect(damaged.hasPrefix("the object is damaged at or before byte ") && damaged.hasSuffix(": unknown compression method"))
    var header = member(of: input, header: true)
    header[12] ^= 1
    #expect(try await message(header) == "the object fails its CRC: the header of the gzip member at byte 0 is damaged")
  }

  @Test("what gzip and pigz make comes out as it went in", arguments: ["gzip -1", "gzip -9", "pigz", "pigz -p 3 -b 128 --rsyncable"])
  func otherPrograms(command: String) async throws {
    try await withTemporaryFolder { folder in
      let program = command.split(separator: " ")[0]
      guard access("/usr/bin/\(program)", X_OK) == 0 || access("/bin/\(program)", X_OK) == 0 else { return }
      let input = sample(2_000_000, seed: 8)
      try write(input, to: "\(folder)/in")
      var plan = FillPlan(input: .path("\(folder)/in"))
      plan.filters = [command]
      let packed = try await fill(plan, into: try SpoolDirectory("\(folder)/spool"), Meter())
      #expect(try await unpacked(PieceFeed(try bytes(of: packed))) == input)
    }
  }
}

/// Makes a file.
func write(_ bytes: [UInt8], to path: String) throws {
  try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600).writeAll(bytes)
}

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

  @Test("the header has no time and no name")
  func header() {
    #expect(GzipFrame.header(level: 6) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])
  }

  /// Runs the byte path from a pipe that is written in random pieces to a spool.
  private func gzipped(_ input: [UInt8], level: Int, threads: Int, cuts: UInt64) async throws -> [UInt8] {
    try await withTemporaryFolder { folder in
      let pipe = "\(folder)/pipe"
      try #require(mkfifo(pipe, 0o600) == 0)
      var plan = FillPlan(input: .path(pipe))
      plan.gzip = GzipOptions(level: level, threads: threads)
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

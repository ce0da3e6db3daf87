import Foundation
import Testing

@testable import BytePath

/// SplitMix64.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }
}

/// Bytes of which some repeat and some do not.
func sample(_ size: Int, seed: UInt64) -> [UInt8] {
  var generator = Generator(state: seed)
  var bytes: [UInt8] = []
  bytes.reserveCapacity(size + 64)
  while bytes.count < size {
    let word = generator.next()
    if word % 3 == 0, bytes.count > 100 {
      let start = bytes.count - 1 - Int(word >> 8) % min(bytes.count - 1, 40_000)
      bytes.append(contentsOf: Array(bytes[start...].prefix(Int(word >> 40) % 60 + 3)))
    } else {
      bytes.append(contentsOf: (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) & 0x3f })
    }
  }
  return Array(bytes.prefix(size))
}

/// Runs `body` with a folder of its own, which is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
  let path = "/tmp/sluice-test-\(UInt64.random(in: 0 ... .max))"
  try #require(mkdir(path, 0o700) == 0)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

/// All bytes of a payload.
func bytes(of payload: Payload) throws -> [UInt8] {
  var result: [UInt8] = []
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 1)
  defer { buffer.deallocate() }
  while Int64(result.count) < payload.length {
    let count = try payload.read(into: buffer, at: Int64(result.count))
    result.append(contentsOf: buffer[..<count])
  }
  return result
}

import Foundation
import Synchronization
import Testing

@testable import BytePath

/// Spools whose pieces come in any order.
struct PartialSpoolTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-partial-\(UUID().uuidString)").path
  private let label = FetchLabel(place: "here", object: "this")

  private func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
    sample(count, seed: seed)
  }

  private func spool(_ pieces: [Range<Int64>], _ label: FetchLabel? = nil) throws -> PartialSpool {
    try PartialSpool(in: SpoolDirectory(folder), pieces: pieces, label: label)
  }

  private func pieces(_ size: Int64, of length: Int64) -> [Range<Int64>] {
    stride(from: 0, to: length, by: Int64.Stride(size)).map { $0..<min($0 + size, length) }
  }

  private func readAll(_ spool: PartialSpool) throws(Failure) -> [UInt8] {
    var all: [UInt8] = []
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 999, alignment: 1)
    defer { buffer.deallocate() }
    while true {
      let count = try spool.read(into: buffer)
      if count == 0 { return all }
      all += buffer[..<count]
    }
  }

  @Test("whatever the order in which pieces come, the reader gets them in theirs", arguments: 0..<20)
  func order(seed: UInt64) async throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var generator = Generator(state: seed)
    let all = bytes(Int.random(in: 0...20_000, using: &generator), seed)
    let cut = pieces(Int64.random(in: 1...3000, using: &generator), of: Int64(all.count))
    let spool = try spool(cut)
    async let read = onThread { () throws(Failure) in try readAll(spool) }
    var open = Array(cut.indices)
    while let place = open.indices.randomElement(using: &generator) {
      let piece = cut[open[place]]
      let start = spool.next(ofPiece: open[place])
      let end = min(piece.upperBound, start + Int64.random(in: 1...1000, using: &generator))
      try all[Int(start)..<Int(end)].withUnsafeBytes { try spool.write($0, at: start) }
      if end == piece.upperBound { open.remove(at: place) }
    }
    #expect(spool.end() == Int64(all.count))
    #expect(try await read == all)
    spool.discard()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
  }

  @Test("what has come is gone on with by the next one, but for what the disk has lost or somebody has changed")
  func journal() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let all = bytes(3 << 20, 1)
    let cut = pieces(1 << 20, of: 3 << 20)
    var first: PartialSpool? = try spool(cut, label)
    for (index, count) in [1 << 20, 600_000, 700_000].enumerated() {
      let start = index << 20
      for offset in stride(from: start, to: start + count, by: 50_000) {
        try all[offset..<min(offset + 50_000, start + count)].withUnsafeBytes { try first?.write($0, at: Int64(offset)) }
      }
    }
    let id = try #require(first?.spool.id)
    // As a kill leaves it: nothing is told to it, and its locks go.
    first = nil
    let damaged = try #require(FileHandle(forWritingAtPath: "\(folder)/\(id).data"))
    try damaged.seek(toOffset: (2 << 20) + 10)
    try damaged.write(contentsOf: [all[(2 << 20) + 10] ^ 1])
    try damaged.close()
    try SpoolDirectory(folder).sweep()
    let second = try spool(cut, label)
    #expect(second.spool.id == id)
    #expect(second.next(ofPiece: 0) == 1 << 20)
    #expect((550_000...600_000).contains(second.next(ofPiece: 1) - 1 << 20) || second.next(ofPiece: 1) >= (1 << 20) + 300_000)
    #expect(second.next(ofPiece: 2) == 2 << 20)
    #expect(second.resumed == second.count)
    for index in 1...2 {
      let start = Int(second.next(ofPiece: index))
      try all[start..<(index + 1) << 20].withUnsafeBytes { try second.write($0, at: Int64(start)) }
    }
    #expect(second.end() == 3 << 20)
    #expect(try readAll(second) == all)
    second.discard()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
  }

  @Test("another object at the same place takes nothing over, and one at another place leaves it alone")
  func otherObject() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var first: PartialSpool? = try spool([0..<10], label)
    try [UInt8]([1, 2, 3]).withUnsafeBytes { try first?.write($0, at: 0) }
    first = nil
    let elsewhere = try spool([0..<10], FetchLabel(place: "there", object: "this"))
    #expect(elsewhere.resumed == 0)
    elsewhere.discard()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
    let other = try spool([0..<10], FetchLabel(place: "here", object: "that"))
    #expect(other.resumed == 0)
    other.discard()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
  }

  @Test("bytes that come again must be the same")
  func compared() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let spool = try spool([0..<4, 4..<Int64(8)])
    try [UInt8]([1, 2, 3]).withUnsafeBytes { try spool.write($0, at: 0) }
    try [UInt8]([1, 2, 3, 4, 5, 6]).withUnsafeBytes { try spool.write($0, at: 0) }
    #expect(spool.next(ofPiece: 1) == 6)
    #expect(throws: Failure.replaced("the object")) { try [UInt8]([1, 9]).withUnsafeBytes { try spool.write($0, at: 0) } }
    #expect(spool.end() == nil)
    spool.discard()
  }

  @Test("a reader that waits is told of a failure, after what had come before it")
  func failure() async throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let spool = try spool([0..<Int64.max])
    try [UInt8]([1, 2]).withUnsafeBytes { try spool.write($0, at: 0) }
    let read = Task { () throws in try await onThread { () throws(Failure) in try readAll(spool) } }
    let failure = Failure(.server, "gone")
    spool.fail(failure)
    await #expect(throws: failure) { try await read.value }
    spool.discard()
  }
}

import Synchronization
import Testing

@testable import BytePath

/// Bytes that are handed on a few at a time.
struct StreamFeedTests {
  private func readAll(_ feed: StreamFeed, atATime size: Int = 1 << 16) throws(Failure) -> [UInt8] {
    var all: [UInt8] = []
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
    defer { buffer.deallocate() }
    while true {
      let count = try feed.read(into: buffer)
      if count == 0 { return all }
      all += buffer[..<count]
    }
  }

  @Test("all comes in its order, and who brings it waits for who reads it", arguments: [1, 7777, 1 << 20])
  func order(atATime size: Int) async throws {
    let all = sample(size == 1 ? 3000 : 20 << 20, seed: 3)
    let feed = StreamFeed()
    async let read = onThread { () throws(Failure) in try readAll(feed, atATime: size) }
    var most = 0
    for start in stride(from: 0, to: all.count, by: 100_000) {
      let end = min(start + 100_000, all.count)
      #expect(all[start..<end].withUnsafeBytes { feed.take($0) })
      most = max(most, feed.queued)
      await feed.untilReady()
    }
    feed.end()
    #expect(try await read == all)
    #expect(most <= 5 << 20)
  }

  @Test("a reader gets what came before a failure, then the failure; one that has stopped lets go of who waits")
  func ends() async throws {
    let feed = StreamFeed()
    _ = [UInt8]([1, 2]).withUnsafeBytes { feed.take($0) }
    let failure = Failure(.server, "gone")
    feed.fail(failure)
    #expect(throws: failure) { try readAll(feed) }
    let stopped = StreamFeed()
    let piece = [UInt8](repeating: 0, count: 1 << 20)
    for _ in 0..<6 { _ = piece.withUnsafeBytes { stopped.take($0) } }
    async let waiting: Void = stopped.untilReady()
    stopped.stop()
    await waiting
    #expect(!piece.withUnsafeBytes { stopped.take($0) })
    #expect(throws: Failure.interrupted) { try readAll(stopped) }
  }
}

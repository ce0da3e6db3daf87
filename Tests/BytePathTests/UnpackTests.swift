import Foundation
import Synchronization
import Testing

@testable import BytePath

@Suite("unpack")
struct UnpackTests {
  /// As the program does at its start.
  init() { signal(SIGPIPE, SIG_IGN) }

  @Test("without filters and gzip the object comes out as it is, and its hashes are those that were asked for", arguments: [0, 1, 700_000])
  func plain(size: Int) async throws {
    let input = sample(size, seed: 1)
    let (feed, meter) = (PieceFeed(input, largest: 30_000), Meter())
    let result = try await unpack(feed, UnpackPlan(), hashing: [.md5], to: .nowhere, meter)
    #expect(Set(result.objectDigests) == [Checksum(.md5, of: input), Checksum(.sha256, of: input)])
    #expect(result.outputDigest == Checksum(.sha256, of: input))
    #expect(result.objectLength == Int64(size) && result.outputLength == Int64(size))
    #expect(meter.input == Int64(size) && meter.object == Int64(size))
    #expect(result.payload == nil && result.handedOver == 0 && !result.hasReaderGone)
  }

  @Test("filters change the object in their order, then it is unpacked, and both ends are hashed")
  func filters() async throws {
    let input = sample(500_000, seed: 2)
    let packed = member(of: input)
    let object = packed.map { $0 ^ 0x80 }
    try await withTemporaryFolder { folder in
      // Octal 200 to 377 and 0 to 177 change places.
      var plan = plan("tr '\\000-\\377' '\\200-\\377\\000-\\177'", "cat")
      plan.gunzips = true
      let result = try await unpack(PieceFeed(object), plan, hashing: [], to: spool(folder), Meter())
      let payload = try #require(result.payload)
      #expect(try bytes(of: payload) == input)
      #expect(result.objectDigests == [Checksum(.sha256, of: object)])
      #expect(result.outputDigest == Checksum(.sha256, of: input))
      #expect(payload.length == Int64(input.count) && payload.inputLength == Int64(object.count))
    }
  }

  @Test("a filter that wants only a part, or nothing, of its input is right if it says so")
  func shortFilters() async throws {
    let input = sample(3_000_000, seed: 3)
    for (line, output) in [("head -c 10", Array(input.prefix(10))), ("echo hi", Array("hi\n".utf8)), (":", [])] {
      let result = try await unpack(PieceFeed(input), plan(line), hashing: [], to: .nowhere, Meter())
      #expect(result.outputDigest == Checksum(.sha256, of: output), "\(line)")
      #expect(result.objectDigests == [Checksum(.sha256, of: input)], "\(line)")
    }
  }

  @Test(
    "a filter that fails is a failure, whatever it wrote",
    arguments: ["cat; exit 3", "exit 3", "cat >/dev/null; exit 3", "head -c 9; exit 3"])
  func failingFilter(line: String) async throws {
    try await withTemporaryFolder { folder in
      let failure = await self.failure(PieceFeed(sample(900_000, seed: 4)), plan(line), to: spool(folder))
      #expect(failure?.message == "the filter \(line) exited with status 3")
      #expect(failure?.kind == .input)
      let left = try spoolNames("\(folder)/spool")
      #expect(left == [])
    }
  }

  @Test("a filter that is ended by a signal is a failure")
  func killedFilter() async throws {
    let failure = await self.failure(PieceFeed(sample(9000, seed: 4)), plan("cat; kill -9 $$"), to: .nowhere)
    #expect(failure?.message == "the filter cat; kill -9 $$ was ended by signal 9")
  }

  @Test("what the filters make of it must be gzip where that is asked for")
  func filterWithoutGzip() async throws {
    var plan = plan("cat", "head -c 20")
    plan.gunzips = true
    let failure = await self.failure(PieceFeed(member(of: sample(5000, seed: 5))), plan, to: .nowhere)
    #expect(failure?.message == "the filter's output ends in the middle of a gzip member, after 20 bytes")
  }

  @Test("a feed that fails is no end of the object", arguments: [[], ["cat"], ["cat", "sed p"]], [false, true])
  func failingFeed(filters: [String], gunzips: Bool) async throws {
    var plan = UnpackPlan()
    plan.filters = filters
    plan.gunzips = gunzips
    let packed = member(of: sample(600_000, seed: 6))
    try await withTemporaryFolder { folder in
      // Also where it seems to be whole.
      for count in [0, 1, packed.count / 2, packed.count] {
        let feed = PieceFeed(Array(packed.prefix(count)), end: .fails)
        #expect(await failure(feed, plan, to: spool(folder)) == PieceFeed.failure, "after \(count)")
      }
      let left = try spoolNames("\(folder)/spool")
      #expect(left == [])
    }
  }

  @Test("a reader of the pipe gets every byte, and one that has enough is no failure", arguments: [nil, 10, 100_000])
  func pipe(limit: Int?) async throws {
    let input = sample(1_500_000, seed: 7)
    let pipe = try makePipe()
    let got = Mutex<[UInt8]>([])
    let crew = Crew()
    crew.start { _ in
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit.map { min($0, 65536) } ?? 65536, alignment: 1)
      defer { buffer.deallocate() }
      while got.withLock({ $0.count }) < limit ?? .max {
        let count = try pipe.read.read(into: buffer)
        if count == 0 { break }
        got.withLock { $0 += buffer[..<count] }
      }
      try pipe.read.close()
    }
    let meter = Meter()
    var plan = UnpackPlan()
    plan.gunzips = true
    let result = try await unpack(PieceFeed(member(of: input)), plan, hashing: [], to: .descriptor(pipe.write), meter)
    try pipe.write.close()
    try await crew.finish("limit \(limit ?? -1)")
    let bytes = got.withLock { $0 }
    #expect(bytes == Array(input.prefix(bytes.count)))
    #expect(result.hasReaderGone == (limit != nil))
    #expect(limit == nil ? result.handedOver == Int64(input.count) : result.handedOver >= Int64(bytes.count))
    #expect(meter.sent == result.handedOver)
    #expect(result.outputDigest == Checksum(.sha256, of: input))
  }

  @Test("a reader that takes nothing does not hold up a failure")
  func fullPipe() async throws {
    let pipe = try makePipe()
    let meter = Meter()
    // More than the pipe has room for, and no more than what is under way at a time.
    let feed = PieceFeed(sample(1_900_000, seed: 8), largest: .max, end: .fails)
    #expect(await failure(feed, UnpackPlan(), to: .descriptor(pipe.write), meter) == PieceFeed.failure)
    // It is still open: what it has is not the end.
    #expect(pipe.write.raw >= 0)
    pipe.read.stopBlocking()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 1)
    defer { buffer.deallocate() }
    var count: Int64 = 0
    while let more = try? pipe.read.read(into: buffer), more > 0 { count += Int64(more) }
    #expect(count == meter.sent)
    withExtendedLifetime(pipe.write) {}
  }

  @Test("a cancelled run ends, whatever it waits for, and leaves neither child nor spool", arguments: [false, true])
  func cancel(feedWaits: Bool) async throws {
    try await withTemporaryFolder { folder in
      let pid = "\(folder)/pid"
      let plan = plan("echo $$ > '\(pid)'; exec \(feedWaits ? "cat" : "sleep 1000")")
      let feed = PieceFeed(sample(3_000_000, seed: 9), end: feedWaits ? .waits : .whole)
      let output = spool(folder)
      let run = Task { await failure(feed, plan, to: output) }
      try await wait { ((try? String(contentsOfFile: pid, encoding: .utf8)) ?? "").hasSuffix("\n") }
      let child = try #require(pid_t(String(contentsOfFile: pid, encoding: .utf8).dropLast()))
      run.cancel()
      #expect(await run.value == .interrupted)
      #expect(kill(child, 0) == -1 && errno == ESRCH)
      let left = try spoolNames("\(folder)/spool")
      #expect(left == [])
    }
  }

  @Test("a run that was cancelled before it began ends")
  func cancelledBefore() async throws {
    let run = Task {
      while !Task.isCancelled { await Task.yield() }
      return await failure(PieceFeed([], end: .waits), plan("cat"), to: .nowhere)
    }
    run.cancel()
    #expect(await run.value == .interrupted)
  }

  @Test("a disk that is full is a failure of the spool, and nothing stays there", .enabled(if: getuid() == 0), arguments: [1, 3])
  func fullDisk(threads: Int) async throws {
    try await withTemporaryFolder { folder in
      let disk = "\(folder)/disk"
      try #require(mkdir(disk, 0o700) == 0)
      // Not in every container.
      guard try await run("mount -t tmpfs -o size=300k tmpfs '\(disk)' 2>/dev/null") == nil else { return }
      var plan = UnpackPlan()
      plan.gunzips = true
      plan.threads = threads
      plan.leastSegment = 1000
      let object = (0..<12).flatMap { member(of: sample(50_000, seed: $0)) }
      let store = ComingStore(object, areThere: true)
      let failure = await self.failure(store, plan, to: .spool { () throws(Failure) in try SpoolDirectory("\(disk)/spool") })
      let left = try? spoolNames("\(disk)/spool")
      _ = try await run("umount -l '\(disk)'")
      #expect(failure?.kind == .spool)
      #expect(failure?.message.contains("no space left on device") == true)
      #expect(left == [])
    }
  }

  private func run(_ line: String) async throws -> String? {
    try await Command(shell: line, role: "command").run(input: nil, output: nil)
  }

  private func plan(_ filters: String...) -> UnpackPlan {
    var plan = UnpackPlan()
    plan.filters = filters
    return plan
  }

  private func spool(_ folder: String) -> UnpackOutput {
    .spool { () throws(Failure) in try SpoolDirectory("\(folder)/spool") }
  }

  private func failure(_ feed: any ByteFeed, _ plan: UnpackPlan, to output: UnpackOutput, _ meter: Meter = Meter()) async -> Failure? {
    do throws(Failure) {
      _ = try await unpack(feed, plan, hashing: [], to: output, meter)
      return nil
    } catch {
      return error
    }
  }
}

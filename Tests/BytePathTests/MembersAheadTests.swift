import Testing

@testable import BytePath

@Suite("members side by side")
struct MembersAheadTests {
  @Test("what comes out is what comes out in order, and so is what is said of a damaged object", arguments: 1...60)
  func sameAsInOrder(seed: UInt64) async throws {
    var generator = Generator(state: seed)
    let object = object(&generator)
    let expected = await outcome(PieceFeed(object), threads: 1, least: 0)
    for _ in 0..<3 {
      let least = Int64(generator.number(1...[10, 500, 20_000].randomElement(using: &generator)!))
      let areThere = generator.next() % 2 == 0
      let store = ComingStore(object, areThere: areThere)
      let crew = Crew()
      if !areThere {
        let step = generator.number(1...max(1, object.count / 3))
        crew.start { _ in
          var generator = Generator(state: seed)
          for _ in 0...object.count / step {
            generator.pause()
            store.bring(step)
          }
        }
      }
      let threads = generator.number(2...5)
      let got = await outcome(store, threads: threads, least: least)
      #expect(got == expected, "seed \(seed), \(threads) threads, segments of \(least)")
      try await crew.finish("seed \(seed)")
    }
  }

  @Test("members that stand inside a member are no members, whatever lengths stand before them", arguments: 1...20)
  func membersInside(seed: UInt64) async throws {
    var generator = Generator(state: seed)
    // Two that follow each other, so that what lies between their beginnings is whole, and makes much where the outer one makes its bytes too.
    let zeros = member(of: [UInt8](repeating: 0, count: 400_000))
    var input = (0..<2000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    for _ in 0..<4 {
      input += [UInt8(truncatingIfNeeded: generator.next()), UInt8(generator.next() % 64), 0, 0] + zeros + zeros
      input += sample(generator.number(0...400_000), seed: seed)
    }
    let object = member(of: input, level: 0) + member(of: input, level: 0)
    let got = await outcome(ComingStore(object, areThere: true), threads: 3, least: 50)
    #expect(got == .success(input + input), "seed \(seed)")
  }

  @Test("a store that fails is no end of the object", arguments: 1...8)
  func failingStore(seed: UInt64) async throws {
    var generator = Generator(state: seed)
    let object = (0..<9).flatMap { member(of: sample(3000, seed: $0)) }
    let got = await outcome(ComingStore(object, areThere: true, fails: true), threads: 3, least: Int64(generator.number(1...9000)))
    #expect(got == .failure(PieceFeed.failure))
  }

  @Test("a cancelled run ends, whoever waits for what")
  func cancel() async throws {
    let object = (0..<40).flatMap { member(of: sample(30_000, seed: $0)) }
    // The second half never comes.
    let store = ComingStore(object, areThere: false)
    store.bring(object.count / 2)
    let run = Task { await outcome(store, threads: 3, least: 100) }
    run.cancel()
    #expect(await run.value == .failure(.interrupted))
  }

  @Test("helpers write ahead what the leader then skips")
  func skip() async throws {
    try await withSpool { spool in
      let parts = (0..<3).map { sample(1000, seed: $0) }
      let members = parts.map { member(of: $0) }
      let (first, second) = (Int64(members[0].count), Int64(members[0].count + members[1].count))
      let end = second + Int64(members[2].count)
      let ahead = MembersAhead(leastSegment: 100, spool)
      #expect(try ahead.begin(at: 0, made: 0) == .unpack)
      MemberScanner.scan(ComingStore(members.flatMap(\.self), areThere: true), ahead)
      for place in [first, second] {
        let work = try #require(ahead.next())
        #expect(work.segment.bytes.lowerBound == place)
        #expect(work.place == (place == first ? 1000 : 2000))
        let part = parts[place == first ? 1 : 2]
        #expect(part.withUnsafeBytes { ahead.write($0, of: work, at: 0) })
        ahead.end(work, isRight: place == second)
      }
      // The first of them did not come out well.
      #expect(try ahead.begin(at: first, made: 1000) == .unpack)
      #expect(try ahead.begin(at: second, made: 2000) == .skip(to: end, made: 1000))
    }
  }

  @Test("a guess that is wrong is cut off, and the next begins where it may be right")
  func wrongGuess() async throws {
    try await withSpool { spool in
      let ahead = MembersAhead(leastSegment: 10, spool)
      #expect(try ahead.begin(at: 0, made: 0) == .unpack)
      for (place, length) in [(100, 50), (200, 60), (300, 70), (400, 80)] { #expect(ahead.found(Int64(place), length: UInt32(length))) }
      let wrong = try #require(ahead.next())
      #expect(wrong.place == 50)
      #expect([UInt8](repeating: 1, count: 60).withUnsafeBytes { ahead.write($0, of: wrong, at: 0) })
      #expect(try size(of: spool) == 110)
      // The member goes on behind its guessed end: all beyond what it has made is gone, and nobody writes there.
      try ahead.advance(to: 90, made: 51)
      #expect(try size(of: spool) == 51)
      #expect(![UInt8](repeating: 1, count: 60).withUnsafeBytes { ahead.write($0, of: wrong, at: 0) })
      ahead.end(wrong, isRight: true)
      #expect(try ahead.begin(at: 150, made: 80) == .unpack)
      #expect(try ahead.begin(at: 200, made: 120) == .unpack)
      let right = try #require(ahead.next())
      // That of 200 is the leader's, who has made 120 bytes before it; 70 are to come out of it.
      #expect(right.segment.bytes == 300..<400 && right.place == 190)
    }
  }

  @Test(
    "every header that can be one is found, wherever the bytes are cut", arguments: [0, 4, 14, 262_144, 262_157, 262_158, 262_400, 524_300])
  func headers(place: Int) async throws {
    try await withSpool { spool in
      var bytes = [UInt8](repeating: 0x1f, count: place) + member(of: sample(100, seed: 1))
      if place >= 4 { bytes.replaceSubrange(place - 4..<place, with: [7, 0, 0, 0]) }
      let ahead = MembersAhead(leastSegment: 1, spool)
      MemberScanner.scan(ComingStore(bytes, areThere: true), ahead)
      let work = place > 3 ? ahead.next() : nil
      #expect(work?.segment.bytes.lowerBound == (place > 3 ? Int64(place) : nil))
      #expect(work?.segment.output == (place > 3 ? 7..<107 : nil))
    }
  }

  /// Members of every kind, some of which have in them what looks like members; mostly whole.
  private func object(_ generator: inout Generator) -> [UInt8] {
    var object: [UInt8] = []
    for _ in 0..<generator.number(1...12) {
      var input = sample(generator.number(0...[20, 3000, 60_000].randomElement(using: &generator)!), seed: generator.next())
      for _ in 0..<(generator.next() % 3 == 0 ? generator.number(1...8) : 0) {
        // Whole members, halves of them, and lengths that are right or wrong before them.
        let inner = member(of: sample(generator.number(0...3000), seed: generator.next()), level: CInt(generator.number(0...9)))
        let length = [UInt8(truncatingIfNeeded: generator.next()), UInt8(generator.next() % 4), 0, generator.next() % 4 == 0 ? 1 : 0]
        let planted = length + inner.prefix(generator.next() % 3 == 0 ? generator.number(0...inner.count) : inner.count)
        let place = generator.number(0...input.count)
        input.insert(contentsOf: planted, at: place)
        if generator.next() % 2 == 0 { input.insert(contentsOf: planted.dropFirst(4), at: place) }
      }
      object += member(of: input, level: CInt(generator.next() % 2 == 0 ? 0 : generator.number(1...9)), header: generator.next() % 4 == 0)
    }
    switch generator.next() % 8 {
    case 0: object.removeLast(generator.number(0...object.count))
    case 1: object += (0..<generator.number(1...30)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    case 2: object += [UInt8](repeating: 0, count: generator.number(1...3000))
    case 3: object[generator.number(0...object.count - 1)] ^= 1 << UInt8(generator.number(0...7))
    default: break
    }
    return object
  }

  private func outcome(_ feed: any ByteFeed, threads: Int, least: Int64) async -> Result<[UInt8], Failure> {
    do {
      return .success(try await unpacked(feed, threads: threads, leastSegment: least))
    } catch let failure as Failure {
      return .failure(failure)
    } catch {
      return .failure(Failure(.usage, "\(error)"))
    }
  }

  private func withSpool(_ body: (Spool) async throws -> Void) async throws {
    try await withTemporaryFolder { folder in
      let spool = try Spool.create(in: try SpoolDirectory("\(folder)/spool"))
      defer { spool.remove() }
      try await body(spool)
    }
  }

  private func size(of spool: Spool) throws -> Int64 { Int64(try spool.data.status().st_size) }
}

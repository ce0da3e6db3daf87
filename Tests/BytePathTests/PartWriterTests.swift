import Synchronization
import Testing

@testable import BytePath

@Suite("part writer under stress")
struct PartWriterTests {
  @Test("parts hold the input in order, each with its hash, and no more spools are there than there may be")
  func parts() async throws {
    for _ in 0..<6 {
      let seed = UInt64.random(in: 0 ... .max)
      var generator = Generator(state: seed)
      let most = generator.number(1...5)
      let input = sample(generator.number(0...150_000), seed: seed)
      let size = max(1, input.count / generator.number(1...40))
      try await withTemporaryFolder { folder in
        try await pass(input, size: size, most: most, senders: generator.number(1...4), seed, "\(folder)/spool")
      }
    }
  }

  @Test("a writer that waits for room is let go when it is stopped, and leaves only the parts that it has handed on")
  func stop() async throws {
    for round in 0..<10 {
      try await withTemporaryFolder { folder in
        let crew = Crew()
        let handedOn = Mutex<[Part]>([])
        let writer = PartWriter(
          size: 10, atATime: 2, Meter(), in: { () throws(Failure) in try SpoolDirectory("\(folder)/spool") }
        ) { part in handedOn.withLock { $0.append(part) } }
        crew.start { _ in
          do throws(Failure) {
            for _ in 0..<10 { try append([UInt8](repeating: 7, count: 7), to: writer) }
            crew.expect(false, "a third part was made")
          } catch {
            crew.expect(error == .interrupted, "\(error)")
          }
        }
        // In half of the rounds it surely waits, in the others it may be anywhere.
        if round % 2 == 0 { try await wait { handedOn.withLock { $0.count } == 2 } }
        writer.stop()
        try await crew.finish("round \(round)")
        #expect(throws: Failure.interrupted) { try append([1], to: writer) }
        writer.discard()
        let parts = handedOn.withLock { $0 }
        #expect(try spools(in: "\(folder)/spool").sorted() == parts.compactMap { $0.payload.spool.map { "\($0.id).data" } }.sorted())
        #expect(parts.map(\.number) == Array(1..<parts.count + 1))
      }
    }
  }

  @Test("the part that is not complete is removed with the writer that gives up, and those before it stay")
  func discard() async throws {
    try await withTemporaryFolder { folder in
      let handedOn = Mutex<[Part]>([])
      let writer = PartWriter(
        size: 10, atATime: 3, Meter(), in: { () throws(Failure) in try SpoolDirectory("\(folder)/spool") }
      ) { part in handedOn.withLock { $0.append(part) } }
      try append([UInt8](repeating: 7, count: 17), to: writer)
      #expect(try spools(in: "\(folder)/spool").count == 2)
      writer.discard()
      #expect(try spools(in: "\(folder)/spool") == handedOn.withLock { $0.compactMap(\.payload.spool).map { "\($0.id).data" } })
    }
  }

  @Test("as many are let in as there is room for, and all who wait are let go when it is closed")
  func room() async throws {
    let seed = UInt64.random(in: 0 ... .max)
    let (room, crew) = (PartRoom(3), Crew())
    let inside = Atomic(0)
    let entries = Atomic(0)
    crew.start(8) { thread in
      var generator = Generator(state: seed &+ UInt64(thread))
      while room.enter() {
        let now = inside.add(1, ordering: .acquiringAndReleasing).newValue
        crew.expect(now <= 3, "\(now) are inside")
        generator.pause()
        inside.subtract(1, ordering: .acquiringAndReleasing)
        entries.add(1, ordering: .relaxed)
        room.leave()
      }
    }
    try await wait { entries.load(ordering: .relaxed) >= 5000 }
    room.close()
    try await crew.finish("seed \(seed)")
    #expect(!room.enter())
  }

  private func pass(_ input: [UInt8], size: Int, most: Int, senders: Int, _ seed: UInt64, _ folder: String) async throws {
    let context = "seed \(seed): \(input.count) bytes by \(size), \(most) at a time, \(senders) senders"
    let crew = Crew()
    let begun = Atomic(0)
    let ended = Atomic(0)
    // The parts on their way to the senders; nil for the end.
    let queue = Monitor([Part?](), conditions: 1)
    let numbers = Mutex<[Int]>([])
    let writer = PartWriter(
      size: Int64(size), atATime: most, Meter(),
      in: { () throws(Failure) in
        let now = begun.add(1, ordering: .acquiringAndReleasing).newValue - ended.load(ordering: .acquiring)
        crew.expect(now <= most, "\(now) parts at a time")
        return try SpoolDirectory(folder)
      }
    ) { part in
      numbers.withLock { $0.append(part.number) }
      queue.update { $0.append(part) }
      queue.wakeOne(0)
    }
    crew.start { _ in
      var generator = Generator(state: seed ^ 1)
      var rest = input[...]
      while !rest.isEmpty {
        let piece = Array(rest.prefix(generator.number(1...2 * size)))
        try append(piece, to: writer)
        rest = rest.dropFirst(piece.count)
        generator.pause()
      }
      try writer.finish()
      queue.update { $0.append(nil) }
      queue.wakeAll()
    }
    crew.start(senders) { sender in
      var generator = Generator(state: seed &+ UInt64(sender) &+ 2)
      while let part = queue.wait(for: 0, PartWriterTests.next) {
        let expected = Array(input.dropFirst((part.number - 1) * size).prefix(size))
        crew.expect(try bytes(of: part.payload) == expected, "part \(part.number) has other bytes")
        crew.expect(part.sha256 == Checksum(.sha256, of: expected), "part \(part.number) has another hash")
        generator.pause()
        part.payload.spool?.remove()
        ended.add(1, ordering: .acquiringAndReleasing)
        part.end()
      }
    }
    try await crew.finish(context)
    let count = max(1, (input.count + size - 1) / size)
    #expect(numbers.withLock { $0 } == Array(1...count), "\(context)")
    #expect(ended.load(ordering: .acquiring) == count, "\(context)")
    #expect(try spools(in: folder).isEmpty, "\(context)")
  }

  /// The part that was handed on first; `nil` inside at the end, which stays there for all.
  private static func next(_ queue: inout [Part?]) -> Part?? {
    guard let first = queue.first else { return nil }
    return .some(first.map { _ in queue.removeFirst() } ?? nil)
  }

  private func append(_ bytes: [UInt8], to writer: PartWriter) throws(Failure) {
    try bytes.span.bytes.withUnsafeBytes { (buffer) throws(Failure) in try writer.append(buffer) }
  }

  private func spools(in folder: String) throws -> [String] {
    try SpoolDirectory(folder).names().filter { $0.hasSuffix(".data") }
  }
}

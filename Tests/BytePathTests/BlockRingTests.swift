import Synchronization
import Testing

@testable import BytePath

@Suite("block ring under stress")
struct BlockRingTests {
  private struct Shape: CustomStringConvertible {
    let seed: UInt64
    let places: Int
    let workers: Int
    let consumers: Int
    let blocks: Int

    init(_ seed: UInt64) {
      self.seed = seed
      var generator = Generator(state: seed)
      places = generator.number(2...6)
      workers = generator.number(0...4)
      consumers = generator.number(1...3)
      blocks = generator.number(1...400)
    }

    var ring: BlockRing { BlockRing(count: places, hasWorkers: workers > 0, consumers: consumers) }
    var description: String { "seed \(seed): \(places) places, \(workers) workers, \(consumers) consumers, \(blocks) blocks" }
  }

  @Test("each consumer gets every block once, whole and in order, and no more blocks are made than the ring has places")
  func order() async throws {
    for _ in 0..<20 {
      let shape = Shape(.random(in: 0 ... .max))
      let counts = try await run(shape, stopAt: nil)
      #expect(counts.allSatisfy { $0 == shape.blocks }, "\(shape): \(counts)")
    }
  }

  @Test("a ring that is stopped at any moment lets everybody go, and what came before was in order")
  func stop() async throws {
    for _ in 0..<30 {
      let shape = Shape(.random(in: 0 ... .max))
      var generator = Generator(state: ~shape.seed)
      _ = try await run(shape, stopAt: generator.number(0...shape.blocks))
    }
  }

  @Test("a stop wakes a reader whose ring is full, and everybody who comes later")
  func stopWhenFull() async throws {
    for workers in [0, 2] {
      let ring = BlockRing(count: 3, hasWorkers: workers > 0, consumers: 2)
      let crew = Crew()
      let filled = Atomic(0)
      crew.start { _ in
        while ring.blockToFill() != nil {
          ring.filled()
          filled.add(1, ordering: .relaxed)
        }
      }
      try await wait { filled.load(ordering: .relaxed) == 3 }
      ring.stop()
      try await crew.finish("\(workers) workers")
      #expect(filled.load(ordering: .relaxed) == 3)
      #expect(ring.blockToFill() == nil && ring.blockToCompress() == nil && ring.block(for: 0) == nil && ring.block(for: 1) == nil)
    }
  }

  @Test("a close wakes every worker and consumer that waits for a block, and leaves nothing behind")
  func close() async throws {
    for round in 0..<30 {
      let seed = UInt64.random(in: 0 ... .max)
      var generator = Generator(state: seed)
      let ring = BlockRing(count: 4, hasWorkers: true, consumers: 3)
      let crew = Crew()
      let got = Atomic(0)
      crew.start(4) { _ in
        while let work = ring.blockToCompress() { ring.compressed(work.number) }
      }
      crew.start(3) { consumer in
        while ring.block(for: consumer) != nil {
          got.add(1, ordering: .relaxed)
          ring.consumed(by: consumer)
        }
      }
      let blocks = round % 3
      for _ in 0..<blocks {
        _ = ring.blockToFill()
        ring.filled()
      }
      // The threads are anywhere between their start and their wait.
      usleep(UInt32(generator.next() % 500))
      ring.close()
      try await crew.finish("seed \(seed)")
      #expect(got.load(ordering: .relaxed) == 3 * blocks, "seed \(seed)")
    }
  }

  /// Sends numbered blocks through a ring.
  ///
  /// - Parameter stopAt: at which block the first consumer stops the ring.
  /// - Returns: how many blocks each consumer had.
  private func run(_ shape: Shape, stopAt: Int?) async throws -> [Int] {
    let (ring, crew) = (shape.ring, Crew())
    let made = Mutex<Set<ObjectIdentifier>>([])
    let consumed = Mutex([Int](repeating: 0, count: shape.consumers))
    crew.start { _ in
      var generator = Generator(state: shape.seed ^ 1)
      for number in 0..<shape.blocks {
        guard let block = ring.blockToFill() else { return }
        _ = made.withLock { $0.insert(ObjectIdentifier(block)) }
        let slowest = consumed.withLock { $0.min() ?? 0 }
        crew.expect(number - slowest < shape.places, "block \(number) is filled while \(slowest) is in use")
        block.input.storeBytes(of: number, as: Int.self)
        block.inputCount = MemoryLayout<Int>.size
        block.isLast = number == shape.blocks - 1
        if shape.workers == 0 { block.appendInput(block.inputBytes) }
        generator.pause()
        ring.filled()
      }
      ring.close()
    }
    crew.start(shape.workers) { worker in
      var generator = Generator(state: shape.seed &+ UInt64(worker) &+ 2)
      while let work = ring.blockToCompress() {
        let number = work.block.input.load(as: Int.self)
        crew.expect(number == work.number, "a worker got \(number) as \(work.number)")
        generator.pause()
        work.block.outputSpace.storeBytes(of: number, as: Int.self)
        work.block.appendOutput(MemoryLayout<Int>.size)
        ring.compressed(work.number)
      }
    }
    crew.start(shape.consumers) { consumer in
      var generator = Generator(state: shape.seed &+ UInt64(consumer) &+ 100)
      var next = 0
      while true {
        if consumer == 0, next == stopAt { ring.stop() }
        guard let block = ring.block(for: consumer) else { return }
        let numbers = block.objectPieces.map { $0.load(as: Int.self) }
        crew.expect(numbers == [next], "consumer \(consumer) got \(numbers) for \(next)")
        crew.expect(block.isLast == (next == shape.blocks - 1), "consumer \(consumer), block \(next): isLast")
        generator.pause()
        next += 1
        consumed.withLock { $0[consumer] = next }
        ring.consumed(by: consumer)
      }
    }
    try await crew.finish("\(shape), stop at \(stopAt.map(String.init) ?? "none")")
    #expect(made.withLock { $0.count } <= shape.places, "\(shape)")
    return consumed.withLock { $0 }
  }
}

import Synchronization
import Testing

@testable import BytePath

@Suite("monitor under stress")
struct MonitorTests {
  @Test("changes do not get between each other")
  func exclusion() async throws {
    let (monitor, crew) = (Monitor((count: 0, copy: 0), conditions: 1), Crew())
    crew.start(8) { thread in
      var generator = Generator(state: UInt64(thread))
      for _ in 0..<2000 {
        monitor.update { state in
          crew.expect(state.count == state.copy, "a change was seen half done")
          state.count += 1
          if generator.next() % 256 == 0 { sched_yield() }
          state.copy += 1
        }
      }
    }
    try await crew.finish("8 threads")
    #expect(monitor.update { $0 } == (16_000, 16_000))
  }

  @Test("threads that wake only the next one hand a turn on without end: no wake-up is lost")
  func turns() async throws {
    let (threads, rounds) = (6, 700)
    let (monitor, crew) = (Monitor(0, conditions: threads), Crew())
    crew.start(threads) { thread in
      for _ in 0..<rounds {
        monitor.wait(for: thread) { turn in turn % threads == thread ? () : nil }
        monitor.update { $0 += 1 }
        monitor.wakeOne((thread + 1) % threads)
      }
    }
    try await crew.finish("\(threads) threads")
    #expect(monitor.update { $0 } == threads * rounds)
  }

  @Test("a queue with room for three loses nothing, doubles nothing and keeps the order of each producer")
  func queue() async throws {
    let seed = UInt64.random(in: 0 ... .max)
    let (producers, items, room) = (4, 600, 3)
    let (isFree, isFilled) = (0, 1)
    let monitor = Monitor((queue: [(producer: Int, item: Int)](), taken: 0, most: 0), conditions: 2)
    let crew = Crew()
    let got = Mutex([[Int]](repeating: [], count: producers))
    crew.start(producers) { producer in
      var generator = Generator(state: seed &+ UInt64(producer))
      for item in 0..<items {
        monitor.wait(for: isFree) { state -> Void? in
          guard state.queue.count < room else { return nil }
          state.queue.append((producer, item))
          state.most = max(state.most, state.queue.count)
          return ()
        }
        monitor.wakeOne(isFilled)
        generator.pause()
      }
    }
    crew.start(3) { consumer in
      var generator = Generator(state: ~seed &+ UInt64(consumer))
      while true {
        let isMore = monitor.wait(for: isFilled) { state -> Bool? in
          if state.taken == producers * items { return false }
          guard !state.queue.isEmpty else { return nil }
          let (producer, item) = state.queue.removeFirst()
          state.taken += 1
          got.withLock { $0[producer].append(item) }
          return true
        }
        guard isMore else { break }
        monitor.wakeOne(isFree)
        generator.pause()
      }
      monitor.wakeAll()
    }
    try await crew.finish("seed \(seed)")
    #expect(got.withLock { $0 } == Array(repeating: Array(0..<items), count: producers), "seed \(seed)")
    #expect(monitor.update { $0.most } == room, "seed \(seed)")
  }

  @Test("waking all wakes every thread of every condition, wherever it was")
  func wakeAll() async throws {
    for _ in 0..<50 {
      let seed = UInt64.random(in: 0 ... .max)
      var generator = Generator(state: seed)
      let (monitor, crew) = (Monitor(false, conditions: 3), Crew())
      crew.start(9) { thread in monitor.wait(for: thread % 3) { isOver in isOver ? () : nil } }
      usleep(UInt32(generator.next() % 400))
      monitor.update { $0 = true }
      monitor.wakeAll()
      try await crew.finish("seed \(seed)")
    }
  }
}

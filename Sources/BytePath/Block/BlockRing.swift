/// The bounded set of blocks of a run, and the order in which they pass.
///
/// A block's life: the reader takes the next free one and fills it; a worker takes the oldest filled one and compresses it; each consumer
/// (the writer, the hasher) takes the oldest block it has not had as soon as that is done, and lets go of it; it is free when all have. So
/// the order of the input is the order of the output whatever the workers' pace, the memory of a run is that of its blocks, and whoever is
/// too fast waits: that is all the back-pressure there is. Without workers a filled block is done at once.
///
/// Blocks are made when they are first needed, so a short input costs one.
final class BlockRing: Sendable {
  private struct State {
    var blocks: [Block] = []
    /// By place in the ring, which is a block's number modulo the count of places.
    var isDone: [Bool]
    var nextToFill = 0
    var nextToWork = 0
    /// By consumer: the number of the block it has or waits for.
    var nextToConsume: [Int]
    var isClosed = false
    var isStopped = false
  }

  // The conditions of the monitor. Each change wakes those alone who can go on because of it: waking all costs more than the work where
  // blocks pass quickly.
  private static let isFree = 0
  private static let isFilled = 1
  private static func isDone(for consumer: Int) -> Int { 2 + consumer }

  private let count: Int
  private let consumers: Int
  private let hasWorkers: Bool
  private let state: Monitor<State>

  /// - Parameters:
  ///   - count: how many blocks there are at the most, 2 or more.
  ///   - hasWorkers: false if filled blocks go to the consumers as they are.
  ///   - consumers: how many consumers there are, 1 or more; each is known by its number from 0 on.
  init(count: Int, hasWorkers: Bool, consumers: Int) {
    self.count = count
    self.consumers = consumers
    self.hasWorkers = hasWorkers
    state = Monitor(
      State(isDone: Array(repeating: false, count: count), nextToConsume: Array(repeating: 0, count: consumers)),
      conditions: 2 + consumers)
  }

  /// The next block to fill, once it is free; nil when the run has been stopped.
  func blockToFill() -> Block? {
    state.wait(for: BlockRing.isFree) { state -> Block?? in
      if state.isStopped { return .some(nil) }
      guard state.nextToConsume.allSatisfy({ state.nextToFill - $0 < count }) else { return nil }
      let place = state.nextToFill % count
      if place == state.blocks.count { state.blocks.append(Block(compressing: hasWorkers)) }
      state.blocks[place].reset()
      return state.blocks[place]
    }
  }

  /// Hands the block of `blockToFill` on. Returns how many filled blocks wait for a worker.
  @discardableResult
  func filled() -> Int {
    let waiting = state.update { state in
      state.isDone[state.nextToFill % count] = !hasWorkers
      state.nextToFill += 1
      return state.nextToFill - state.nextToWork
    }
    if hasWorkers { state.wakeOne(BlockRing.isFilled) } else { wakeConsumers() }
    return waiting
  }

  /// Says that no block will come after those filled so far.
  func close() {
    state.update { $0.isClosed = true }
    state.wakeAll()
  }

  /// Ends the waiting of everyone: something in the run has failed.
  func stop() {
    state.update { $0.isStopped = true }
    state.wakeAll()
  }

  /// A block for a worker.
  struct Work {
    let number: Int
    let block: Block
    /// How many filled blocks are left that no worker has.
    let waiting: Int
    /// Whether the worker had to wait for it.
    let wasAwaited: Bool
  }

  /// The oldest block that no worker has; nil when there will be none.
  func blockToCompress() -> Work? {
    var wasAwaited = false
    return state.wait(for: BlockRing.isFilled) { state -> Work?? in
      if state.isStopped { return .some(nil) }
      guard state.nextToWork < state.nextToFill else {
        wasAwaited = true
        return state.isClosed ? .some(nil) : nil
      }
      let number = state.nextToWork
      state.nextToWork += 1
      return Work(number: number, block: state.blocks[number % count], waiting: state.nextToFill - state.nextToWork, wasAwaited: wasAwaited)
    }
  }

  /// Says that the block `number` has been compressed.
  func compressed(_ number: Int) {
    let isAwaited = state.update { state in
      state.isDone[number % count] = true
      return state.nextToConsume.contains(number)
    }
    if isAwaited { wakeConsumers() }
  }

  /// The oldest block that this consumer has not had, once it is done; nil after the last one or when the run has been stopped.
  func block(for consumer: Int) -> Block? {
    state.wait(for: BlockRing.isDone(for: consumer)) { state -> Block?? in
      if state.isStopped { return .some(nil) }
      let number = state.nextToConsume[consumer]
      guard number < state.nextToFill else { return state.isClosed ? .some(nil) : nil }
      guard state.isDone[number % count] else { return nil }
      return state.blocks[number % count]
    }
  }

  /// Says that this consumer needs the block of `block(for:)` no more.
  func consumed(by consumer: Int) {
    state.update { $0.nextToConsume[consumer] += 1 }
    state.wakeOne(BlockRing.isFree)
  }

  private func wakeConsumers() {
    for consumer in 0..<consumers { state.wakeOne(BlockRing.isDone(for: consumer)) }
  }
}

/// The bounded set of blocks of a run, and the order in which they pass.
///
/// A block's life: the reader takes the next free one and fills it; a worker takes the oldest filled one and compresses it; the writer takes
/// the oldest block of all as soon as it is done, writes it and frees it. So the order of the input is the order of the output whatever the
/// workers' pace, the memory of a run is that of its blocks, and whoever is too fast waits: that is all the back-pressure there is.
/// Without workers a filled block is done at once.
///
/// Blocks are made when they are first needed, so a short input costs one.
final class BlockRing: Sendable {
  private enum Stage {
    case free, filled, taken, done
  }

  private struct State {
    var blocks: [Block] = []
    var stages: [Stage]
    // Sequence numbers; a block's place in the ring is its number modulo the count of places.
    var nextToFill = 0
    var nextToWork = 0
    var nextToWrite = 0
    var isClosed = false
    var isStopped = false
  }

  private let count: Int
  private let hasWorkers: Bool
  private let state: Monitor<State>

  /// - Parameters:
  ///   - count: how many blocks there are at the most, 2 or more.
  ///   - hasWorkers: false if filled blocks go to the writer as they are.
  init(count: Int, hasWorkers: Bool) {
    self.count = count
    self.hasWorkers = hasWorkers
    state = Monitor(State(stages: Array(repeating: .free, count: count)))
  }

  /// The next block to fill, once it is free; nil when the run has been stopped.
  func blockToFill() -> Block? {
    state.wait { state -> Block?? in
      if state.isStopped { return .some(nil) }
      let place = state.nextToFill % count
      guard state.stages[place] == .free else { return nil }
      if place == state.blocks.count { state.blocks.append(Block(compressing: hasWorkers)) }
      state.blocks[place].reset()
      return state.blocks[place]
    }
  }

  /// Hands the block of `blockToFill` on. Returns how many filled blocks wait for a worker.
  @discardableResult
  func filled() -> Int {
    state.update { state in
      state.stages[state.nextToFill % count] = hasWorkers ? .filled : .done
      state.nextToFill += 1
      return state.nextToFill - state.nextToWork
    }
  }

  /// Says that no block will come after those filled so far.
  func close() {
    state.update { $0.isClosed = true }
  }

  /// Ends the waiting of everyone: something in the run has failed.
  func stop() {
    state.update { $0.isStopped = true }
  }

  /// The oldest block that no worker has, and its number; nil when there will be none.
  func blockToCompress() -> (number: Int, block: Block)? {
    state.wait { state -> (number: Int, block: Block)?? in
      if state.isStopped { return .some(nil) }
      guard state.nextToWork < state.nextToFill else { return state.isClosed ? .some(nil) : nil }
      let number = state.nextToWork
      state.nextToWork += 1
      state.stages[number % count] = .taken
      return (number, state.blocks[number % count])
    }
  }

  /// Says that the block `number` has been compressed.
  func compressed(_ number: Int) {
    state.update { $0.stages[number % count] = .done }
  }

  /// The oldest block, once it is done; nil after the last one or when the run has been stopped.
  func blockToWrite() -> Block? {
    state.wait { state -> Block?? in
      if state.isStopped { return .some(nil) }
      let place = state.nextToWrite % count
      if state.nextToWrite < state.nextToFill, state.stages[place] == .done { return state.blocks[place] }
      return state.isClosed && state.nextToWrite == state.nextToFill ? .some(nil) : nil
    }
  }

  /// Frees the block of `blockToWrite`.
  func written() {
    state.update { state in
      state.stages[state.nextToWrite % count] = .free
      state.nextToWrite += 1
    }
  }
}

import Synchronization

/// How hard gzip compresses.
public enum GzipLevel: Sendable, Equatable {
  /// 1 (fast) to 9 (small).
  case fixed(Int)
  /// Each block as hard as the pace of the input allows, 1 to 9.
  case automatic
}

/// Chooses the level of each block from how many blocks wait for a worker, when one is taken.
///
/// A worker that had to wait for a block has time to spare, so the level rises by one. Blocks that wait for workers would in the end make
/// the producer wait, so when they fill the ring the level falls by two with each block. What lies between is what a producer writes at
/// once, or what has piled up while the machine did something else, and is no reason for either.
struct LevelControl {
  private(set) var level = 1

  /// - Parameters:
  ///   - waiting: filled blocks that no worker has, the one that is taken not counted.
  ///   - wasAwaited: whether the worker had to wait for this block.
  ///   - threads: how many workers there may be.
  mutating func next(waiting: Int, wasAwaited: Bool, threads: Int) -> Int {
    if waiting >= threads * 3 {
      level = max(1, level - 2)
    } else if wasAwaited {
      level = min(9, level + 1)
    }
    return level
  }
}

/// How many blocks were compressed with which level; counted by the writer, read when it has ended.
public final class LevelCounts: Sendable {
  private let counts = Mutex([Int](repeating: 0, count: 10))

  public init() {}

  func add(_ level: Int) {
    counts.withLock { $0[level] += 1 }
  }

  /// The levels that were used, lowest first, each with its number of blocks of 256 KiB.
  public var used: [(level: Int, blocks: Int)] {
    counts.withLock { counts in counts.indices.compactMap { counts[$0] > 0 ? ($0, counts[$0]) : nil } }
  }
}

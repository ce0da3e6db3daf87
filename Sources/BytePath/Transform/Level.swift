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
/// Workers that wait for blocks have time to spare, so the level rises by one with each block that nobody has to wait behind. Blocks that
/// wait for workers would in the end make the producer wait, so when the ring fills up the level falls by half with each block, as a
/// sender on a network falls back. What lies between is what a producer writes at once, and is no reason for either.
struct LevelControl {
  private(set) var level = 1

  /// - Parameters:
  ///   - waiting: filled blocks that no worker has, the one that is taken not counted.
  ///   - threads: how many workers there may be.
  ///   - hasIdleThread: whether one of them has nothing to do.
  mutating func next(waiting: Int, threads: Int, hasIdleThread: Bool) -> Int {
    if waiting >= threads * 2 {
      level = max(1, level / 2)
    } else if waiting == 0, hasIdleThread {
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

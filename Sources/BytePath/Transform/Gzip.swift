import Synchronization

/// How the object is compressed.
public struct GzipOptions: Sendable, Equatable {
  /// How hard to compress.
  public var level: GzipLevel
  /// How many threads compress, 1 or more. With a fixed level the output does not depend on it.
  public var threads: Int

  public init(level: GzipLevel = .fixed(6), threads: Int) {
    self.level = level
    self.threads = threads
  }
}

/// One gzip member (RFC 1952), compressed on several threads.
///
/// The input is cut into blocks of 256 KiB. Each is deflated by itself, but primed with the 32 KiB before it, as if the compressor had come
/// that way, and what can't be compressed is stored; each ends on a byte's border, so the outputs joined are one deflate stream.
/// The last block is the one that is not full, and may be empty. The checksums of the blocks are combined into that of the whole. Nothing
/// depends on the number of threads or on how the input was cut into reads, unless the level is chosen by the pace of the input.
///
/// Threads are started one by one, when a block waits and all others are busy, so a short input is compressed by a single one.
final class GzipCompressor: Sendable {
  private let ring: BlockRing
  private let options: GzipOptions
  private let fail: @Sendable (Failure) -> Void
  private let workers = Mutex(Workers())

  private struct Workers {
    var running = 0
    var idle = 0
    var control = LevelControl()
  }

  /// - Parameter fail: is called when a worker can't start.
  init(_ options: GzipOptions, ring: BlockRing, fail: @escaping @Sendable (Failure) -> Void) {
    self.options = options
    self.ring = ring
    self.fail = fail
  }

  /// Called by the reader when a block has been filled and `waiting` blocks have no worker.
  func blockIsWaiting(_ waiting: Int) {
    let isNeeded = workers.withLock { workers in
      guard workers.running < options.threads, waiting > workers.idle else { return false }
      workers.running += 1
      return true
    }
    guard isNeeded else { return }
    if let error = startThread({ [self] in work() }) {
      fail(Failure(.spool, "cannot start a thread: \(error.words)"))
    }
  }

  private func work() {
    do throws(Failure) {
      let deflate = try DeflateBlock()
      while true {
        workers.withLock { $0.idle += 1 }
        let next = ring.blockToCompress()
        let level = workers.withLock { workers in
          workers.idle -= 1
          return next.map { chooseLevel(for: $0, &workers) }
        }
        guard let next, let level else { return }
        next.block.level = level
        deflate.compress(next.block)
        ring.compressed(next.number)
      }
    } catch {
      fail(error)
    }
  }

  private func chooseLevel(for work: BlockRing.Work, _ workers: inout Workers) -> Int {
    switch options.level {
    case .fixed(let level): level
    case .automatic:
      workers.control.next(waiting: work.waiting, wasAwaited: work.wasAwaited, threads: options.threads)
    }
  }
}

/// The bytes around the deflate stream of a gzip member, and what must be known for them. Used by one thread at a time.
struct GzipFrame {
  /// CRC-32 of the input.
  private(set) var checksum: UInt = 0
  private var length: UInt32 = 0
  private let level: GzipLevel

  init(level: GzipLevel) { self.level = level }

  /// No name, no time, made on Unix, so that equal input gives equal output.
  var header: [UInt8] {
    let extraFlags: UInt8 = level == .fixed(9) ? 2 : level == .fixed(1) ? 4 : 0
    return [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extraFlags, 3]
  }

  mutating func add(_ block: Block) {
    checksum = combinedChecksum(checksum, block.checksum, secondLength: block.inputCount)
    length &+= UInt32(block.inputCount)
  }

  /// CRC-32 and length modulo 2³², both with the lowest byte first.
  var trailer: [UInt8] {
    [UInt32(checksum), length].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  }
}

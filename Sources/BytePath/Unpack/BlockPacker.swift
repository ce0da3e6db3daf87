/// Packs bytes into full blocks of a ring. Used by one thread, the one that fills the ring.
final class BlockPacker {
  private let ring: BlockRing
  private let spool: Spool?
  private var block: Block?
  /// How many bytes were added.
  private(set) var made: Int64 = 0

  /// - Parameter spool: where the bytes will be, if that is a spool.
  init(_ ring: BlockRing, _ spool: Spool?) {
    self.ring = ring
    self.spool = spool
  }

  /// Where the next bytes go, 1 or more. Blocks until a block is free.
  ///
  /// - Throws: `interrupted` if the ring was stopped.
  func room() throws(Failure) -> UnsafeMutableRawBufferPointer {
    if block == nil { block = ring.blockToFill() }
    guard let block else { throw .interrupted }
    return UnsafeMutableRawBufferPointer(rebasing: block.input[block.inputCount...])
  }

  /// Says that the first `count` bytes of the room were filled.
  func add(_ count: Int) {
    guard let block else { return }
    block.inputCount += count
    made += Int64(count)
    if block.inputCount == block.input.count { handOn() }
  }

  /// Adds bytes that others have written to the spool, to their place. Blocks.
  ///
  /// - Throws: `spool`, `interrupted`.
  func addWritten(_ count: Int64) throws(Failure) {
    handOn()
    let end = made + count
    while made < end, let spool {
      let room = try room()
      let wanted = UnsafeMutableRawBufferPointer(rebasing: room.prefix(Int(min(Int64(room.count), end - made))))
      block?.isInPlace = true
      let count = try spool.read(into: wanted, at: made)
      guard count > 0 else { throw Failure(.spool, "the spool \(spool.id) is shorter than what was written to it") }
      add(count)
    }
    handOn()
  }

  /// Hands on what is there, and says that no more will come.
  func end() {
    handOn()
    ring.close()
  }

  private func handOn() {
    guard let block, block.inputCount > 0 else { return }
    self.block = nil
    ring.filled()
  }
}

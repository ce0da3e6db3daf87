/// A stretch of the input and, once compressed, what became of it. Its buffers live as long as the ring that made it.
///
/// `@unchecked Sendable` holds because a block has one holder at a time: `BlockRing` hands it from the reader to a worker to the writer and
/// back, each time under its lock.
final class Block: @unchecked Sendable {
  /// Bytes of input in a block. Bytes of gzip output depend on it, so it is part of the format of this program's output.
  static let size = 256 * 1024
  /// How far back deflate can refer.
  static let dictionarySize = 32 * 1024
  /// Deflate's worst case for a block: a stored block's five bytes for each 16 KiB, the flush marker and a margin.
  static let outputSize = size + 1024

  private let memory: UnsafeMutableRawBufferPointer
  /// Where the bytes of the input lie.
  let input: UnsafeMutableRawBufferPointer
  var inputCount = 0
  /// The input just before this block; it ends where the space for it ends, at `input`.
  private let dictionarySpace: UnsafeMutableRawBufferPointer
  private(set) var dictionaryCount = 0
  /// Where the compressed bytes go; empty when nothing is compressed.
  let output: UnsafeMutableRawBufferPointer
  var outputCount = 0
  /// CRC-32 of the input bytes.
  var checksum: UInt = 0
  /// True for the block that ends the stream. It is never full, so it is known when it is read.
  var isLast = false

  init(compressing: Bool) {
    let (before, after) = compressing ? (Block.dictionarySize, Block.outputSize) : (0, 0)
    memory = .allocate(byteCount: before + Block.size + after, alignment: 4096)
    dictionarySpace = UnsafeMutableRawBufferPointer(rebasing: memory[..<before])
    input = UnsafeMutableRawBufferPointer(rebasing: memory[before..<before + Block.size])
    output = UnsafeMutableRawBufferPointer(rebasing: memory[(before + Block.size)...])
  }

  deinit {
    memory.deallocate()
  }

  /// The bytes before this block that a compressor may refer to.
  var dictionary: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: dictionarySpace.suffix(dictionaryCount)) }
  var inputBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: input[..<inputCount]) }
  var outputBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: output[..<outputCount]) }

  /// Remembers the end of `previous`, a full block, as what this block may refer to.
  func prime(with previous: Block) {
    dictionaryCount = min(previous.inputCount, dictionarySpace.count)
    let tail = previous.input[(previous.inputCount - dictionaryCount)..<previous.inputCount]
    UnsafeMutableRawBufferPointer(rebasing: dictionarySpace.suffix(dictionaryCount)).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: tail))
  }

  /// Forgets what an earlier use left.
  func reset() {
    inputCount = 0
    dictionaryCount = 0
    outputCount = 0
    isLast = false
  }
}

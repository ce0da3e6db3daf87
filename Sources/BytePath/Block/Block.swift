/// A stretch of the input and, once compressed, what became of it. Its buffers live as long as the ring that made it.
///
/// `@unchecked Sendable` holds because a block has one holder at a time: `BlockRing` hands it from the reader to a worker to the writer and
/// back, each time under its lock.
final class Block: @unchecked Sendable {
  /// Bytes of input in a block. Bytes of gzip output depend on it, so it is part of the format of this program's output.
  static let size = 256 * 1024
  /// How far back deflate can refer.
  static let dictionarySize = 32 * 1024
  /// Deflate's worst case for a block: five bytes for each 16 KiB and for each change between stored and compressed, and a margin.
  static let outputSize = size + 1024

  private let memory: UnsafeMutableRawBufferPointer
  /// Where the bytes of the input lie.
  let input: UnsafeMutableRawBufferPointer
  var inputCount = 0
  /// The input just before this block; it ends where the space for it ends, at `input`.
  private let dictionarySpace: UnsafeMutableRawBufferPointer
  private var dictionaryCount = 0
  /// Where the compressed bytes go; empty when nothing is compressed.
  private let output: UnsafeMutableRawBufferPointer
  private var outputCount = 0
  /// What the block adds to the object, in order: parts of its output, and of its input where that is stored as it is.
  private(set) var objectPieces: [UnsafeRawBufferPointer] = []
  /// The level it was compressed with.
  var level = 0
  /// CRC-32 of the input bytes.
  var checksum: UInt = 0
  /// True for the block that ends the stream. It is never full, so it is known when it is read.
  var isLast = false

  /// True if its bytes are where they belong already.
  var isInPlace = false

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

  /// The bytes before this block that a compressor may refer to, and behind them those of the block.
  var primedInput: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: input.baseAddress.map { $0 - dictionaryCount }, count: dictionaryCount + inputCount)
  }
  var inputBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: input[..<inputCount]) }

  /// Remembers the end of `previous`, a full block, as what this block may refer to.
  func prime(with previous: Block) {
    dictionaryCount = min(previous.inputCount, dictionarySpace.count)
    let tail = previous.input[(previous.inputCount - dictionaryCount)..<previous.inputCount]
    UnsafeMutableRawBufferPointer(rebasing: dictionarySpace.suffix(dictionaryCount)).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: tail))
  }

  /// The part of the output that nothing has been written to.
  var outputSpace: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: output[outputCount...]) }

  /// Makes the first `count` bytes of `outputSpace` the next piece of the object.
  func appendOutput(_ count: Int) {
    objectPieces.append(UnsafeRawBufferPointer(rebasing: output[outputCount..<outputCount + count]))
    outputCount += count
  }

  /// Makes a part of the input the next piece of the object.
  func appendInput(_ bytes: UnsafeRawBufferPointer) {
    objectPieces.append(bytes)
  }

  /// Forgets what an earlier use left.
  func reset() {
    inputCount = 0
    dictionaryCount = 0
    outputCount = 0
    objectPieces.removeAll(keepingCapacity: true)
    isLast = false
    isInPlace = false
  }
}

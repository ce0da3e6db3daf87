import CZlib

/// zlib's deflate for one block at a time; the only code that touches a `z_stream`. Used by one thread at a time.
final class DeflateBlock {
  /// As many bytes as a stored block of deflate can hold (RFC 1951, 3.2.4).
  private static let storedSize = 65535

  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private var level = 6
  private var test = IncompressibleTest()

  /// - Throws: a failure of kind `spool` if there is no memory for zlib's state (about 270 KiB).
  init() throws(Failure) {
    stream.initialize(to: z_stream())
    let rawDeflate: CInt = -15
    let memoryLevel: CInt = 8
    let code = deflateInit2_(
      stream, CInt(level), Z_DEFLATED, rawDeflate, memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
    guard code == Z_OK else { throw Failure(.spool, "zlib cannot start: code \(code)") }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Compresses the block's input with the block's level and sets its checksum. The output ends on a byte's border, so that outputs can
  /// stand one behind the other. Stretches that can't be compressed are stored; the output is never longer than if all were.
  func compress(_ block: Block) {
    let bytes = block.primedInput
    let start = bytes.count - block.inputCount
    var from = start
    repeat {
      let (end, isStored) = run(bytes, from)
      let isLast = block.isLast && end == bytes.count
      if isStored {
        store(bytes[from..<end], in: block, isLast: isLast)
      } else {
        deflateRun(bytes, from..<end, in: block, isLast: isLast)
      }
      from = end
    } while from < bytes.count
    block.checksum = crc32(0, block.input.bindMemory(to: UInt8.self).baseAddress, UInt32(block.inputCount))
  }

  /// The end of the stretch from `from` on whose segments are all compressible or all not, and which they are.
  private func run(_ bytes: UnsafeRawBufferPointer, _ from: Int) -> (end: Int, isStored: Bool) {
    var end = from
    var isStored: Bool?
    while end < bytes.count {
      let segment = end..<min(end + IncompressibleTest.segmentSize, bytes.count)
      let isIncompressible = test.isIncompressible(bytes, segment)
      if let isStored, isStored != isIncompressible { break }
      isStored = isIncompressible
      end = segment.upperBound
    }
    return (end, isStored ?? false)
  }

  private func deflateRun(_ bytes: UnsafeRawBufferPointer, _ run: Range<Int>, in block: Block, isLast: Bool) {
    deflateReset(stream)
    if level != block.level {
      level = block.level
      deflateParams(stream, CInt(level), Z_DEFAULT_STRATEGY)
    }
    if level == 6 { DeflateBlock.tune(stream) }
    let dictionary = bytes[max(0, run.lowerBound - Block.dictionarySize)..<run.lowerBound]
    if dictionary.count > 0 {
      deflateSetDictionary(
        stream, UnsafeRawBufferPointer(rebasing: dictionary).bindMemory(to: UInt8.self).baseAddress, UInt32(dictionary.count))
    }
    let space = block.outputSpace
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: UnsafeRawBufferPointer(rebasing: bytes[run]).bindMemory(to: UInt8.self).baseAddress)
    stream.pointee.avail_in = UInt32(run.count)
    stream.pointee.next_out = space.bindMemory(to: UInt8.self).baseAddress
    stream.pointee.avail_out = UInt32(space.count)
    let code = deflate(stream, isLast ? Z_FINISH : Z_SYNC_FLUSH)
    precondition(code == (isLast ? Z_STREAM_END : Z_OK) && stream.pointee.avail_in == 0, "deflate did not take a whole block")
    let count = space.count - Int(stream.pointee.avail_out)
    if count > DeflateBlock.storedLength(of: run.count) {
      store(bytes[run], in: block, isLast: isLast)
    } else {
      block.appendOutput(count)
    }
  }

  /// zlib's level 6 looks at up to 128 earlier places for each, and at all of them as long as it has found fewer than 8 equal bytes. On
  /// text and on programs the last quarter of that takes an eighth of the time and gains less than 0.2 % of the size.
  private static func tune(_ stream: UnsafeMutablePointer<z_stream>) {
    let (goodLength, mostLazy, niceLength, longestChain): (CInt, CInt, CInt, CInt) = (6, 16, 128, 96)
    deflateTune(stream, goodLength, mostLazy, niceLength, longestChain)
  }

  private static func storedLength(of count: Int) -> Int {
    count + 5 * max(1, (count + storedSize - 1) / storedSize)
  }

  /// Writes stored blocks: for each a byte of flags, its length with the lowest byte first and its complement, and the bytes.
  private func store(_ bytes: Slice<UnsafeRawBufferPointer>, in block: Block, isLast: Bool) {
    var rest = bytes
    repeat {
      let part = rest.prefix(DeflateBlock.storedSize)
      rest = rest.dropFirst(part.count)
      let length = UInt16(part.count)
      let head = block.outputSpace
      head[0] = isLast && rest.isEmpty ? 1 : 0
      head.storeBytes(of: length.littleEndian, toByteOffset: 1, as: UInt16.self)
      head.storeBytes(of: (~length).littleEndian, toByteOffset: 3, as: UInt16.self)
      block.appendOutput(5)
      block.appendInput(UnsafeRawBufferPointer(rebasing: part))
    } while !rest.isEmpty
  }
}

/// The checksum of bytes behind those that `checksum` is of; 0 for none.
func updatedChecksum(_ checksum: UInt, _ bytes: UnsafeRawBufferPointer) -> UInt {
  crc32(checksum, bytes.bindMemory(to: UInt8.self).baseAddress, UInt32(bytes.count))
}

/// The checksum of one stretch of bytes followed by another, from theirs.
func combinedChecksum(_ first: UInt, _ second: UInt, secondLength: Int) -> UInt {
  crc32_combine(first, second, secondLength)
}

import CZlib

/// zlib's deflate for one block at a time; the only code that touches a `z_stream`. Used by one thread at a time.
final class DeflateBlock {
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  /// - Parameter level: 1 to 9.
  /// - Throws: a failure of kind `spool` if there is no memory for zlib's state (about 270 KiB).
  init(level: Int) throws(Failure) {
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

  /// Compresses the block's input, which may refer to its dictionary, and sets its checksum. All but the last block end on a byte's border,
  /// so that their outputs can stand one behind the other.
  func compress(_ block: Block) {
    deflateReset(stream)
    let dictionary = block.dictionary
    if dictionary.count > 0 {
      deflateSetDictionary(stream, dictionary.bindMemory(to: UInt8.self).baseAddress, UInt32(dictionary.count))
    }
    stream.pointee.next_in = block.input.bindMemory(to: UInt8.self).baseAddress
    stream.pointee.avail_in = UInt32(block.inputCount)
    stream.pointee.next_out = block.output.bindMemory(to: UInt8.self).baseAddress
    stream.pointee.avail_out = UInt32(block.output.count)
    let code = deflate(stream, block.isLast ? Z_FINISH : Z_SYNC_FLUSH)
    precondition(code == (block.isLast ? Z_STREAM_END : Z_OK) && stream.pointee.avail_in == 0, "deflate did not take a whole block")
    block.outputCount = block.output.count - Int(stream.pointee.avail_out)
    block.checksum = crc32(0, block.input.bindMemory(to: UInt8.self).baseAddress, UInt32(block.inputCount))
  }
}

/// The checksum of one stretch of bytes followed by another, from theirs.
func combinedChecksum(_ first: UInt, _ second: UInt, secondLength: Int) -> UInt {
  crc32_combine(first, second, secondLength)
}

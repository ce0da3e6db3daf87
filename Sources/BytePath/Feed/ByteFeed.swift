/// Where the bytes of an object come from, in order. Read by one thread.
public protocol ByteFeed: Sendable {
  /// Fills `buffer` from its front with what there is, one byte at least; 0 is the end. Blocks.
  ///
  /// - Throws: what getting the bytes failed with; `interrupted` after `stop`.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int

  /// Ends a wait of `read`, now and later, from any thread.
  func stop()
}

/// A feed of bytes that stay, so that they can be read at any place as soon as they are there, by several threads at a time.
public protocol ByteStore: ByteFeed {
  /// As `read(into:)`, from `offset` on, in bytes. Waits until the byte at `offset` and all before it are there.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Failure) -> Int
}

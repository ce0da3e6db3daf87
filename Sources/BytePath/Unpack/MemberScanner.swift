/// Looks for what may be the beginning of a gzip member (RFC 1952, 2.3).
enum MemberScanner {
  private static let headerSize = 10
  private static let lengthSize = 4

  /// Goes through the store and tells `ahead` of all that it finds. Blocks; a store that fails is for its reader to report.
  static func scan(_ store: any ByteStore, _ ahead: MembersAhead) {
    let kept = lengthSize + headerSize - 1
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: kept + 256 * 1024, alignment: 4096)
    defer { buffer.deallocate() }
    // What of the buffer is filled, where in the store it begins, and how much of it was looked at.
    var (count, start, seen) = (0, Int64(0), 0)
    while let more = try? store.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]), at: start + Int64(count)) {
      count += more
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      guard more > 0 else {
        if count >= lengthSize { _ = ahead.found(start + Int64(count), length: length(in: bytes, before: count), isEnd: true) }
        return
      }
      while let place = header(in: bytes, from: max(seen, lengthSize)) {
        guard ahead.found(start + Int64(place), length: length(in: bytes, before: place)) else { return }
        seen = place + 1
      }
      seen = max(seen, count - headerSize + 1)
      let tail = min(count, kept)
      start += Int64(count - tail)
      seen = max(0, seen - (count - tail))
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.suffix(tail)))
      count = tail
    }
  }

  /// The place of the first header that begins at `from` or behind it and is all there.
  static func header(in bytes: UnsafeRawBufferPointer, from: Int) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    var place = from
    while place + headerSize <= bytes.count {
      guard let found = memchr(base + place, 0x1f, bytes.count - headerSize + 1 - place) else { return nil }
      place = base.distance(to: UnsafeRawPointer(found))
      if isHeader(UnsafeRawBufferPointer(rebasing: bytes[place..<place + headerSize])) { return place }
      place += 1
    }
    return nil
  }

  /// Magic, method, flags of which three are not used, a time, and how hard and on what it was made: there are three answers that are given
  /// to the one, and 14 and "unknown" to the other. Chance has them all once in 200 GB.
  private static func isHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes[1] == 0x8b && bytes[2] == 8 && bytes[3] & 0xe0 == 0 && [0, 2, 4].contains(bytes[8]) && (bytes[9] <= 13 || bytes[9] == 255)
  }

  private static func length(in bytes: UnsafeRawBufferPointer, before place: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place - lengthSize, as: UInt32.self))
  }
}

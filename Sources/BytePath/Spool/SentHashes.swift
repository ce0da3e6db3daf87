import Synchronization

/// The SHA-256 of a regular file as it was sent.
///
/// A file that lies where others write to it may change while it is sent, and its times need not tell: what is written through a mapping changes
/// them late, on tmpfs never (mmap(2), "MAP_SHARED"). So a second pass over the file says nothing of the bytes that went out, and with
/// sendfile(2) nobody knows these, because the kernel sends pages that may be written to until they have left. The bytes are therefore hashed in
/// the very reads that fetch them to be sent.
///
/// Of a file that is sent in one piece that is the hash of the object. Parts are sent side by side and in any order: for the hash of the whole
/// they are read again in order, close behind the sending, while they are in memory still, and each must be what it was when it was sent.
final class SentHashes: Sendable {
  private struct Part {
    let end: Int64
    let digest: Checksum
  }

  private struct State {
    /// The digest of all of it, sent in one piece.
    var whole: Checksum?
    /// Parts that have not been read again, by their beginnings.
    var parts: [Int64: [Part]] = [:]
    var hadParts = false
  }

  /// How far the parts have been read again in order.
  private struct Pass {
    var upTo: Int64 = 0
    var hash = RunningHash(.sha256)
    var hasFailed = false
  }

  private let state = Mutex(State())
  private let pass = Mutex(Pass())

  /// That of the file, if it was sent in one piece.
  var whole: Checksum? { state.withLock { $0.whole } }
  var hadParts: Bool { state.withLock { $0.hadParts } }

  /// Notes the digest of all of it. Returns false if it was another one before.
  func add(whole digest: Checksum) -> Bool {
    state.withLock { state in
      if state.whole == nil { state.whole = digest }
      return state.whole == digest
    }
  }

  func add(_ digest: Checksum, of range: Range<Int64>) {
    state.withLock { state in
      state.parts[range.lowerBound, default: []].append(Part(end: range.upperBound, digest: digest))
      state.hadParts = true
    }
  }

  /// Reads what has been sent from the beginning on without a gap, unless another thread does just that. Blocks.
  ///
  /// - Parameter read: fills the buffer from an offset.
  func follow(_ read: Reader) {
    pass.withLockIfAvailable { pass in
      guard !pass.hasFailed else { return }
      do throws(Failure) { pass.hasFailed = try !advance(&pass, read) } catch { pass.hasFailed = true }
    }
  }

  typealias Reader = (UnsafeMutableRawBufferPointer, Int64) throws(Failure) -> Int

  /// Reads the rest, whoever sent it. Blocks.
  ///
  /// - Returns: the digest of the whole; nil if a part is not what it was when it was sent.
  func finish(length: Int64, _ read: Reader) throws(Failure) -> Checksum? {
    try pass.withLock { (pass) throws(Failure) in
      guard !pass.hasFailed else { return nil }
      while try advance(&pass, read) {
        guard pass.upTo < length else { return try rest(read) ? pass.hash.finalized() : nil }
        // The server had this part already.
        let next = state.withLock { [upTo = pass.upTo] state in state.parts.keys.filter { $0 > upTo }.min() }
        _ = try digest(of: pass.upTo..<(next ?? length), read) { pass.hash.update($0) }
        pass.upTo = next ?? length
      }
      return nil
    }
  }

  /// Parts that were sent again, or cut in another way, after they had been read.
  private func rest(_ read: Reader) throws(Failure) -> Bool {
    let rest = state.withLock { state in
      defer { state.parts = [:] }
      return state.parts
    }
    for (start, parts) in rest {
      for part in parts {
        guard try digest(of: start..<part.end, read) == part.digest else { return false }
      }
    }
    return true
  }

  private func advance(_ pass: inout Pass, _ read: Reader) throws(Failure) -> Bool {
    while let parts = next(at: pass.upTo), let end = parts.first?.end {
      let digest = try digest(of: pass.upTo..<end, read) { pass.hash.update($0) }
      guard parts.allSatisfy({ $0.digest == digest }) else { return false }
      pass.upTo = end
    }
    return true
  }

  /// Takes out the parts that begin there and end at the same place.
  private func next(at start: Int64) -> [Part]? {
    state.withLock { state in
      guard let parts = state.parts.removeValue(forKey: start), let end = parts.first?.end else { return nil }
      let others = parts.filter { $0.end != end }
      if !others.isEmpty { state.parts[start] = others }
      return parts.filter { $0.end == end }
    }
  }

  private func digest(
    of range: Range<Int64>, _ read: Reader, _ also: (UnsafeRawBufferPointer) -> Void = { _ in }
  ) throws(Failure) -> Checksum {
    var hash = RunningHash(.sha256)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Payload.hashedAtATime, alignment: 4096)
    defer { buffer.deallocate() }
    var offset = range.lowerBound
    while offset < range.upperBound {
      let wanted = Int(min(Int64(buffer.count), range.upperBound - offset))
      let count = try read(UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), offset)
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hash.update(bytes)
      also(bytes)
      offset += Int64(count)
    }
    return hash.finalized()
  }
}

/// Hashes a stretch of a payload while it is sent; does nothing where nobody wants that.
public struct SendingHash {
  private let payload: Payload
  private let range: Range<Int64>
  private var hash: RunningHash?

  init(_ payload: Payload, _ range: Range<Int64>, isWanted: Bool) {
    self.payload = payload
    self.range = range
    hash = isWanted ? RunningHash(.sha256) : nil
  }

  /// Adds bytes that are about to be sent, in their order.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) { hash?.update(bytes) }

  /// Notes what was sent. To be called before the last bytes go, so that an object that is not what it should be never arrives whole.
  ///
  /// - Throws: `input` if other bytes were sent before.
  public func end() throws(Failure) {
    if let hash { try payload.sent(range, hash.finalized()) }
  }
}

/// A spool whose pieces come side by side, each from its beginning to its end, and whose bytes are read in order as soon as all before them are
/// there.
///
/// With a journal it outlives its process (`FetchJournal`): another run goes on where this one stood.
public final class PartialSpool: ByteStore {
  private struct Progress {
    var done: Int64 = 0
    /// The CRC-32 of what is there, if there is a journal.
    var checksum: UInt = 0
    /// How much of it the journal knows.
    var noted: Int64 = 0
  }

  private struct State {
    var pieces: [Progress]
    /// The first one that is not whole.
    var first = 0
    /// Of the reader, in bytes.
    var position: Int64 = 0
    var length: Int64?
    var failure: Failure?
    var isStopped = false
  }

  /// What is lost of each piece when the process is killed, at the most.
  private static let noteEvery: Int64 = 256 << 10

  public let spool: Spool
  /// In order, without gaps; the last one may have no end that is known.
  public let pieces: [Range<Int64>]
  /// Bytes that another run had got.
  public let resumed: Int64
  private let journal: FetchJournal?
  private let state: Monitor<State>

  /// - Parameters:
  ///   - pieces: of an object of unknown length one, with `Int64.max` for its end.
  ///   - label: what is fetched from where to where; with it there is a journal, and what an earlier run left under it is gone on with if it is of
  ///     the same object. Nil for none.
  /// - Throws: `spool`.
  public convenience init(
    in directory: @autoclosure () throws(Failure) -> SpoolDirectory, pieces: [Range<Int64>], label: FetchLabel?
  ) throws(Failure) {
    if let label {
      if let (spool, journal, records) = try FetchJournal.reopened(label, in: try directory()) {
        self.init(spool, pieces, journal, try PartialSpool.proven(records, of: pieces, in: spool))
        return
      }
      let spool = try Spool.create(in: try directory())
      self.init(spool, pieces, try FetchJournal(label, of: spool), [])
    } else {
      self.init(try Spool.create(in: try directory()), pieces, nil, [])
    }
    try checkRoom()
  }

  private init(_ spool: Spool, _ pieces: [Range<Int64>], _ journal: FetchJournal?, _ done: [Progress]) {
    self.spool = spool
    self.pieces = pieces
    self.journal = journal
    let padding = Array(repeating: Progress(), count: pieces.count - done.count)
    resumed = done.reduce(0) { $0 + $1.done }
    let last = pieces.last?.upperBound ?? 0
    state = Monitor(State(pieces: done + padding, length: last == .max ? nil : last), conditions: 1)
    state.update { advance(&$0) }
  }

  /// What of a piece is really there: after a loss of power the disk may lack what the journal says.
  private static func proven(_ records: [FetchJournal.Record], of pieces: [Range<Int64>], in spool: Spool) throws(Failure) -> [Progress] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Payload.hashedAtATime, alignment: 4096)
    defer { buffer.deallocate() }
    var progress: [Progress] = []
    for (record, piece) in zip(records, pieces) {
      guard record.done > 0, record.done <= piece.count else {
        progress.append(Progress())
        continue
      }
      let end = piece.lowerBound + record.done
      let isThere = try checksum(of: piece.lowerBound..<end, in: spool, buffer) == record.checksum
      progress.append(isThere ? Progress(done: record.done, checksum: UInt(record.checksum), noted: record.done) : Progress())
    }
    return progress
  }

  private static func checksum(of range: Range<Int64>, in spool: Spool, _ buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> UInt32?
  {
    var checksum: UInt = 0
    var offset = range.lowerBound
    while offset < range.upperBound {
      let wanted = Int(min(Int64(buffer.count), range.upperBound - offset))
      let count = try spool.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
      guard count > 0 else { return nil }
      checksum = updatedChecksum(checksum, UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += Int64(count)
    }
    return UInt32(truncatingIfNeeded: checksum)
  }

  /// A disk that is too small is told of now, not when it is full.
  private func checkRoom() throws(Failure) {
    guard let length = state.update({ $0.length }) else { return }
    do throws(Failure) { try spool.checkRoom(for: length - resumed) } catch {
      leave()
      throw error
    }
  }

  /// Whether another run can go on with it.
  public var hasJournal: Bool { journal != nil }

  /// Bytes that are there.
  public var count: Int64 { state.update { state in state.pieces.reduce(0) { $0.addingSaturated($1.done) } } }

  /// Where the first byte is that a piece lacks; its end if it is whole.
  public func next(ofPiece index: Int) -> Int64 { state.update { pieces[index].lowerBound + $0.pieces[index].done } }

  /// Takes bytes from `offset` on, over the borders of pieces if need be. Those that are there already are compared. Used for each piece by one
  /// thread at a time. Blocks.
  ///
  /// - Throws: `spool` if the disk does not take them; `input` if they are others than those that are there.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Failure) {
    var (rest, offset) = (bytes, offset)
    while !rest.isEmpty, let index = index(at: offset) {
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(min(Int64(rest.count), pieces[index].upperBound - offset))))
      try write(part, at: offset, inPiece: index)
      offset += Int64(part.count)
      rest = UnsafeRawBufferPointer(rebasing: rest[part.count...])
    }
  }

  /// By bisection: a long object has many pieces.
  private func index(at offset: Int64) -> Int? {
    var (low, high) = (0, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].upperBound <= offset { low = middle + 1 } else { high = middle }
    }
    return low < pieces.count ? low : nil
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64, inPiece index: Int) throws(Failure) {
    let there = next(ofPiece: index)
    precondition(offset <= there, "a piece was not written from its beginning on")
    let known = Int(min(Int64(bytes.count), there - offset))
    if known > 0, try !holds(UnsafeRawBufferPointer(rebasing: bytes[..<known]), at: offset) { throw .replaced("the object") }
    let new = UnsafeRawBufferPointer(rebasing: bytes[known...])
    guard !new.isEmpty else { return }
    try spool.write(new, at: there)
    let progress = state.update { state -> Progress in
      state.pieces[index].done += Int64(new.count)
      if journal != nil { state.pieces[index].checksum = updatedChecksum(state.pieces[index].checksum, new) }
      if index == state.first { advance(&state) }
      return state.pieces[index]
    }
    state.wakeAll()
    guard let journal else { return }
    let isWhole = progress.done == pieces[index].count
    guard isWhole || progress.done - progress.noted >= PartialSpool.noteEvery else { return }
    try journal.note(.init(done: progress.done, checksum: UInt32(truncatingIfNeeded: progress.checksum)), of: index)
    state.update { $0.pieces[index].noted = progress.done }
  }

  private func holds(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Failure) -> Bool {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { buffer.deallocate() }
    guard try spool.read(into: buffer, at: offset) == bytes.count, let one = buffer.baseAddress, let other = bytes.baseAddress else {
      return false
    }
    return memcmp(one, other, bytes.count) == 0
  }

  private func advance(_ state: inout State) {
    while state.first < pieces.count, state.pieces[state.first].done == pieces[state.first].count { state.first += 1 }
  }

  /// Says that the last byte has come. An object of unknown length has as many as have come.
  ///
  /// - Returns: its length; nil if something is missing.
  public func end() -> Int64? {
    let length = state.update { state -> Int64? in
      if let length = state.length { return state.first == pieces.count ? length : nil }
      state.length = state.pieces[0].done
      return state.length
    }
    state.wakeAll()
    return length
  }

  /// Says that no more will come.
  public func fail(_ failure: Failure) {
    state.update { $0.failure = $0.failure ?? failure }
    state.wakeAll()
  }

  public func stop() {
    state.update { $0.isStopped = true }
    state.wakeAll()
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let position = state.update { $0.position }
    let count = try read(into: buffer, at: position)
    state.update { $0.position += Int64(count) }
    return count
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Failure) -> Int {
    let available = state.wait(for: 0) { state -> Result<Int64, Failure>? in
      if state.isStopped { return .failure(.interrupted) }
      let prefix =
        state.first < pieces.count ? pieces[state.first].lowerBound + state.pieces[state.first].done : pieces.last?.upperBound ?? 0
      if prefix > offset { return .success(prefix - offset) }
      if let length = state.length, offset >= length { return .success(0) }
      return state.failure.map { .failure($0) }
    }
    let wanted = Int(min(Int64(buffer.count), try available.get()))
    guard wanted > 0 else { return 0 }
    let count = try spool.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
    guard count > 0 else { throw Failure(.spool, "the spool \(spool.id) is shorter than what was written to it") }
    return count
  }

  /// The SHA-256 of a part that is there, in bytes. Blocks.
  ///
  /// - Throws: `spool`.
  public func sha256(of range: Range<Int64>) throws(Failure) -> Checksum {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Payload.hashedAtATime, alignment: 4096)
    defer { buffer.deallocate() }
    var (hash, offset) = (RunningHash(.sha256), range.lowerBound)
    while offset < range.upperBound {
      let wanted = Int(min(Int64(buffer.count), range.upperBound - offset))
      let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
      guard count > 0 else { break }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += Int64(count)
    }
    return hash.finalized()
  }

  /// The whole object. A run that dies before it is where it is to go leaves it to another run, unless it is discarded.
  ///
  /// - Parameter digests: its hashes, as they were computed of it.
  public func payload(_ digests: [Checksum]) -> Payload {
    let length = state.update { $0.length ?? 0 }
    return Payload(spool: spool, length: length, inputLength: length, digests: digests)
  }

  /// Lets go of it: what has come stays for another run if there is a journal and something has come.
  ///
  /// - Returns: whether it stays.
  @discardableResult
  public func leave() -> Bool {
    guard let journal, count > 0, !spool.isMoved else {
      discard()
      return false
    }
    for (index, piece) in state.update({ $0.pieces }).enumerated() where piece.done > piece.noted {
      try? journal.note(.init(done: piece.done, checksum: UInt32(truncatingIfNeeded: piece.checksum)), of: index)
    }
    return true
  }

  /// Removes it.
  public func discard() {
    journal?.remove()
    spool.remove()
  }
}

extension Failure {
  /// Something else has come to the place of an object since it was looked at, or begun to be read.
  public static func replaced(_ what: String) -> Failure {
    Failure(.input, "\(what) was replaced while it was read", hint: "run the command again")
  }
}

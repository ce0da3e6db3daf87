import Synchronization

/// A part of an object that is cut while it is made.
public struct Part: Sendable {
  /// From 1 on.
  public let number: Int
  public let payload: Payload
  public let sha256: Checksum
  fileprivate let room: PartRoom

  /// Says that its spool is gone, or stays for good, so that another part may be made.
  public func end() { room.leave() }
}

/// A sink that cuts the object into parts, each in a spool of its own, and waits where there are as many as there may be.
final class PartWriter: ObjectSink {
  /// A number has five digits, so that names sort as they should.
  private static let most = 99_999

  private struct State {
    var number = 0
    var spool: Spool?
    var written: Int64 = 0
    var hash = RunningHash(.sha256)
  }

  let hashes = [ObjectHash(.sha256)]
  private let size: Int64
  private let room: PartRoom
  private let directory: @Sendable () throws(Failure) -> SpoolDirectory
  private let meter: Meter
  private let next: @Sendable (Part) -> Void
  private let state = Mutex(State())

  init(
    size: Int64, atATime most: Int, _ meter: Meter, in directory: @escaping @Sendable () throws(Failure) -> SpoolDirectory,
    _ next: @escaping @Sendable (Part) -> Void
  ) {
    self.size = size
    self.meter = meter
    self.directory = directory
    self.next = next
    room = PartRoom(most)
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    try state.withLock { (state) throws(Failure) in
      var rest = bytes
      while !rest.isEmpty {
        if state.spool == nil { try begin(&state) }
        let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(min(Int64(rest.count), size - state.written))))
        try state.spool?.append(piece, after: state.written)
        state.hash.update(piece)
        state.written += Int64(piece.count)
        meter.addObject(piece.count)
        rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
        if state.written == size { end(&state) }
      }
    }
  }

  func stop() { room.close() }

  /// Hands on the last part; an empty object has one too. Blocks if there is no room for it.
  func finish() throws(Failure) {
    try state.withLock { (state) throws(Failure) in
      if state.number == 0 { try begin(&state) }
      end(&state)
    }
  }

  /// Removes the part that is not complete.
  func discard() {
    state.withLock { $0.spool?.remove() }
  }

  private func begin(_ state: inout State) throws(Failure) {
    guard state.number < PartWriter.most else {
      throw Failure(.spool, "the object has more than \(PartWriter.most) parts", hint: "raise --part-size")
    }
    guard room.enter() else { throw .interrupted }
    let directory = directory
    state.spool = try Spool.create(in: try directory())
    state.number += 1
    state.written = 0
    state.hash = RunningHash(.sha256)
  }

  private func end(_ state: inout State) {
    guard let spool = state.spool else { return }
    let sha256 = state.hash.finalized()
    let payload = Payload(spool: spool, length: state.written, inputLength: state.written, digests: [sha256])
    state.spool = nil
    next(Part(number: state.number, payload: payload, sha256: sha256, room: room))
  }
}

/// How many parts there are at a time.
final class PartRoom: Sendable {
  private let count: Monitor<(now: Int, isClosed: Bool)>
  private let most: Int

  init(_ most: Int) {
    self.most = most
    count = Monitor((now: 0, isClosed: false), conditions: 1)
  }

  /// Waits until there may be one more. Returns false if there will be none. Blocks.
  func enter() -> Bool {
    count.wait(for: 0) { count -> Bool? in
      if count.isClosed { return false }
      guard count.now < most else { return nil }
      count.now += 1
      return true
    }
  }

  func leave() {
    count.update { $0.now -= 1 }
    count.wakeAll()
  }

  func close() {
    count.update { $0.isClosed = true }
    count.wakeAll()
  }
}

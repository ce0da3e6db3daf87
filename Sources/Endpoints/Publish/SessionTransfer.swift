import BytePath
import Synchronization

/// One object on its way in pieces, some of them at a time, each read straight from the payload.
///
/// When a piece fails, no further ones are begun, those under way end, and the attempt fails. The next one, in this run or a later one, takes
/// the session up where it stands: it asks the server which pieces it has, and sends those that are missing or other than they should be.
struct SessionTransfer: Sendable {
  let store: any SessionStore
  let upload: Upload
  /// Where the object goes for now.
  let path: String
  let condition: Condition
  let keeper: NoteKeeper
  let publisher: Publisher

  private var payload: Payload { upload.payload }

  /// - Returns: nil if the object is to go in one piece.
  func receipt() async throws(Failure) -> Receipt? {
    let plan = try await store.plan(for: payload.length, at: path, upload.attributes)
    if let session = keeper.note?.session {
      switch try await store.state(of: session, upload, at: path) {
      case .open(let session, let pieces):
        if let plan { return try await finish(session, plan, pieces) }
        // The options that were given for the server have changed since.
        try await store.abort(session, at: path, length: payload.length)
        forget()
      case .completed(let receipt): return receipt
      case .gone:
        if keeper.note?.isCompleting == true, let receipt = try await receiptByLook() { return receipt }
        publisher.context.detail("the session of \(upload.path) is gone; it begins anew")
        forget()
      }
    }
    guard let plan else { return nil }
    // The server makes the file before it answers.
    var note = keeper.note ?? Note(.sending)
    note.session = Session(id: nil, pieceSize: plan.pieceSize)
    keeper.set(note)
    do throws(Failure) {
      switch try await store.open(plan, upload, at: path, condition) {
      case .open(let session, let pieces): return try await finish(session, plan, pieces)
      case .completed(let receipt):
        upload.meter.setSent(payload.length)
        return receipt
      case .gone, nil:
        forget()
        return nil
      }
    } catch {
      if keeper.note?.session?.id == nil, !error.isRetryable, error.kind != .interrupted { forget() }
      throw error
    }
  }

  /// A session is forgotten when it is complete. If only the answer to that was lost, the object is there.
  func receiptOfLostAnswer(_ session: Session) async throws(Failure) -> Receipt? {
    switch try await store.state(of: session, upload, at: path) {
    case .completed(let receipt): return receipt
    case .open: return nil
    case .gone: return try await receiptByLook()
    }
  }

  private func receiptByLook() async throws(Failure) -> Receipt? {
    do throws(Failure) {
      let verification = try await publisher.compare(path, upload.path, with: payload)
      // Under a temporary name nobody else writes. Under the object's own an older one of the same size may lie still.
      return verification == .sizeAndHash || path != keeper.place ? Receipt() : nil
    } catch {
      guard error.isMismatch || !error.isRetryable else { throw error }
      return nil
    }
  }

  /// Another attempt begins a new session.
  private func forget() {
    keeper.change { note in
      note.session = nil
      note.isCompleting = nil
    }
    // Nothing else was to be remembered of an object that goes to its own name.
    if let note = keeper.note, note.temporary == nil, note.before == nil { keeper.clear() }
  }

  private func finish(_ session: Session, _ plan: SessionPlan, _ had: [Int: SentPiece]) async throws(Failure) -> Receipt {
    keeper.change { $0.session = session }
    do throws(Failure) {
      // What was sent in vain does not count.
      upload.meter.setSent(0)
      let sending = PieceSending(
        store: store, session: session, upload: upload, path: path, had: had, hashes: plan.hashes, window: plan.window,
        concurrency: min(plan.concurrency, session.count(for: payload.length)))
      let pieces = try await sending.run()
      if let receipt = pieces.lazy.compactMap(\.completed).first { return receipt }
      keeper.change { $0.isCompleting = true }
      return try await store.complete(session, pieces, upload, at: path, condition)
    } catch {
      // A session that may go on is left to the next attempt, also that of another run. Whoever knows that there will be none abandons it.
      if error.isSessionLost {
        forget()
        let (store, path, length) = (store, path, payload.length)
        _ = await cleaningUp { () throws(Failure) in try await store.abort(session, at: path, length: length) }
      }
      throw error
    }
  }
}

/// Sends the pieces of an object that the server has not yet, in order, some at a time.
private struct PieceSending: Sendable {
  let store: any SessionStore
  let session: Session
  let upload: Upload
  let path: String
  /// What the server has.
  let had: [Int: SentPiece]
  /// Those that are made of each piece.
  let hashes: [HashAlgorithm]
  let window: Int?
  let concurrency: Int

  /// - Returns: all pieces in order; fewer if one says that the object is complete.
  /// - Throws: the failure that counts most: one that stays before one that may pass.
  func run() async throws(Failure) -> [SentPiece] {
    let queue = PieceQueue(session.count(for: upload.payload.length), window: window)
    await withTaskGroup(of: Failure?.self) { group in
      for _ in 0..<concurrency { group.addTask { await sendPieces(of: queue) } }
      for await failure in group {
        // Those under way may end, so that they need not be sent again, unless nothing will come of it.
        if let failure, !failure.isRetryable { group.cancelAll() }
      }
    }
    if Task.isCancelled { throw .interrupted }
    if let failure = queue.failure { throw failure }
    return queue.pieces
  }

  /// Sends one piece after the other. While one is on its way the hashes of the next are made, which the head of its request may need.
  private func sendPieces(of queue: PieceQueue) async -> Failure? {
    var next = await prepared(queue.next())
    while let prepared = next {
      guard await queue.mayBegin(prepared.index) else { return nil }
      async let following = self.prepared(queue.next())
      do throws(Failure) {
        queue.add(try await send(prepared.get()), prepared.index)
      } catch {
        queue.end(error)
        return error
      }
      next = await following
    }
    return nil
  }

  /// A piece with what must be known of it before it is sent.
  private struct Prepared: Sendable {
    let index: Int
    let piece: Result<(Piece, there: SentPiece?), Failure>

    func get() throws(Failure) -> (Piece, there: SentPiece?) { try piece.get() }
  }

  private func prepared(_ index: Int?) async -> Prepared? {
    guard let index else { return nil }
    return Prepared(index: index, piece: await answer { () throws(Failure) in try await piece(index) })
  }

  private func piece(_ index: Int) async throws(Failure) -> (Piece, there: SentPiece?) {
    let range = session.range(of: index, in: upload.payload.length)
    var piece = Piece(index: index, range: range, rateShare: concurrency, meter: Meter(partOf: upload.meter))
    let there = had[index].flatMap { $0.size == Int64(range.count) ? $0 : nil }
    if let there, there.isProven || hashes.isEmpty { return (piece, there) }
    if !hashes.isEmpty {
      let digests = try await upload.payload.digests(hashes, of: range)
      piece.hashes = Dictionary(uniqueKeysWithValues: zip(hashes, digests))
    }
    guard let there, there.isSame(as: piece) else { return (piece, nil) }
    return (piece, there)
  }

  private func send(_ prepared: (Piece, there: SentPiece?)) async throws(Failure) -> SentPiece {
    let piece = prepared.0
    if var there = prepared.there {
      piece.meter.setSent(Int64(piece.range.count))
      there.hashes.merge(piece.hashes) { theirs, _ in theirs }
      return there
    }
    let sent = try await store.send(piece, of: session, upload, at: path)
    guard !sent.isEarly else {
      throw Failure(.protocol, "the server reports success before it had piece \(piece.index + 1) of \(upload.path)", retryable: true)
    }
    return sent
  }
}

extension SentPiece {
  /// Whether it has the bytes of the piece for sure, by a hash that both know.
  fileprivate func isSame(as piece: Piece) -> Bool {
    let common = hashes.filter { piece.hashes[$0.key] != nil }
    return !common.isEmpty && common.allSatisfy { piece.hashes[$0.key] == $0.value }
  }
}

/// The indices of the pieces that are still to be sent, and what has come of the others.
private final class PieceQueue: Sendable {
  private struct State {
    var waiting: Range<Int>.Iterator
    var pieces: [Int: SentPiece] = [:]
    var failure: Failure?
    var isComplete = false
    /// The first that the server lacks.
    var first = 0
    let window: Int
    /// Those that are too far ahead of the first.
    var early: [(index: Int, continuation: CheckedContinuation<Bool, Never>)] = []

    /// Nil as long as it must wait.
    func mayBegin(_ index: Int) -> Bool? {
      if failure != nil || isComplete { return false }
      return index - first < window ? true : nil
    }
  }

  private let state: Mutex<State>

  init(_ count: Int, window: Int?) {
    state = Mutex(State(waiting: (0..<count).makeIterator(), window: window ?? .max))
  }

  var pieces: [SentPiece] { state.withLock { $0.pieces.sorted { $0.key < $1.key }.map(\.value) } }
  var failure: Failure? { state.withLock { $0.failure } }

  /// Nil if there are no more, or one has failed.
  func next() -> Int? { state.withLock { $0.failure == nil && !$0.isComplete ? $0.waiting.next() : nil } }

  /// Waits as long as a piece is too far ahead for the server. The first that it lacks is never that, so it does not wait for ever.
  ///
  /// - Returns: false if nothing more is to be sent.
  func mayBegin(_ index: Int) async -> Bool {
    await withCheckedContinuation { continuation in
      let answer = state.withLock { state in
        let answer = state.mayBegin(index)
        if answer == nil { state.early.append((index, continuation)) }
        return answer
      }
      if let answer { continuation.resume(returning: answer) }
    }
  }

  private func change(_ body: (inout State) -> Void) {
    let decided = state.withLock { state in
      body(&state)
      let decided = state.early.compactMap { early in state.mayBegin(early.index).map { (early.continuation, $0) } }
      let rest = state.early.filter { state.mayBegin($0.index) == nil }
      state.early = rest
      return decided
    }
    for (continuation, answer) in decided { continuation.resume(returning: answer) }
  }

  func add(_ piece: SentPiece, _ index: Int) {
    change { state in
      state.pieces[index] = piece
      while state.pieces[state.first] != nil { state.first += 1 }
      if piece.completed != nil { state.isComplete = true }
    }
  }

  /// Gives out no more. Pieces that were cancelled for the sake of one that stays say nothing new.
  func end(_ failure: Failure) {
    change { state in
      if state.failure.map({ $0.isRetryable && !failure.isRetryable && failure.kind != .interrupted }) ?? true { state.failure = failure }
    }
  }
}

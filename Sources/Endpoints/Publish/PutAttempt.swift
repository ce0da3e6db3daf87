import BytePath

/// One attempt to put an object: under a temporary name that is changed for its own when the object is whole, unless the store shows nothing
/// before it is, or can't rename, or the user says `-o direct`.
struct PutAttempt: Sendable {
  let publisher: Publisher
  let upload: Upload
  /// Where the object comes to lie.
  let place: String

  private var store: any Store { publisher.store }
  private var attributes: Attributes { upload.attributes }
  private var payload: Payload { upload.payload }
  var keeper: NoteKeeper { NoteKeeper(checkpoint: upload.checkpoint, place: place) }

  func receipt() async throws(Failure) -> Receipt {
    upload.meter.setSent(0)
    if let receipt = try await receiptOfEarlierAttempt() { return receipt }
    let traits = try await store.traits(of: place, attributes)
    let before = needsLook(traits) ? try await look() : nil
    if let before { try publisher.refuseUntold(before, traits, attributes) }
    let condition: Condition = attributes.existing == .refuse || before?.stored == nil && traits.guardsNewNames ? .absent : .any
    do throws(Failure) {
      if let adopting = store as? any AdoptingStore, payload.spool != nil, payload.mayBeMoved,
        try await adopting.adopt(upload, at: place, condition)
      {
        upload.meter.setSent(payload.length)
        return Receipt()
      }
      if let renaming = store as? any RenamingStore, let before, !publisher.goesDirectly(traits, attributes), before.isTold,
        !isRestOfOurs(before)
      {
        let staging = Staging(attempt: self, store: renaming, traits: traits)
        if let receipt = try await staging.receipt(before, condition) { return receipt }
      }
      return try await putDirectly(before, traits, condition)
    } catch {
      guard error.kind == .exists, attributes.existing == .overwrite else { throw error }
      // It has come there since the look, if that could see anything.
      var failure = error
      failure.isRetryable = before?.isTold ?? true
      failure.hint = failure.isRetryable ? nil : "the server does not show what is there, so that nothing is replaced"
      throw failure
    }
  }

  /// Whether it matters what is there.
  private func needsLook(_ traits: Traits) -> Bool {
    attributes.existing == .refuse || !publisher.goesDirectly(traits, attributes) || traits.guardsNewNames || traits.looksFirst
  }

  /// What a broken connection left of an attempt before this one is no object to be kept. But it can't be told from what somebody else has put
  /// there meanwhile, so that who wants to replace nothing is told of it.
  private func isRestOfOurs(_ finding: Finding) -> Bool {
    guard finding.stored != nil, attributes.existing == .overwrite, let note = keeper.note else { return false }
    return note.temporary == nil && note.stage == .sending && note.before?.isNothing == true
  }

  /// What is at the object's name now.
  ///
  /// - Parameter isCertain: whether a look of a moment ago is not enough for something that is to be replaced.
  /// - Throws: `exists` or `rejected` for it.
  func look(isCertain: Bool = false) async throws(Failure) -> Finding {
    let isFirst = upload.attempt <= 1 && attributes.existing == .overwrite
    let finding: Finding
    if isFirst, let recent = publisher.looks.recent(place), !isCertain || recent.isNothing {
      finding = recent
    } else {
      finding = try await store.stat(place, fresh: upload.attempt > 1 || attributes.existing == .refuse)
      publisher.looks.note(finding, at: place)
    }
    try publisher.refuse(finding, upload.path, attributes.existing)
    return finding
  }

  /// What an attempt before this one left, if that is whole and only lacks its name, or has it already. What is left of others goes, unless a
  /// session may go on.
  private func receiptOfEarlierAttempt() async throws(Failure) -> Receipt? {
    guard let note = keeper.note else {
      keeper.clear()
      return nil
    }
    if let session = note.session, note.isCompleting == true, note.temporary == nil, let sessions = store as? any SessionStore {
      let transfer = SessionTransfer(store: sessions, upload: upload, path: place, condition: .any, keeper: keeper, publisher: publisher)
      if let receipt = try await transfer.receiptOfLostAnswer(session) {
        keeper.clear()
        return receipt
      }
    }
    guard let renaming = store as? any RenamingStore, let name = note.temporary.map(keeper.path) else { return nil }
    let traits = try await store.traits(of: place, attributes)
    return try await Staging(attempt: self, store: renaming, traits: traits).receiptOfEarlierAttempt(note, name)
  }

  /// Brings the whole object to `path`, in pieces or in one.
  func transfer(to path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    if let sessions = store as? any SessionStore {
      let transfer = SessionTransfer(
        store: sessions, upload: upload, path: path, condition: condition, keeper: keeper, publisher: publisher)
      if let receipt = try await transfer.receipt() { return receipt }
    }
    let receipt = try await store.put(upload, at: path, condition)
    guard !receipt.isEarly else { throw .early(receipt) }
    return receipt
  }

  /// - Parameter before: what is there; nil if nobody has looked, so that a part of the object could not be told from what was there before.
  func putDirectly(_ before: Finding?, _ traits: Traits, _ condition: Condition) async throws(Failure) -> Receipt {
    let tellsRemains = before != nil && (!traits.publishesAtomically || !traits.asideEndings.isEmpty)
    // The note of the attempt that has left a part says what was there before that.
    let isOurs = before.map(isRestOfOurs) ?? false
    if before != nil, !traits.publishesAtomically, !isOurs, keeper.note?.session == nil {
      keeper.set(Note(.sending, before: before.flatMap { Note.Before($0) }))
    }
    do throws(Failure) {
      let receipt = try await transfer(to: place, condition)
      keeper.clear()
      return receipt
    } catch {
      throw tellsRemains ? await Remains(attempt: self, traits: traits).named(error, isOurs ? nil : before?.stored, isOurs: isOurs) : error
    }
  }
}

extension Failure {
  static func early(_ receipt: Receipt) -> Failure {
    var failure = Failure(.protocol, "the server reports success before it had the whole object", retryable: true)
    (failure.httpStatus, failure.response) = (receipt.httpStatus, receipt.response)
    return failure
  }

  /// With another hint behind its own.
  func withHint(_ text: String) -> Failure {
    var failure = self
    failure.hint = hint.map { "\($0); \(text)" } ?? text
    return failure
  }
}

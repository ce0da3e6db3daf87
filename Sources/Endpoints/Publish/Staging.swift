import BytePath

/// A put that nobody sees before it is whole: to a temporary name beside the object's own, looked at, then renamed. What was there before stays
/// until then, whatever happens to the connection.
///
/// The note has the temporary name, so that a later attempt, also one of another run, removes what is left of this one, or does the rename alone
/// if that was all that was missing. It also has what the rename was to replace, as an object that is gone from its temporary name may have been
/// renamed or removed.
struct Staging: Sendable {
  let attempt: PutAttempt
  let store: any RenamingStore
  let traits: Traits

  private var publisher: Publisher { attempt.publisher }
  private var upload: Upload { attempt.upload }
  private var place: String { attempt.place }
  private var keeper: NoteKeeper { attempt.keeper }

  /// - Parameters:
  ///   - before: what is at the object's name.
  ///   - condition: for the rename.
  ///   - name: the temporary name, if it is not to be made up.
  /// - Returns: nil if the server cannot rename; then nothing of it is left.
  func receipt(_ before: Finding, _ condition: Condition, at name: String? = nil) async throws(Failure) -> Receipt? {
    // The session of an attempt before this one may have made the file already.
    let known = keeper.note.flatMap { $0.session == nil ? nil : $0.temporary }
    let temporary = known.map(keeper.path) ?? name ?? publisher.names.beside(place)
    if known == nil { keeper.set(Note(.sending, temporary: self.name(of: temporary))) }
    do throws(Failure) {
      let receipt = try await attempt.transfer(to: temporary, known == nil && traits.guardsNewNames ? .absent : .any)
      _ = try await publisher.compare(temporary, upload.path, with: upload.payload)
      guard let renamed = try await publish(temporary) else { return nil }
      var named = receipt
      named.flaw = renamed.flaw ?? receipt.flaw
      return named
    } catch {
      let isUnnamed = keeper.note?.stage == .sending && [.rejected, .auth].contains(error.kind)
      let failure = await Remains(attempt: attempt, traits: traits).cleared(temporary, store, error)
      guard known == nil, isUnnamed, keeper.note == nil, let status = error.httpStatus, [403, 404, 405].contains(status),
        TemporaryName.isHidden(temporary, beside: place)
      else { throw failure }
      return try await receiptByOtherName(before, condition, failure)
    }
  }

  /// Names with a dot at their start are refused by many sites, and others perhaps by some. So the object goes by a temporary name without one,
  /// or, if whatever is put to that is refused too, straight to its own.
  private func receiptByOtherName(_ before: Finding, _ condition: Condition, _ refusal: Failure) async throws(Failure) -> Receipt? {
    upload.meter.setSent(0)
    let shown = TemporaryName.beside(place, isHidden: false)
    guard let second = await self.refusal(ofNothingAt: shown) else {
      let receipt = try await receipt(before, condition, at: shown)
      publisher.names.show()
      return receipt
    }
    switch second.httpStatus {
    case 403, 404:
      let receipt = try await attempt.putDirectly(before, traits, condition)
      publisher.context.warn(
        "no temporary name beside \(upload.path) is allowed (HTTP \(refusal.httpStatus ?? 0)), so it was sent straight to its name; see -o direct"
      )
      return receipt
    // Go's WebDAV says 405 of a full disk, on which an older object is to stay.
    default: throw refusal
    }
  }

  /// Puts nothing to a name, to see whether it is the name that is refused, and not the object for its size or a quota.
  private func refusal(ofNothingAt temporary: String) async -> Failure? {
    keeper.set(Note(.sending, temporary: name(of: temporary)))
    do throws(Failure) {
      let nothing = try Payload(remembered: 0, sha256: nil, name: "nothing")
      _ = try await store.put(Upload(nothing, to: upload.path, upload.attributes, Meter(), Checkpoint(nil) { _ in }), at: temporary, .any)
      return nil
    } catch {
      return await Remains(attempt: attempt, traits: traits).cleared(temporary, store, error)
    }
  }

  /// What an attempt before this one left under a temporary name: whole, it gets its own; otherwise it is removed.
  func receiptOfEarlierAttempt(_ note: Note, _ temporary: String) async throws(Failure) -> Receipt? {
    if let aside = note.aside.map(keeper.path), try await swap(temporary, aside).settleEarlier() { return Receipt() }
    guard let note = keeper.note else { return nil }
    if note.stage == .renaming {
      let found = try await store.stat(temporary, fresh: true)
      if let stored = found.stored, stored.isDirectory != true, stored.size == upload.payload.length {
        do throws(Failure) { if let receipt = try await publish(temporary) { return receipt } } catch {
          throw await Remains(attempt: attempt, traits: traits).cleared(temporary, store, error)
        }
        return nil
      }
      if found.isNothing, try await isAtItsName(note.before) {
        keeper.clear()
        return Receipt()
      }
    }
    guard note.session == nil else { return nil }
    do throws(Failure) { try await store.remove(temporary) } catch {
      // A server that never removes anything is not to keep the object from its name.
      guard error.kind != .interrupted, upload.attempt > 1 || !error.isRetryable else { throw error }
      publisher.context.warn("a part of the object is left at \(temporary): \(error.message)")
    }
    keeper.clear()
    return nil
  }

  /// Gives the object its name.
  ///
  /// - Parameter known: what is there, if that was just asked for and may be replaced.
  /// - Returns: nil if the server cannot.
  private func publish(_ temporary: String, over known: Finding? = nil) async throws(Failure) -> Receipt? {
    let before = if let known { known } else { try await attempt.look(isCertain: traits.renamesOverDirectories) }
    if before.stored != nil, traits.renames == .ontoNothing {
      try await swap(temporary, publisher.names.beside(place)).run()
      return Receipt()
    }
    keeper.set(Note(.renaming, temporary: name(of: temporary), before: Note.Before(before)))
    let renamed: Renamed
    do throws(Failure) {
      renamed = try await store.rename(temporary, to: place, isGuarded(before, known) ? .absent : .any)
    } catch {
      // The answer alone may have been lost.
      if error.isOutcomeUnknown || error.isRetryable, (try? await hasName(temporary, Note.Before(before))) == true {
        keeper.clear()
        return Receipt()
      }
      // Or something has come there since the look. What is there may be the object itself, unless that still lacks its name.
      guard (try? await store.stat(temporary, fresh: true))?.stored != nil, let found = try? await store.stat(place, fresh: true) else {
        throw error
      }
      try publisher.refuse(found, upload.path, upload.attributes.existing)
      guard error.kind == .exists, known == nil else { throw error }
      return try await publish(temporary, over: found)
    }
    switch renamed {
    case .done(let receipt):
      keeper.clear()
      return receipt
    case .impossible(let failure):
      publisher.context.warn(
        "\(failure.message), so \(upload.path) is sent once more, straight to its name; see -o direct")
      if await cleaningUp({ [store] () throws(Failure) in try await store.remove(temporary) }) == nil {
        keeper.clear()
      } else {
        publisher.context.warn("\(temporary) is left on the server")
      }
      upload.meter.setSent(0)
      return nil
    }
  }

  /// Whether the rename is to replace nothing.
  private func isGuarded(_ before: Finding, _ known: Finding?) -> Bool {
    upload.attributes.existing == .refuse || known == nil && before.isNothing && (traits.guardsNewNames || traits.renamesOverDirectories)
  }

  /// Whether the object has gone from its temporary name to its own.
  private func hasName(_ temporary: String, _ before: Note.Before?) async throws(Failure) -> Bool {
    guard try await store.stat(temporary, fresh: true).isNothing else { return false }
    return try await isAtItsName(before)
  }

  /// Whether what is at the object's name is the object and not what was there before. Nothing but the rename takes it away from its temporary
  /// name, unless somebody else did.
  private func isAtItsName(_ before: Note.Before?) async throws(Failure) -> Bool {
    guard let found = try await store.stat(place, fresh: true).stored, found.size == upload.payload.length else { return false }
    guard let before else { return try await store.isSame(found, as: upload.payload) == true }
    if before.isNothing { return true }
    if let old = before.version, let new = found.version { return old != new }
    if let size = before.size, size != upload.payload.length { return true }
    // An older object of the same size is no proof.
    return try await store.isSame(found, as: upload.payload) == true
  }

  private func swap(_ temporary: String, _ aside: String) -> Swap {
    Swap(
      store: store, keeper: keeper, length: upload.payload.length, temporary: temporary, aside: aside, place: place,
      warn: publisher.context.warn)
  }

  private func name(of path: String) -> String { String(path.dropFirst(TemporaryName.folder(of: path).count)) }
}

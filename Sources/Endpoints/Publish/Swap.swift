import BytePath

/// Gives a whole object its name where an older one has it and a rename does not replace that: the older one is moved aside first, and removed
/// afterwards. For a moment nothing has the name; a failure then is mended at once if the server can be asked, else by a later attempt, which
/// finds in the note where everything is.
struct Swap: Sendable {
  let store: any RenamingStore
  let keeper: NoteKeeper
  /// Bytes of the object.
  let length: Int64
  /// Where the whole object is.
  let temporary: String
  /// Where the older one goes.
  let aside: String
  /// The object's own name.
  let place: String
  let warn: @Sendable (String) -> Void

  /// - Throws: whatever a rename fails with; then the older object is at its place again, unless the note says that it may be aside.
  func run() async throws(Failure) {
    keeper.set(note(.renaming, aside: true))
    do throws(Failure) {
      try await rename(place, to: aside)
      try await rename(temporary, to: place)
    } catch {
      // What counts is what is there now: the answer alone may have been lost.
      if error.kind != .interrupted, (try? await settle()) == true { return }
      await putBack()
      throw error
    }
    await removeOld()
    keeper.clear()
  }

  /// As `settle`, for what an attempt before this one left.
  func settleEarlier() async throws(Failure) -> Bool {
    do throws(Failure) { return try await settle() } catch {
      await putBack()
      throw error
    }
  }

  /// Puts right what was begun, by what is there now: the new object gets its name if it is whole, else the older one gets it back.
  ///
  /// - Returns: whether the new object has its name; if not, the note says what is still to be done.
  private func settle() async throws(Failure) -> Bool {
    let new = try await store.stat(temporary, fresh: true)
    let isWhole = new.stored.map { $0.isDirectory != true && $0.size == length } ?? false
    let current = try await store.stat(place, fresh: true).stored
    guard try await store.stat(aside, fresh: true).stored != nil else {
      noteRest(isWhole, current)
      return false
    }
    if let current {
      // Nothing but the rename takes the new object away from its temporary name.
      let isThere = new.isNothing && current.size == length
      await removeOld()
      if isThere { keeper.clear() } else { noteRest(isWhole, current) }
      return isThere
    }
    guard isWhole else {
      try await rename(aside, to: place)
      keeper.set(note(.sending))
      return false
    }
    try await rename(temporary, to: place)
    await removeOld()
    keeper.clear()
    return true
  }

  private func noteRest(_ isWhole: Bool, _ current: Stored?) {
    var rest = note(isWhole ? .renaming : .sending)
    if isWhole { rest.before = Note.Before(current.map { .stored($0) } ?? .nothing) }
    keeper.set(rest)
  }

  private func note(_ stage: Note.Stage, aside isAside: Bool = false) -> Note {
    var note = Note(stage, temporary: name(of: temporary))
    if isAside { note.aside = name(of: aside) }
    return note
  }

  /// Nothing may be under the name now. The older object is better than nothing.
  private func putBack() async {
    guard keeper.note?.aside != nil else { return }
    // What fails here is told with what it was to mend: the note still has both names.
    _ = await cleaningUp { [self] () throws(Failure) in
      guard let old = try await store.stat(aside, fresh: true).stored, try await store.stat(place, fresh: true).isNothing else { return }
      try await rename(aside, to: place)
      noteRest(true, old)
    }
  }

  private func removeOld() async {
    if let failure = await cleaningUp({ [self] () throws(Failure) in try await store.remove(aside) }) {
      warn("the object that was at \(place) could not be removed, and is at \(aside): \(failure.message)")
    }
  }

  private func rename(_ old: String, to new: String) async throws(Failure) {
    do throws(Failure) {
      if case .impossible(let failure) = try await store.rename(old, to: new, .absent) { throw failure }
    } catch {
      var failure = error
      if failure.kind == .exists { failure.isRetryable = true }
      throw failure
    }
  }

  private func name(of path: String) -> String { String(path.dropFirst(TemporaryName.folder(of: path).count)) }
}

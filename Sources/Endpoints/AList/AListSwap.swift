import BytePath

/// Gives a whole object its name where an older one has it and the drive does not rename onto that: the older one is moved aside first, and
/// removed afterwards. For a moment nothing has the name; a failure then is mended at once if the server can be asked, else by a later
/// attempt, which finds in the checkpoint where everything is.
struct AListSwap {
  let api: AListAPI
  let memory: AListMemory
  /// Bytes of the object.
  let length: Int64
  /// Where the whole object is.
  let temporary: String
  /// Where the older one goes.
  let aside: String
  let warn: @Sendable (String) -> Void

  private var path: String { memory.path }

  /// - Throws: whatever a rename fails with; then the older object is at its place again, unless the checkpoint says that it may be aside.
  func run() async throws(Failure) {
    memory.note(.swapping, temporary, aside: aside)
    do throws(Failure) {
      try await rename(path, to: aside)
      try await rename(temporary, to: path)
    } catch {
      // What counts is what is there now: the answer alone may have been lost.
      if error.kind != .interrupted, (try? await settle()) == true { return }
      await putBack()
      throw error
    }
    await removeOld()
    memory.clear()
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
  /// - Returns: whether the new object has its name; if not, the checkpoint says what is still to be done.
  private func settle() async throws(Failure) -> Bool {
    try await api.refresh(AList.parent(of: path))
    let new = try await api.entry(temporary)
    let isWhole = new.map { !$0.isFolder && $0.size == length } ?? false
    let current = try await api.entry(path)
    guard try await api.entry(aside) != nil else {
      noteRest(isWhole, current)
      return false
    }
    if let current {
      // Nothing but the rename takes the new object away from its temporary name.
      let isThere = new == nil && current.size == length
      await removeOld()
      if isThere { memory.clear() } else { noteRest(isWhole, current) }
      return isThere
    }
    guard isWhole else {
      try await rename(aside, to: path)
      memory.note(.sending, temporary)
      return false
    }
    try await rename(temporary, to: path)
    await removeOld()
    memory.clear()
    return true
  }

  private func noteRest(_ isWhole: Bool, _ current: AListEntry?) {
    memory.note(isWhole ? (current?.size == length ? .replacing : .renaming) : .sending, temporary)
  }

  /// Nothing may be under the name now. The older object is better than nothing.
  private func putBack() async {
    guard memory.noted?.aside != nil else { return }
    // What fails here is told with what it was to mend: the checkpoint still has both names.
    _ = await cleaningUp { [self] () throws(Failure) in
      try await api.refresh(AList.parent(of: path))
      guard let old = try await api.entry(aside), try await api.entry(path) == nil else { return }
      try await rename(aside, to: path)
      noteRest(true, old)
    }
  }

  private func removeOld() async {
    if let failure = await cleaningUp({ [self] () throws(Failure) in try await api.remove(aside) }) {
      warn("the object that was at \(path) could not be removed, and is at \(aside): \(failure.message)")
    }
  }

  private func rename(_ old: String, to new: String) async throws(Failure) {
    try AListCode.checkRename(
      try await api.rename(old, to: AList.name(of: new), overwriting: false), new, mayRetryExisting: true)
  }
}

import BytePath

/// A put that nobody sees before it is whole: to a temporary name beside the target, looked at, then renamed. What was there before stays
/// until then, whatever happens to the connection.
///
/// The checkpoint has the temporary name, so that a later attempt, also one of another run, removes what is left of this one, or does the
/// rename alone if that was all that was missing.
struct AListPublication {
  let put: AListPut
  /// The object that is replaced, if there is one.
  let old: AListEntry?

  private var api: AListAPI { put.api }
  private var upload: Upload { put.upload }
  private var path: String { put.upload.path }
  private var folder: String { AList.parent(of: path) }
  private var memory: AListMemory { AListMemory(checkpoint: upload.checkpoint, path: path) }

  /// Asks whether the drive needs it and the server allows it.
  func isPossible() async throws(Failure) -> Bool {
    // AList refuses to rename to a name with two dots in it (server/handles/fsmanage.go).
    guard AListDrive.writesInPlace(try await api.driver(of: folder)), !AList.name(of: path).contains("..") else { return false }
    return try await api.mayRename(in: folder)
  }

  func receipt() async throws(Failure) -> Receipt {
    if let receipt = try await receiptOfEarlierAttempt() { return receipt }
    let session = sessionName
    if session == nil { try await removeRest() }
    let temporary = session ?? TemporaryName.beside(path)
    if session == nil { memory.note(.sending, temporary) }
    do throws(Failure) {
      // A session of ours may have made the file already.
      let receipt = try await put.transfer(to: temporary, isGuarded: session == nil)
      _ = try await api.compare(temporary, with: upload.payload)
      try await publish(temporary)
      return receipt
    } catch {
      throw await cleared(temporary, error)
    }
  }

  /// The temporary name of a session that an attempt before this one began.
  private var sessionName: String? {
    guard let noted = memory.noted, noted.stage == .chunking || noted.stage == .completing else { return nil }
    return noted.name == path ? nil : noted.name
  }

  /// What an attempt before this one left, if that is whole and only lacks its name, or has it already.
  private func receiptOfEarlierAttempt() async throws(Failure) -> Receipt? {
    guard let noted = memory.noted, noted.stage == .renaming || noted.stage == .replacing else { return nil }
    try await api.refresh(folder)
    if let temporary = try await api.entry(noted.name) {
      guard temporary.size == upload.payload.length, !temporary.isFolder else { return nil }
      do throws(Failure) { try await publish(noted.name) } catch {
        throw await cleared(noted.name, error)
      }
      return Receipt()
    }
    // Nothing but the rename takes it away, unless somebody else did: an object of this size that was there before is no proof.
    guard let current = try await api.entry(path), current.size == upload.payload.length else { return nil }
    if noted.stage == .replacing {
      guard try await api.compare(path, with: upload.payload) == .sizeAndHash else { return nil }
    }
    memory.clear()
    return Receipt()
  }

  private func removeRest() async throws(Failure) {
    guard let noted = memory.noted, noted.name != path else { return memory.clear() }
    try await api.refresh(folder)
    if try await api.entry(noted.name) != nil { try await api.remove(noted.name) }
    memory.clear()
  }

  /// Gives the object its name.
  private func publish(_ temporary: String) async throws(Failure) {
    if old != nil, !AListDrive.renamesOver(try await api.driver(of: folder)) {
      return try await put.swap(temporary, TemporaryName.beside(path)).run()
    }
    memory.note(old?.size == upload.payload.length ? .replacing : .renaming, temporary)
    do throws(Failure) {
      try AListCode.checkRename(
        try await api.rename(temporary, to: AList.name(of: path), overwriting: old != nil), path,
        mayRetryExisting: upload.attributes.existing == .overwrite)
    } catch {
      // The answer alone may have been lost.
      guard error.isOutcomeUnknown || error.isRetryable, (try? await hasName(temporary)) == true else { throw error }
    }
    memory.clear()
  }

  /// Whether the object that was at `temporary` a moment ago has its name now.
  private func hasName(_ temporary: String) async throws(Failure) -> Bool {
    try await api.refresh(folder)
    guard try await api.entry(temporary) == nil, try await api.entry(path)?.size == upload.payload.length else { return false }
    // An older object of the same size is no proof.
    return old?.size != upload.payload.length ? true : try await api.compare(path, with: upload.payload) == .sizeAndHash
  }

  /// Removes what is left of a failed attempt, or says where it is. An object that only lacks its name is kept for the next attempt, and so is
  /// one whose session may go on.
  private func cleared(_ temporary: String, _ failure: Failure) async -> Failure {
    var failure = failure
    let noted = memory.noted
    // Under its own name it can't be yet.
    if noted?.stage == .sending || noted?.stage == .chunking { failure.isOutcomeUnknown = false }
    let mayGoOn = failure.isRetryable || failure.kind == .interrupted
    let isWhole = noted.map { [.renaming, .replacing, .swapping].contains($0.stage) } ?? false
    let isKept = noted?.stage != .sending && mayGoOn || noted?.aside != nil
    // Of a connection that broke the server may still make the file out of what has come, after it was told to remove it.
    let isBroken = failure.httpStatus == nil && upload.meter.sent > 0
    if !isKept, await cleaningUp({ [api] () throws(Failure) in try await api.removeForGood(temporary, looksAgain: isBroken) }) == nil {
      memory.clear()
      return failure
    }
    var rest = "\(isWhole ? "the whole object" : "what is left of the upload") is at \(temporary)"
    if let aside = noted?.aside { rest += ", and the one that was at \(path) may be at \(aside)" }
    failure.hint = failure.hint.map { "\($0); \(rest)" } ?? rest
    return failure
  }
}

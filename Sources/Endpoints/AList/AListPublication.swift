import BytePath

/// A put that nobody sees before it is whole: to a temporary name beside the target, looked at, then renamed. What was there before stays
/// until then, whatever happens to the connection.
///
/// The checkpoint has the temporary name, so that a later attempt, also one of another run, removes what is left of this one, or does the
/// rename alone if that was all that was missing.
struct AListPublication {
  let put: AListPut
  /// Whether there is an object that is replaced.
  let replaces: Bool

  private var api: AListAPI { put.api }
  private var upload: Upload { put.upload }
  private var path: String { put.upload.path }
  private var folder: String { AList.parent(of: path) }
  private var memory: AListMemory { AListMemory(checkpoint: upload.checkpoint, path: path) }

  /// Asks whether the drive needs it and the server allows it.
  func isPossible() async throws(Failure) -> Bool {
    // AList refuses to rename to a name with two dots in it (server/handles/fsmanage.go).
    guard AListDrive.writesInPlace(try await api.provider(of: folder)), !AList.name(of: path).contains("..") else { return false }
    return try await api.mayRename(in: folder)
  }

  func receipt() async throws(Failure) -> Receipt {
    if let receipt = try await receiptOfRename() { return receipt }
    let session = sessionName
    if session == nil { try await removeRest() }
    let temporary = session ?? temporaryName(beside: path)
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
  private func receiptOfRename() async throws(Failure) -> Receipt? {
    guard let noted = memory.noted, noted.stage == .renaming else { return nil }
    if let entry = try await refreshedEntry(noted.name) {
      guard entry.size == upload.payload.length, !entry.isFolder else { return nil }
      try await publish(noted.name)
      return Receipt()
    }
    // Nothing but the rename takes it away: only the answer was lost.
    guard try await api.entry(path)?.size == upload.payload.length else { return nil }
    memory.clear()
    return Receipt()
  }

  private func removeRest() async throws(Failure) {
    if let noted = memory.noted, noted.name != path, try await refreshedEntry(noted.name) != nil { try await api.remove(noted.name) }
    memory.clear()
  }

  private func refreshedEntry(_ name: String) async throws(Failure) -> AListEntry? {
    try await api.refresh(folder)
    return try await api.entry(name)
  }

  /// Gives the object its name.
  private func publish(_ temporary: String) async throws(Failure) {
    memory.note(.renaming, temporary)
    let renamesOver = AListDrive.renamesOver(try await api.provider(of: folder))
    if replaces, !renamesOver { try await replace(with: temporary) } else { try await rename(temporary, to: path, overwriting: replaces) }
    memory.clear()
  }

  /// For drives that do not rename onto an object: the old one is moved aside first, and back if that was in vain.
  private func replace(with temporary: String) async throws(Failure) {
    let aside = temporaryName(beside: path)
    try await rename(path, to: aside, overwriting: false)
    do throws(Failure) {
      try await rename(temporary, to: path, overwriting: false)
    } catch {
      var failure = error
      do throws(Failure) { try await rename(aside, to: path, overwriting: false) } catch {
        failure.hint = "the object that was at \(path) is at \(aside) now"
      }
      throw failure
    }
    do throws(Failure) { try await api.remove(aside) } catch {
      put.warn("the object that was at \(path) could not be removed, and is at \(aside): \(error.message)")
    }
  }

  private func rename(_ old: String, to new: String, overwriting: Bool) async throws(Failure) {
    let reply = try await api.rename(old, to: AList.name(of: new), overwriting: overwriting)
    if reply.code == 403, reply.message.contains("exists") {
      throw reply.answer.withEvidence(
        Failure(.exists, "\(new) exists already", retryable: upload.attributes.existing == .overwrite))
    }
    try AListCode.check(reply, new)
  }

  /// Removes what is left of a failed attempt, or says where it is. An object that only lacks its name is kept for the next attempt, and so is
  /// one whose session may go on.
  private func cleared(_ temporary: String, _ failure: Failure) async -> Failure {
    var failure = failure
    let stage = memory.noted?.stage
    let mayGoOn = failure.isRetryable || failure.kind == .interrupted
    let isKept = stage == .renaming ? failure.isRetryable : stage != .sending && mayGoOn
    if !isKept, await cleaningUp({ [api] () throws(Failure) in try await api.remove(temporary) }) == nil {
      memory.clear()
      return failure
    }
    let rest = "\(stage == .renaming ? "the whole object" : "what is left of the upload") is at \(temporary)"
    failure.hint = failure.hint.map { "\($0); \(rest)" } ?? rest
    return failure
  }
}

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
    guard let noted = memory.noted, [.renaming, .replacing, .swapping].contains(noted.stage) else { return nil }
    let temporary = try await refreshedEntry(noted.name)
    let isWhole = temporary.map { $0.size == upload.payload.length && !$0.isFolder } ?? false
    if let aside = noted.aside, try await api.entry(aside) != nil { return try await receiptOfSwap(noted.name, aside, isWhole: isWhole) }
    guard temporary == nil else {
      guard isWhole else { return nil }
      try await publish(noted.name)
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

  /// The older object is aside. The new one takes its place if it is there and has not done so; otherwise the old one gets it back.
  private func receiptOfSwap(_ temporary: String, _ aside: String, isWhole: Bool) async throws(Failure) -> Receipt? {
    let current = try await api.entry(path)
    if current == nil {
      try await rename(isWhole ? temporary : aside, to: path, overwriting: false)
    }
    let isThere = current == nil ? isWhole : current?.size == upload.payload.length && !isWhole
    if isThere { await removeOld(aside) }
    memory.clear()
    return isThere ? Receipt() : nil
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
    memory.note(old?.size == upload.payload.length ? .replacing : .renaming, temporary)
    let renamesOver = AListDrive.renamesOver(try await api.driver(of: folder))
    if old != nil, !renamesOver {
      try await replace(with: temporary)
    } else {
      try await rename(temporary, to: path, overwriting: old != nil)
    }
    memory.clear()
  }

  /// For drives that do not rename onto an object: the old one is moved aside first, and back if that was in vain.
  private func replace(with temporary: String) async throws(Failure) {
    let aside = temporaryName(beside: path)
    memory.note(.swapping, temporary, aside: aside)
    var isAside = false
    do throws(Failure) {
      try await rename(path, to: aside, overwriting: false)
      isAside = true
      try await rename(temporary, to: path, overwriting: false)
    } catch {
      var failure = error
      // Where an answer was lost it can't be known what is where; the next attempt looks.
      if failure.isOutcomeUnknown || failure.kind == .interrupted || failure.isRetryable {
        failure.hint = "the object that was at \(path) may be at \(aside) now; another attempt puts that right"
        throw failure
      }
      if isAside, await cleaningUp({ [self] () throws(Failure) in try await rename(aside, to: path, overwriting: false) }) != nil {
        failure.hint = "the object that was at \(path) is at \(aside) now"
      }
      memory.note(.renaming, temporary)
      throw failure
    }
    await removeOld(aside)
  }

  private func removeOld(_ aside: String) async {
    if let failure = await cleaningUp({ [api] () throws(Failure) in try await api.remove(aside) }) {
      put.warn("the object that was at \(path) could not be removed, and is at \(aside): \(failure.message)")
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
    let isWhole = [.renaming, .replacing, .swapping].contains(stage)
    let isKept = stage != .sending && mayGoOn
    if !isKept, await cleaningUp({ [api] () throws(Failure) in try await api.remove(temporary) }) == nil {
      memory.clear()
      return failure
    }
    let rest = "\(isWhole ? "the whole object" : "what is left of the upload") is at \(temporary)"
    failure.hint = failure.hint.map { "\($0); \(rest)" } ?? rest
    return failure
  }
}

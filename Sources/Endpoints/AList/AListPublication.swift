import BytePath

/// A put that nobody sees before it is whole: to a temporary name beside the target, looked at, then renamed. What was there before stays
/// until then, whatever happens to the connection.
///
/// The checkpoint has the temporary name, so that a later attempt, also one of another run, removes what is left of this one, or does the
/// rename alone if that was all that was missing.
struct AListPublication {
  /// How far the object with the temporary name is.
  private enum Stage: String {
    case sending, renaming
  }

  let put: AListPut
  /// Whether there is an object that is replaced.
  let replaces: Bool

  private var api: AListAPI { put.api }
  private var upload: Upload { put.upload }
  private var path: String { put.upload.path }
  private var folder: String { AList.parent(of: path) }

  /// Asks whether the drive needs it and the server allows it.
  func isPossible() async throws(Failure) -> Bool {
    // AList refuses to rename to a name with two dots in it (server/handles/fsmanage.go).
    guard AListDrive.writesInPlace(try await api.provider(of: folder)), !AList.name(of: path).contains("..") else { return false }
    return try await api.mayRename(in: folder)
  }

  func receipt() async throws(Failure) -> Receipt {
    if let receipt = try await receiptOfEarlierAttempt() { return receipt }
    let temporary = temporaryName(beside: path)
    remember(temporary, .sending)
    do throws(Failure) {
      let reply = try await put.send(to: temporary, isGuarded: true)
      _ = try await api.compare(temporary, with: upload.payload)
      try await publish(temporary)
      return Receipt(httpStatus: reply.answer.status, response: reply.answer.report)
    } catch {
      throw await cleared(temporary, error)
    }
  }

  /// What an attempt before this one left: its object, if that is whole, is renamed now; otherwise it is removed.
  private func receiptOfEarlierAttempt() async throws(Failure) -> Receipt? {
    guard let (temporary, stage) = remembered else { return nil }
    if let entry = try await refreshedEntry(temporary) {
      if entry.size == upload.payload.length, !entry.isFolder, stage == .renaming {
        try await publish(temporary)
        return Receipt()
      }
      try await api.remove(temporary)
    } else if stage == .renaming, try await api.entry(path)?.size == upload.payload.length {
      // Nothing but the rename takes it away: only the answer was lost.
      upload.checkpoint.set(nil)
      return Receipt()
    }
    upload.checkpoint.set(nil)
    return nil
  }

  private func refreshedEntry(_ name: String) async throws(Failure) -> AListEntry? {
    try await api.refresh(folder)
    return try await api.entry(name)
  }

  /// Gives the object its name.
  private func publish(_ temporary: String) async throws(Failure) {
    remember(temporary, .renaming)
    let renamesOver = AListDrive.renamesOver(try await api.provider(of: folder))
    if replaces, !renamesOver { try await replace(with: temporary) } else { try await rename(temporary, to: path, overwriting: replaces) }
    upload.checkpoint.set(nil)
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

  /// Removes what is left of a failed attempt, or says where it is. An object that only lacks its name is kept for the next attempt.
  private func cleared(_ temporary: String, _ failure: Failure) async -> Failure {
    var failure = failure
    let isWhole = remembered?.stage == .renaming
    if !(isWhole && failure.isRetryable), await isRemoved(temporary) {
      upload.checkpoint.set(nil)
      return failure
    }
    let rest = "\(isWhole ? "the whole object" : "what is left of the upload") is at \(temporary)"
    failure.hint = failure.hint.map { "\($0); \(rest)" } ?? rest
    return failure
  }

  /// Also when the run was interrupted, and then not for long.
  private func isRemoved(_ temporary: String) async -> Bool {
    let limit = Duration.milliseconds(Task.isCancelled ? 700 : 10_000)
    let (api, begun) = (api, ContinuousClock.now)
    let removal = Task.detached { () -> Bool in
      do throws(Failure) {
        try await api.remove(temporary)
        return true
      } catch {
        return false
      }
    }
    let timer = Task.detached {
      try await Task.sleep(until: begun + limit)
      removal.cancel()
    }
    defer { timer.cancel() }
    return await removal.value
  }

  private func remember(_ temporary: String, _ stage: Stage) {
    upload.checkpoint.set("\(stage.rawValue) \(temporary)")
  }

  private var remembered: (temporary: String, stage: Stage)? {
    guard let words = upload.checkpoint.text?.split(separator: " ", maxSplits: 1), words.count == 2 else { return nil }
    let temporary = String(words[1])
    // A job that somebody has changed must not make us remove anything else.
    guard let stage = Stage(rawValue: String(words[0])), AList.parent(of: temporary) == folder,
      AList.name(of: temporary).contains(".sluice-")
    else { return nil }
    return (temporary, stage)
  }
}

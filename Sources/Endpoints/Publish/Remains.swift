import BytePath
import Synchronization

/// What a failed attempt has left at the server: removed if it can be, else kept for the next attempt or named.
struct Remains: Sendable {
  let attempt: PutAttempt
  let traits: Traits

  private var upload: Upload { attempt.upload }
  private var place: String { attempt.place }
  private var keeper: NoteKeeper { attempt.keeper }
  private var store: any Store { attempt.publisher.store }

  /// Of an object under a temporary name. One that only lacks its own name is kept for the next attempt, as a rename that was interrupted may
  /// have been made, and so is one whose session may go on.
  func cleared(_ temporary: String, _ store: any RenamingStore, _ failure: Failure) async -> Failure {
    var failure = failure
    let note = keeper.note
    let isWhole = note?.stage == .renaming
    // Under its own name it can't be yet.
    if !isWhole { failure.isOutcomeUnknown = false }
    let isUnsent = failure.kind == .unreachable && upload.meter.sent == 0 && upload.payload.length > 0
    // Who may not put has put nothing, unless it was a quota that was told of so.
    if !isWhole, note?.session == nil, isUnsent || failure.kind == .auth {
      if upload.meter.sent > 0 { _ = await isRemoved(temporary, store, looksAgain: false) }
      keeper.clear()
      return failure
    }
    let mayGoOn = failure.isRetryable || failure.kind == .interrupted
    let isKept = (isWhole || note?.session != nil) && mayGoOn || note?.aside != nil
    // Of a connection that broke the server may still make the file out of what has come, after it was told to remove it.
    let isBroken = failure.httpStatus == nil && !failure.isMismatch && upload.meter.sent > 0 && !(store is any AdoptingStore)
    if !isKept, await isRemoved(temporary, store, looksAgain: isBroken) {
      keeper.clear()
      return failure
    }
    var rest = "\(isWhole ? "the whole object" : "what is left of the upload") is at \(temporary)"
    if let aside = note?.aside.map(keeper.path) { rest += ", and the one that was at \(upload.path) may be at \(aside)" }
    return failure.withHint(rest)
  }

  private func isRemoved(_ path: String, _ store: any RenamingStore, looksAgain: Bool) async -> Bool {
    let (session, length) = (keeper.note?.session, upload.payload.length)
    let failure = await cleaningUp { () throws(Failure) in
      // Otherwise it could make the file yet.
      if let session, let sessions = store as? any SessionStore { try await sessions.abort(session, at: path, length: length) }
      try await store.remove(path)
      guard looksAgain else { return }
      for wait in [100, 200, 400] {
        guard !Task.isCancelled, (try? await Task.sleep(for: .milliseconds(wait))) != nil else { return }
        if try await store.stat(path, fresh: true).stored != nil { try await store.remove(path) }
      }
    }
    return failure == nil
  }

  /// Of an object that went straight to its name, where a server writes from the first byte on, or moves the older object away first: where it
  /// dies, or its disk is full, that stays.
  ///
  /// - Parameters:
  ///   - old: what was there before.
  ///   - isOurs: whether an attempt before this one has left a part there.
  func named(_ failure: Failure, _ old: Stored?, isOurs: Bool) async -> Failure {
    let kinds: [Failure.Kind] = [.unreachable, .timeout, .server, .protocol, .rejected, .interrupted]
    guard isOurs || upload.meter.sent > 0 && kinds.contains(failure.kind) else {
      if keeper.note?.session == nil { keeper.clear() }
      return failure
    }
    let left = Mutex<[String]>([])
    let (store, place, payload, endings) = (store, place, upload.payload, traits.asideEndings)
    let unasked = await cleaningUp { () throws(Failure) in
      // Of the size that the old one had or the new one is to have it is no part of the new one.
      let found = try await store.stat(place, fresh: true)
      if case .untold(let failure) = found { throw failure }
      let size = found.stored?.size
      if let size, size != old?.size, size != payload.length { left.withLock { $0.append(place) } }
      for ending in endings where try await store.stat(place + ending, fresh: true).stored != nil {
        left.withLock { $0.append(place + ending) }
      }
    }
    var failure = failure
    if unasked != nil, failure.hint == nil {
      failure.hint = "\(upload.path) may hold a part of the object now"
      if !endings.isEmpty {
        failure.hint? += "; the object before it may be there as \(endings.map { place + $0 }.joined(separator: " or "))"
      }
    }
    failure.left += left.withLock { $0 }
    // What can't be asked for now stays noted for the next attempt, and so is named all the same.
    if unasked == nil, !failure.left.contains(place), keeper.note?.session == nil { keeper.clear() }
    return failure
  }
}

import BytePath
import Synchronization

/// One attempt to put an object.
///
/// Some servers write straight into the file of the name that they are told, Go's among them: an upload that is cut off destroys what was
/// there. So the object is put under a temporary name beside its own, and `MOVE` gives it its name when the server has all of it. Where
/// there is no `MOVE`, or with `-o direct`, it is put under its own name.
///
/// The checkpoint has the temporary name, so that a later attempt, also one of another run, removes what is left of this one, or does the
/// `MOVE` alone if that was all that was missing. It also has what the `MOVE` was to replace, as an object that is gone from its temporary
/// name may have been moved or removed.
struct WebDAVUpload: Sendable {
  /// How far the object with the temporary name is.
  private enum Stage: Equatable {
    case sending
    case moving(Before)
  }

  /// What was at the path before the `MOVE`.
  private enum Before: Equatable {
    case nothing
    case version(String)
    /// There was something, or nobody looked.
    case unknown

    init(_ found: WebDAVResource?) {
      guard let found else {
        self = .nothing
        return
      }
      self = found.version.map { .version($0) } ?? .unknown
    }

    /// Whether something else has come to the path since. The size does not tell: yesterday's object may be as long.
    func isReplaced(by found: WebDAVResource) -> Bool {
      switch self {
      case .nothing: true
      case .version(let version): found.version.map { $0 != version } ?? false
      case .unknown: false
      }
    }
  }

  /// The checkpoint of an upload that goes straight to its name.
  private static let direct = "direct"

  let upload: Upload
  let api: WebDAVAPI
  let moving: MoveSupport
  let warn: @Sendable (String) -> Void

  private var server: String { api.http.base.origin }
  private var existing: Existing { upload.attributes.existing }

  func receipt() async throws(Failure) -> Receipt {
    upload.meter.setSent(0)
    if let receipt = try await receiptOfEarlierAttempt() { return receipt }
    try await api.checkBackslashes(upload.path)
    // nginx does not know If-None-Match, and AList deletes a folder whose name is put to.
    let old = try await api.replaced(at: upload.path, existing)
    if old == nil, let folder = WebDAVAPI.parent(of: upload.path) { try await api.makeFolder(folder) }
    if !upload.attributes.has("direct"), moving.isPossible, let receipt = try await putAside() { return receipt }
    return try await putDirect(old)
  }

  /// Full paths of what may be at the server now that is not the object under its name.
  var left: [String] {
    if upload.checkpoint.text == WebDAVUpload.direct { return [upload.path] }
    return remembered.map { [$0.temporary] } ?? []
  }

  /// Removes what the server has of an upload that will not go on. What is not there any more needs nothing.
  func discard() async throws(Failure) {
    if let (temporary, _) = remembered {
      guard await isRemoved(temporary) else { throw Failure(.server, "\(server) does not remove \(temporary)", retryable: true) }
    }
    upload.checkpoint.set(nil)
  }

  /// Returns nil if the server cannot move; then nothing of it is left.
  private func putAside() async throws(Failure) -> Receipt? {
    let temporary = TemporaryName.beside(upload.path)
    remember(temporary, .sending)
    do throws(Failure) {
      try await send(to: temporary)
      try await api.checkSize(of: temporary, upload.path, upload.payload)
      return try await publish(temporary)
    } catch {
      throw await cleared(temporary, error)
    }
  }

  /// Gives the object its name. Returns nil if the server cannot.
  private func publish(_ temporary: String) async throws(Failure) -> Receipt? {
    remember(temporary, .moving(.unknown))
    // A folder that was made meanwhile would go with all that is in it (RFC 4918, 9.9.3).
    let before = Before(try await api.replaced(at: upload.path, existing))
    remember(temporary, .moving(before))
    let moved: WebDAVAPI.Moved
    do throws(Failure) { moved = try await api.move(temporary, to: upload.path, existing) } catch {
      // The answer alone may have been lost.
      guard error.isOutcomeUnknown || error.isRetryable, (try? await hasMoved(temporary, before)) == true else { throw error }
      upload.checkpoint.set(nil)
      return Receipt()
    }
    switch moved {
    case .done(let answer):
      upload.checkpoint.set(nil)
      return receipt(answer)
    case .impossible(let answer):
      moving.isPossible = false
      warn("\(server) does not rename (HTTP \(answer.status)), so \(upload.path) is sent once more, straight to its name; see -o direct")
      if await isRemoved(temporary) { upload.checkpoint.set(nil) } else { warn("\(temporary) is left on \(server)") }
      upload.meter.setSent(0)
      return nil
    }
  }

  /// Whether the object has gone from its temporary name to its own.
  private func hasMoved(_ temporary: String, _ before: Before) async throws(Failure) -> Bool {
    guard try await api.find(temporary) == nil, let found = try await api.find(upload.path) else { return false }
    return found.size == upload.payload.length && before.isReplaced(by: found)
  }

  /// What an attempt before this one left: its object, if that is whole, is moved now; otherwise it is removed.
  private func receiptOfEarlierAttempt() async throws(Failure) -> Receipt? {
    guard let (temporary, stage) = remembered else { return nil }
    guard case .moving(let before) = stage else {
      if await isRemoved(temporary) { upload.checkpoint.set(nil) }
      return nil
    }
    if try await hasMoved(temporary, before) {
      // Only the answer was lost.
      upload.checkpoint.set(nil)
      return Receipt()
    }
    if try await api.find(temporary)?.size == upload.payload.length {
      do throws(Failure) {
        return try await publish(temporary)
      } catch {
        throw await cleared(temporary, error)
      }
    }
    if await isRemoved(temporary) { upload.checkpoint.set(nil) }
    return nil
  }

  /// - Parameter old: what is to be replaced.
  private func putDirect(_ old: WebDAVResource?) async throws(Failure) -> Receipt {
    upload.checkpoint.set(WebDAVUpload.direct)
    do throws(Failure) {
      let answer = try await send(to: upload.path, condition: existing == .refuse)
      upload.checkpoint.set(nil)
      return receipt(answer)
    } catch {
      throw await namingRest(of: error, old)
    }
  }

  /// The failure with what is left of an object that went straight to its name.
  private func namingRest(of failure: Failure, _ old: WebDAVResource?) async -> Failure {
    guard upload.meter.sent > 0 || upload.payload.length == 0 else {
      upload.checkpoint.set(nil)
      return failure
    }
    var failure = failure
    let isCut = Mutex(false)
    let unasked = await cleaningUp { () throws(Failure) in
      // Of the size that the old one had or the new one is to have it is no part of the new one.
      let size = try await api.find(upload.path)?.size
      isCut.withLock { $0 = size != nil && size != old?.size && size != upload.payload.length }
    }
    if unasked == nil, !isCut.withLock({ $0 }) {
      upload.checkpoint.set(nil)
    } else if failure.hint == nil {
      failure.hint = "\(upload.path) may hold a part of the object now"
    }
    return failure
  }

  private func receipt(_ answer: HTTPAnswer) -> Receipt {
    Receipt(httpStatus: answer.status, response: answer.body.isEmpty ? nil : answer.report, flaw: answer.flaw)
  }

  /// Sends the object.
  ///
  /// - Parameter condition: whether the server is to refuse if there is something already.
  @discardableResult
  private func send(to path: String, condition: Bool = false) async throws(Failure) -> HTTPAnswer {
    let attributes = upload.attributes
    var request = HTTPRequest(method: .put, url: api.http.url(path))
    if let type = attributes.contentType { request.headers.append(("Content-Type", type)) }
    if let modified = attributes.modified { request.headers.append(("X-OC-Mtime", String(wholeSeconds(modified)))) }
    if api.keepsHashes(upload.path) { request.headers.append(("OC-Checksum", "SHA1:\(try await upload.payload.digest(.sha1).hex)")) }
    if condition { request.headers.append(("If-None-Match", "*")) }
    request.body = HTTPBody(payload: upload.payload, meter: upload.meter)
    request.isUpload = true
    request.isAnsweredByStatus = true
    let answer = try await api.http.send(request)
    guard (200..<300).contains(answer.status) else {
      throw answer.status == 412 && condition
        ? answer.withEvidence(WebDAVAPI.alreadyThere(upload.path)) : api.refusal(answer, upload.path)
    }
    guard answer.isAfterWholeBody else {
      throw answer.withEvidence(Failure(.protocol, "\(server) reports success before it had the whole object", retryable: true))
    }
    return answer
  }

  /// Removes what is left of a failed attempt, or says where it is. An object that only lacks its name is kept for the next attempt, also
  /// that of another run: a MOVE that was interrupted may have been made.
  private func cleared(_ temporary: String, _ failure: Failure) async -> Failure {
    var failure = failure
    // Under its own name it can't be yet.
    if remembered?.stage == .sending { failure.isOutcomeUnknown = false }
    let isUnsent = failure.kind == .unreachable && !failure.isOutcomeUnknown && upload.meter.sent == 0 && upload.payload.length > 0
    let isWhole = remembered.map { $0.stage != .sending } ?? false
    let isKept = isWhole && (failure.isRetryable || failure.kind == .interrupted)
    // Who may not put has put nothing.
    if !isWhole, isUnsent || failure.kind == .auth {
      upload.checkpoint.set(nil)
      return failure
    }
    if !isKept, await isRemoved(temporary) {
      // After a cut the server may write on for a moment, so the next attempt looks again.
      if isWhole || failure.httpStatus != nil { upload.checkpoint.set(nil) }
      return failure
    }
    let rest = "\(isWhole ? "the whole object" : "what is left of the upload") is at \(temporary)"
    failure.hint = failure.hint.map { "\($0); \(rest)" } ?? rest
    return failure
  }

  /// In a task of its own, as one that was interrupted is to leave nothing either, but then not for long.
  private func isRemoved(_ path: String) async -> Bool {
    let limit = Duration.milliseconds(Task.isCancelled ? 700 : 10_000)
    let api = api
    let removal = Task.detached { await api.delete(path) }
    let timer = Task.detached {
      try await Task.sleep(for: limit)
      removal.cancel()
    }
    defer { timer.cancel() }
    return await removal.value
  }

  private func remember(_ temporary: String, _ stage: Stage) {
    let words =
      switch stage {
      case .sending: "sending"
      case .moving(.nothing): "moving -"
      case .moving(.version(let version)): "moving =\(URLText.encoded(version))"
      case .moving(.unknown): "moving ?"
      }
    upload.checkpoint.set("\(words) \(temporary)")
  }

  private var remembered: (temporary: String, stage: Stage)? {
    // A name may have blanks, but begins with a slash.
    guard let text = upload.checkpoint.text, let end = text.firstRange(of: " /")?.lowerBound else { return nil }
    let temporary = String(text[end...].dropFirst())
    // A job that somebody has changed must not make us remove anything else.
    guard let stage = stage(text[..<end].split(separator: " ")), WebDAVAPI.parent(of: temporary) == WebDAVAPI.parent(of: upload.path),
      temporary.contains(".sluice-")
    else { return nil }
    return (temporary, stage)
  }

  private func stage(_ words: [Substring]) -> Stage? {
    guard words.count > 1 || words.first == "moving" else { return words.first == "sending" ? .sending : nil }
    guard words.first == "moving" else { return nil }
    switch words.dropFirst().first {
    case "-": return .moving(.nothing)
    case let word? where word.hasPrefix("="): return .moving((try? URLText.decoded(word.dropFirst())).map { .version($0) } ?? .unknown)
    default: return .moving(.unknown)
    }
  }
}

/// Whether a server can move, as far as is known.
final class MoveSupport: Sendable {
  private let state = Mutex(true)

  var isPossible: Bool {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

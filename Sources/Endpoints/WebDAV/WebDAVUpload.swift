import BytePath
import Synchronization

/// One attempt to put an object.
///
/// Some servers write straight into the file of the name that they are told, Go's among them: an upload that is cut off destroys what was
/// there. So the object is put under a temporary name beside its own, and `MOVE` gives it its name when the server has all of it. Where
/// there is no `MOVE`, or with `-o direct`, it is put under its own name.
///
/// The checkpoint remembers the temporary name until nothing can be left under it.
struct WebDAVUpload: Sendable {
  let upload: Upload
  let api: WebDAVAPI
  let moving: MoveSupport
  let warn: @Sendable (String) -> Void

  private var server: String { api.http.base.origin }
  private var existing: Existing { upload.attributes.existing }

  func run() async throws(Failure) -> Receipt {
    upload.meter.setSent(0)
    await removeLeftover()
    // nginx does not know If-None-Match, and AList deletes a folder whose name is put to.
    if try await api.isVacant(upload.path, existing), let folder = WebDAVAPI.parent(of: upload.path) {
      try await api.makeFolder(folder)
    }
    if !upload.attributes.has("direct"), moving.isPossible, let receipt = try await putAside() { return receipt }
    return try await putDirect()
  }

  /// Returns nil if the server cannot move; then nothing of it is left.
  private func putAside() async throws(Failure) -> Receipt? {
    let temporary = temporaryName(beside: upload.path)
    upload.checkpoint.set(temporary)
    do throws(Failure) {
      try await send(to: temporary)
      try await api.checkSize(of: temporary, upload.path, upload.payload)
      // A folder that was made meanwhile would go with all that is in it (RFC 4918, 9.9.3).
      _ = try await api.isVacant(upload.path, existing)
      switch try await api.move(temporary, to: upload.path, existing) {
      case .done(let answer):
        upload.checkpoint.set(nil)
        return receipt(answer)
      case .impossible(let answer):
        moving.isPossible = false
        warn("\(server) does not rename (HTTP \(answer.status)), so \(upload.path) is sent once more, straight to its name; see -o direct")
        if await remove(temporary) { upload.checkpoint.set(nil) } else { warn("\(temporary) is left on \(server)") }
        upload.meter.setSent(0)
        return nil
      }
    } catch {
      throw await cleanedUp(after: error, temporary)
    }
  }

  private func putDirect() async throws(Failure) -> Receipt {
    do throws(Failure) {
      return receipt(try await send(to: upload.path, condition: existing == .refuse))
    } catch {
      var failure = error
      // A refusal has an answer, and comes before anything is written.
      if failure.httpStatus == nil, upload.meter.sent > 0 {
        failure.hint = "\(upload.path) may hold a part of the object now"
      }
      throw failure
    }
  }

  private func receipt(_ answer: HTTPAnswer) -> Receipt {
    Receipt(httpStatus: answer.status, response: answer.body.isEmpty ? nil : answer.report)
  }

  /// Sends the object.
  ///
  /// - Parameter condition: whether the server is to refuse if there is something already.
  @discardableResult
  private func send(to path: String, condition: Bool = false) async throws(Failure) -> HTTPAnswer {
    let attributes = upload.attributes
    var request = HTTPRequest(method: .put, url: api.http.url(path))
    if let type = attributes.contentType { request.headers.append(("Content-Type", type)) }
    if let modified = attributes.modified { request.headers.append(("X-OC-Mtime", String(modified / 1000))) }
    if api.keepsHashes(upload.path) { request.headers.append(("OC-Checksum", "SHA1:\(try await upload.payload.digest(.sha1))")) }
    if condition { request.headers.append(("If-None-Match", "*")) }
    request.body = HTTPBody(payload: upload.payload, meter: upload.meter)
    request.isUpload = true
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

  /// Removes what an attempt left that could not do it itself, of this run or of an earlier one.
  private func removeLeftover() async {
    guard let leftover = upload.checkpoint.text, isTemporaryName(leftover, beside: upload.path) else { return }
    if await remove(leftover) { upload.checkpoint.set(nil) }
  }

  /// Removes the temporary object. Returns the failure, which names what could not be removed.
  private func cleanedUp(after failure: Failure, _ temporary: String) async -> Failure {
    let isUnsent = failure.kind == .unreachable && !failure.isOutcomeUnknown && upload.meter.sent == 0 && upload.payload.length > 0
    if isUnsent {
      upload.checkpoint.set(nil)
      return failure
    }
    if await remove(temporary) {
      // After a cut the server may write on for a moment, so the next attempt looks again.
      if failure.httpStatus != nil { upload.checkpoint.set(nil) }
      return failure
    }
    var failure = failure
    let leftover = "\(temporary) may be left on \(server); the next try removes it"
    failure.hint = failure.hint.map { "\($0); \(leftover)" } ?? leftover
    return failure
  }

  /// In a task of its own, as one that was interrupted is to leave nothing either, and in a bounded time.
  private func remove(_ path: String) async -> Bool {
    let api = api
    return await Task {
      await withTaskGroup(of: Bool.self) { group in
        group.addTask { await api.delete(path) }
        group.addTask {
          try? await Task.sleep(for: .seconds(5))
          return false
        }
        defer { group.cancelAll() }
        return await group.next() ?? false
      }
    }.value
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

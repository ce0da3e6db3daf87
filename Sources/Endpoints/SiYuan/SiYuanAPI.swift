import BytePath
import Synchronization

/// Calls to one SiYuan kernel, with its token.
final class SiYuanAPI: Sendable {
  enum Entry {
    case missing, folder, file
  }

  /// An object at the server.
  struct Stored {
    let size: Int64
    /// Of its bytes; nil if there are more than were waited for.
    let sha256: Checksum?
  }

  private let base: BaseURL
  private let remote: Remote
  private let http: HTTPTransport
  private let warn: @Sendable (String) -> Void
  private let token = Mutex<Secret?>(nil)

  init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "a siyuan remote needs a url") }
    guard remote.username == nil else {
      throw Failure(.config, "SiYuan knows no user names", hint: "set SIYUAN_TOKEN, or token-file in a remote")
    }
    self.base = base
    self.remote = remote
    warn = context.warn
    http = try HTTPTransport(for: base, context)
  }

  var origin: String { base.origin }

  func close() async { await http.close() }

  /// Asks whether it is SiYuan that answers. Needs no token.
  func checkVersion() async throws(Failure) {
    let answer = try await http.send(HTTPRequest(method: .post, url: base.url("/api/system/version")))
    let json = try envelope(answer)
    guard json["code"]?.integer == 0, json["data"]?.string != nil else {
      throw answer.withEvidence(Failure(.protocol, "\(origin) does not answer as SiYuan does", hint: "check the address"))
    }
  }

  /// Asks whether the token is accepted and may write.
  ///
  /// Everything but a read-only kernel refuses to give a name to itself, so that nothing can come of it: 404 or 409. (`removeFile` without a
  /// path would tell as much to 3.7, but kernels before April 2026 take that for the whole workspace.)
  func checkAccess(for path: String) async throws(Failure) {
    let name = "temp/.sluice"
    let answer = try await send("/api/file/renameFile", ["newPath": .string(name), "path": .string(name)])
    // A kernel without the call can still take an upload.
    if answer.status == 404 { return }
    if let failure = statusFailure(answer) { throw failure }
    if SiYuanAPI.isReadOnly(answer) { throw failure(answer.json?["code"]?.integer, answer, path) }
  }

  /// Asks what is at `path`. The listing of a folder may be long, and is not wanted; a file is not read for it, which `getFile` would.
  func entry(_ path: String) async throws(Failure) -> Entry {
    if path.isEmpty { return .folder }
    let receiver = BodyReceiver(limit: 2048)
    var answer = try await send("/api/file/readDir", ["path": .string(path)], receiver)
    if let failure = statusFailure(answer) { throw failure }
    if answer.status == 200 { answer.body = receiver.beginning }
    // The whole answer but of a folder is shorter than what is waited for.
    if receiver.count > 2048, receiver.beginning.starts(with: Array(#"{"code":0,"#.utf8)) { return .folder }
    let code = try envelope(answer)["code"]?.integer
    switch code {
    case 0: return .folder
    case 404: return .missing
    case 409: return .file
    // It can't look: below a file, or into a folder with a dangling link in it.
    case 500: return try await entryWithoutLooking(path)
    default: throw failure(code, answer, path)
    }
  }

  /// As `entry`, by the call that reads a file if there is one; nothing of it is waited for.
  private func entryWithoutLooking(_ path: String) async throws(Failure) -> Entry {
    var request = try await request("/api/file/getFile")
    request.setJSON(["path": .string(path)])
    request.wantsContent = false
    let answer = try await http.send(request)
    if answer.status == 200 { return .file }
    if let failure = statusFailure(answer) { throw failure }
    let code = try envelope(answer)["code"]?.integer
    switch code {
    case 404: return .missing
    case 409: return .folder
    default: throw failure(code, answer, path)
    }
  }

  /// The size of what lies below data/assets, which the kernel tells without reading it; nil if it does not say.
  func assetSize(_ path: String) async throws(Failure) -> Int64? {
    guard path.hasPrefix("data/assets/") else { return nil }
    let answer = try await send("/api/asset/statAsset", ["path": .string(String(path.dropFirst("data/".count)))])
    guard answer.status == 200, let json = answer.json, json["code"]?.integer == 0 else { return nil }
    return json["data"]?["size"]?.integer
  }

  /// Reads a file of data/assets as a browser does, which the kernel sends piece by piece; nil if it does not, or may send something else.
  func asset(_ path: String, limit: Int64) async throws(Failure) -> Stored? {
    // Of a picture of this kind it sends what it thinks is safe to show, and it looks for the part before a question mark.
    guard path.hasPrefix("data/assets/"), !path.lowercased().hasSuffix(".svg"), !path.contains("?") else { return nil }
    var request = try await request("/" + URLText.encoded(String(path.dropFirst("data/".count))), method: .get)
    request.followsRedirects = false
    let (answer, stored) = try await body(of: request, limit)
    return answer.status == 200 ? stored : nil
  }

  /// Reads a file, which the kernel has in memory as a whole for that; nil if there is none.
  ///
  /// Its length is not asked for: an answer of more than 2,048 bytes has no `Content-Length`.
  func file(_ path: String, limit: Int64) async throws(Failure) -> Stored? {
    var request = try await request("/api/file/getFile")
    request.setJSON(["path": .string(path)])
    let (answer, stored) = try await body(of: request, limit)
    guard answer.status != 200 else { return stored }
    if let failure = statusFailure(answer) { throw failure }
    let code = try envelope(answer)["code"]?.integer
    guard code == 404 else { throw failure(code, answer, path) }
    return nil
  }

  private func body(of request: HTTPRequest, _ limit: Int64) async throws(Failure) -> (HTTPAnswer, Stored) {
    let receiver = BodyReceiver(limit: limit)
    var request = request
    request.receiver = receiver
    // Compressed, it would not be the file.
    request.headers.append(("Accept-Encoding", "identity"))
    let answer = try await http.send(request)
    return (answer, Stored(size: receiver.count, sha256: receiver.count > limit ? nil : receiver.sha256))
  }

  /// Sends a form to `putFile`.
  func putFile(_ form: Multipart, _ body: HTTPBody, _ path: String) async throws(Failure) -> HTTPAnswer {
    var request = try await request("/api/file/putFile")
    request.headers.append(("Content-Type", form.contentType))
    request.body = body
    request.isUpload = true
    // The kernel takes one upload at a time, and reads nothing of the others until it is their turn (its middleware ControlConcurrency).
    request.mayQueue = true
    let answer = try await http.send(request)
    if let failure = statusFailure(answer) { throw failure }
    let code = try envelope(answer)["code"]?.integer
    guard code == 0 else { throw failure(code, answer, path) }
    guard answer.isAfterWholeBody else {
      throw answer.withEvidence(Failure(.protocol, "\(origin) reports success before it had the whole object", retryable: true))
    }
    return answer
  }

  private func send(_ call: String, _ body: JSONValue, _ receiver: BodyReceiver? = nil) async throws(Failure) -> HTTPAnswer {
    var request = try await request(call)
    request.setJSON(body)
    request.receiver = receiver
    return try await http.send(request)
  }

  /// A call with the token, if there is one. A kernel without a lock-screen password lets this machine in without any, and a wrong one not.
  private func request(_ call: String, method: HTTPRequest.Method = .post) async throws(Failure) -> HTTPRequest {
    var request = HTTPRequest(method: method, url: base.url(call))
    if let source = remote.token {
      let known = token.withLock { $0 }
      let secret: Secret
      if let known { secret = known } else { secret = try await source.read(warn: warn) }
      token.withLock { $0 = secret }
      request.headers.append(("Authorization", "Token \(secret.exposed)"))
    }
    return request
  }

  private func statusFailure(_ answer: HTTPAnswer) -> Failure? {
    guard var failure = answer.statusFailure(origin) else { return nil }
    if failure.kind == .auth {
      let words = answer.json?["msg"]?.string.map { ": \($0)" } ?? ""
      failure.message = "\(origin) does not accept the token\(words) (HTTP \(answer.status))"
      failure.hint = remote.token == nil ? "set SIYUAN_TOKEN to the API token of SiYuan's settings" : "check the token in SiYuan's settings"
    }
    return failure
  }

  private func envelope(_ answer: HTTPAnswer) throws(Failure) -> JSONValue {
    if let failure = statusFailure(answer) { throw failure }
    guard let json = answer.json, json["code"]?.integer != nil else {
      throw answer.withEvidence(
        Failure(.protocol, "\(origin) does not answer as SiYuan does", hint: "check the address: is it behind a login page?"))
    }
    return json
  }

  /// What another `code` than 0 means, in the server's own words.
  private func failure(_ code: Int64?, _ answer: HTTPAnswer, _ path: String) -> Failure {
    let message = answer.json?["msg"]?.string ?? ""
    let words = "\(path): \(message) (\(code ?? 0))"
    if SiYuanAPI.isReadOnly(answer) {
      return answer.withEvidence(
        Failure(.rejected, "SiYuan is read-only and refuses \(words)", hint: "start it without --readonly, or log in as its administrator"))
    }
    guard let code else { return answer.withEvidence(Failure(.rejected, "SiYuan refuses \(words)")) }
    switch RetryTable.verdict(of: code, message, in: RetryTable.siYuan) {
    case .mayPass where code == 400: return answer.withEvidence(Failure(.server, "the upload of \(words) arrived cut", retryable: true))
    case .mayPass:
      var failure = Failure(.server, "SiYuan failed with \(words)", retryable: true)
      failure.isOutcomeUnknown = answer.mayHaveStored
      return answer.withEvidence(failure)
    case .refusal: return answer.withEvidence(Failure(.rejected, "SiYuan refuses \(words)"))
    }
  }

  /// What a read-only kernel answers to all that would write: its words depend on its language, but this is in no other answer
  /// (kernel/model/session.go, CheckReadonly).
  private static func isReadOnly(_ answer: HTTPAnswer) -> Bool {
    guard answer.status == 200, let json = answer.json else { return false }
    return json["code"]?.integer == -1 && json["data"]?["closeTimeout"] != nil
  }
}

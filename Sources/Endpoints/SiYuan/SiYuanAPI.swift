import BytePath
import Synchronization

/// Calls to one SiYuan kernel, with its token.
final class SiYuanAPI: Sendable {
  /// What `/api/file/getFile` says of a path.
  enum Entry {
    case missing, folder
    /// The size is that of the answer's head; the body is not read.
    case file(size: Int64?)
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

  /// Asks whether the token is accepted and may upload. `readDir` wants the same role as `putFile` and does not wait for its lock.
  func checkAccess() async throws(Failure) {
    let answer = try await send("/api/file/readDir", path: "data")
    // The listing itself may be long, and only whether there is one is asked.
    guard answer.status != 200 else {
      if !answer.body.isEmpty, let json = answer.json, let code = json["code"]?.integer, code != 0, code != 404 {
        throw failure(code, answer, "data")
      }
      return
    }
    throw statusFailure(answer) ?? Failure(.protocol, "\(origin) does not answer as SiYuan does")
  }

  /// Asks what is at `path`. The answer to a file is the file, so only its head is read.
  func entry(_ path: String) async throws(Failure) -> Entry {
    if path.isEmpty { return .folder }
    var request = try await request("/api/file/getFile")
    var body = JSONText()
    body.add("path", path)
    request.setJSON(body.text)
    request.wantsContent = false
    // The length of a compressed answer would not be the file's.
    request.headers.append(("Accept-Encoding", "identity"))
    let answer = try await http.send(request)
    if answer.status == 200 {
      return .file(size: answer.headers["content-length"].flatMap { Int64($0) })
    }
    if let failure = statusFailure(answer) { throw failure }
    let code = try envelope(answer)["code"]?.integer
    switch code {
    case 404: return .missing
    case 409: return .folder
    default: throw failure(code, answer, path)
    }
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

  private func send(_ call: String, path: String) async throws(Failure) -> HTTPAnswer {
    var request = try await request(call)
    var body = JSONText()
    body.add("path", path)
    request.setJSON(body.text)
    return try await http.send(request)
  }

  /// A POST with the token, if there is one. A kernel without a lock-screen password lets this machine in without any, and a wrong one not.
  private func request(_ call: String) async throws(Failure) -> HTTPRequest {
    var request = HTTPRequest(method: .post, url: base.url(call))
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
    guard let code else { return answer.withEvidence(Failure(.rejected, "SiYuan refuses \(words)")) }
    switch RetryTable.verdict(of: code, message, in: RetryTable.siYuan) {
    case .mayPass where code == 400: return answer.withEvidence(Failure(.server, "the upload of \(words) arrived cut", retryable: true))
    case .mayPass: return answer.withEvidence(Failure(.server, "SiYuan failed with \(words)", retryable: true))
    case .refusal: return answer.withEvidence(Failure(.rejected, "SiYuan refuses \(words)"))
    }
  }
}

import BytePath

/// Calls to one SiYuan kernel, with its token.
final class SiYuanAPI: Sendable {
  enum Entry {
    case missing, folder, file
  }

  private let base: BaseURL
  private let remote: Remote
  private let http: HTTPTransport
  private let warn: @Sendable (String) -> Void

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
    guard try code(of: answer) == 0, answer.json?["data"]?.string != nil else {
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
    if SiYuanAPI.isReadOnly(answer) { throw failure(answer, path) }
  }

  /// Asks what is at `path`. The listing of a folder may be long, and is not wanted; a file is not read for it, which `getFile` would.
  func entry(_ path: String) async throws(Failure) -> Entry {
    if path.isEmpty { return .folder }
    let receiver = BodyReceiver(limit: 2048)
    var answer = try await send("/api/file/readDir", ["path": .string(path)], receiver)
    if answer.status == 200 { answer.body = receiver.beginning }
    // The whole answer but of a folder is shorter than what is waited for.
    if receiver.count > 2048, receiver.beginning.starts(with: Array(#"{"code":0,"#.utf8)) { return .folder }
    switch try code(of: answer) {
    case 0: return .folder
    case 404: return .missing
    case 409: return .file
    // It can't look: below a file, or into a folder with a dangling link in it.
    case 500: return try await entryWithoutLooking(path)
    default: throw failure(answer, path)
    }
  }

  /// As `entry`, by the call that reads a file if there is one; nothing of it is waited for.
  private func entryWithoutLooking(_ path: String) async throws(Failure) -> Entry {
    var request = try await request("/api/file/getFile")
    request.setJSON(["path": .string(path)])
    request.wantsContent = false
    let answer = try await http.send(request)
    if answer.status == 200 { return .file }
    switch try code(of: answer) {
    case 404: return .missing
    case 409: return .folder
    default: throw failure(answer, path)
    }
  }

  /// What the kernel tells of a file below data/assets without reading it; nil if it does not say.
  func assetFacts(_ path: String) async throws(Failure) -> Stored? {
    guard path.hasPrefix(SiYuanAssets.root) else { return nil }
    let answer = try await send("/api/asset/statAsset", ["path": .string(String(path.dropFirst("data/".count)))])
    guard answer.status == 200, let json = answer.json, json["code"]?.integer == 0 else { return nil }
    var stored = Stored(path, size: json["data"]?["size"]?.integer)
    stored.modified = json["data"]?["updated"]?.integer
    if let size = stored.size, let modified = stored.modified { stored.version = "\(size)-\(modified)" }
    return stored
  }

  /// Reads a file below data/assets; `untold` if the kernel does not send it so, or may send something else.
  func readAsset(_ path: String, _ range: Range<Int64>?, into sink: any ByteSink) async throws(Failure) -> Finding {
    let other = Finding.untold(Failure(.protocol, "\(origin) does not send \(path) as an asset"))
    // Of a picture of this kind it sends what it thinks is safe to show, and it looks for the part before a question mark.
    guard path.hasPrefix(SiYuanAssets.root), !path.lowercased().hasSuffix(".svg"), !path.contains("?") else { return other }
    var request = try await request("/" + URLText.encoded(String(path.dropFirst("data/".count))), method: .get)
    request.followsRedirects = false
    if let range { request.headers.append(("Range", range.asHeader)) }
    request.isWanted = { $0.status == (range == nil ? 200 : 206) }
    let answer = try await read(request, into: sink)
    switch answer.status {
    case 200 where range == nil: return .stored(Stored(path, size: answer.expectedLength.map(Int64.init) ?? answer.takenLength))
    case 206 where range != nil: return .stored(Stored(path))
    default: return other
    }
  }

  /// Reads a file. The kernel tells no length of more than 2,048 bytes, so that the last chunk is what tells it, and knows no parts.
  func readFile(_ path: String, into sink: any ByteSink) async throws(Failure) -> Finding {
    var request = try await request("/api/file/getFile")
    request.setJSON(["path": .string(path)])
    let answer = try await read(request, into: sink)
    if answer.status == 200 { return .stored(Stored(path, size: answer.expectedLength.map(Int64.init) ?? answer.takenLength)) }
    switch try code(of: answer) {
    case 404: return .nothing
    case 409: throw .directory(path)
    default: throw failure(answer, path)
    }
  }

  private func read(_ request: HTTPRequest, into sink: any ByteSink) async throws(Failure) -> HTTPAnswer {
    var request = request
    request.receiver = sink
    // Compressed, it would not be the file.
    request.headers.append(("Accept-Encoding", "identity"))
    return try await http.send(request)
  }

  /// What is in a folder, as the kernel writes it; nil if there is none.
  func members(of folder: String) async throws(Failure) -> [JSONValue]? {
    var request = try await request("/api/file/readDir")
    request.setJSON(["path": .string(folder)])
    request.answerLimit = 64 << 20
    let answer = try await http.send(request)
    switch try code(of: answer) {
    case 0: return answer.json?["data"]?.array ?? []
    case 404: return nil
    case 409: throw Failure(.rejected, "\(folder) is a file, not a directory")
    default: throw failure(answer, folder)
    }
  }

  /// - Parameter path: of one file; never empty.
  func remove(_ path: String) async throws(Failure) {
    let answer = try await send("/api/file/removeFile", ["path": .string(path)])
    let code = try code(of: answer)
    guard code == 0 || code == 404 else { throw failure(answer, path) }
  }

  /// Sends a form.
  func upload(_ form: Multipart, _ body: HTTPBody, by call: String, _ path: String) async throws(Failure) -> HTTPAnswer {
    var request = try await request(call)
    request.headers.append(("Content-Type", form.contentType))
    request.body = body
    request.isUpload = true
    // The kernel takes one upload at a time, and reads nothing of the others until it is their turn (its middleware ControlConcurrency).
    request.mayQueue = true
    let answer = try await http.send(request)
    guard try code(of: answer) == 0 else { throw failure(answer, path) }
    return answer
  }

  private func send(_ call: String, _ body: JSONValue, _ receiver: (any ByteSink)? = nil) async throws(Failure) -> HTTPAnswer {
    var request = try await request(call)
    request.setJSON(body)
    request.receiver = receiver
    return try await http.send(request)
  }

  /// A call with the token, if there is one. A kernel without a lock-screen password lets this machine in without any, and a wrong one not.
  private func request(_ call: String, method: HTTPRequest.Method = .post) async throws(Failure) -> HTTPRequest {
    var request = HTTPRequest(method: method, url: base.url(call))
    if let token = try await remote.token?.read(warn: warn) { request.headers.append(("Authorization", "Token \(token.exposed)")) }
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

  /// - Throws: what an answer that is none of the API's stands for.
  private func code(of answer: HTTPAnswer) throws(Failure) -> Int64 {
    if let failure = statusFailure(answer) { throw failure }
    guard let code = answer.json?["code"]?.integer else {
      throw answer.withEvidence(
        Failure(.protocol, "\(origin) does not answer as SiYuan does", hint: "check the address: is it behind a login page?"))
    }
    return code
  }

  /// What another `code` than 0 means, in the server's own words.
  ///
  /// - Parameter code: in place of that of the answer.
  func failure(_ answer: HTTPAnswer, _ path: String, code: Int64? = nil) -> Failure {
    let message = answer.json?["msg"]?.string ?? ""
    let code = code ?? answer.json?["code"]?.integer ?? 0
    let words = "\(path): \(message) (\(code))"
    if SiYuanAPI.isReadOnly(answer) {
      return answer.withEvidence(
        Failure(.rejected, "SiYuan is read-only and refuses \(words)", hint: "start it without --readonly, or log in as its administrator"))
    }
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

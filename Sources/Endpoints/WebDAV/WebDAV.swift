public import BytePath

/// A WebDAV server (RFC 4918). Paths have a slash at their start and none at their end.
///
/// Some servers write straight into the file of the name that they are told, Go's among them: an upload that is cut off destroys what was there.
/// So an object goes to a temporary name, and `MOVE` gives it its own.
public struct WebDAV: BuiltInStore, RenamingStore, DirectoryStore {
  public static let kind = EndpointKind(
    name: "dav", title: "WebDAV", example: "dav+http://HOST:PORT/PATH",
    schemes: [("dav+http", false), ("dav+https", true), ("dav", false), ("davs", true)], options: [.direct], takesToken: true,
    ownFiles: { [Netrc.path].compactMap { $0 } })

  /// Of an answer that lists a directory, in bytes.
  private static let listLimit = 64 << 20

  let http: HTTPSession
  let server: String
  let seen = WebDAVFacts()
  private let context: EndpointContext

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "a dav remote needs a url") }
    self.context = context
    http = try HTTPSession(base, remote, context)
    server = base.origin
  }

  public func close() async { await http.close() }

  public func objectPath(_ text: String) throws(Failure) -> String { try HTTPSession.objectPath(text) }

  public func identity(of path: String) -> String? { http.identity(of: path) }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    var path = text[...]
    while path.last == "/" { path.removeLast() }
    return path.isEmpty ? "/" : try objectPath(String(path))
  }

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    var traits = Traits()
    traits.renames = seen.refusesMoves(in: parent(of: path)) ? .never : .ontoAnything
    // With all that is in them (RFC 4918, 9.9.3). Some servers remove one for a put, too.
    traits.renamesOverDirectories = true
    traits.looksFirst = true
    if keepsHashes(path) { traits.wantedHashes = [.sha1] }
    return traits
  }

  /// ownCloud and Nextcloud keep the hash that an upload comes with, and tell it. Their addresses are known by this part.
  private func keepsHashes(_ path: String) -> Bool { (http.base.path + path).contains("/remote.php/") }

  /// What the server must know beyond this question is asked by `stat`.
  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) { try await checkBackslashes(path) }

  public func probeNew(_ path: String) async throws(Failure) {
    var folder = parent(of: path)
    while let next = folder {
      switch try await stat(next, fresh: false) {
      case .stored(let found): return try checkFolder(found)
      case .untold: return
      case .nothing: context.detail("\(next) is missing on \(server) and will be made")
      }
      folder = parent(of: next)
    }
  }

  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    let finding = try await seen.knowsPropfind ? found(path) : foundByHead(path)
    if let stored = finding.stored {
      seen.note(folder: stored.isDirectory == true ? path : parent(of: path))
    }
    return finding
  }

  private func found(_ path: String) async throws(Failure) -> Finding {
    let answer = try await propfind(path, depth: "0")
    switch answer.status {
    case 207:
      guard let finding = Multistatus(answer.body, date: answer.headers["date"])?.finding(path) else { throw notXML(answer, path) }
      return finding
    case 200..<300: throw answer.withEvidence(notWebDAV)
    case 404: return .nothing
    case 301...302 where leadsToFolder(answer): return .stored(Stored(path, isDirectory: true))
    case 400:
      // Apache says this of what is below a file.
      if let parent = parent(of: path), let found = try await found(parent).stored { try checkFolder(found) }
      throw answer.statusFailure(server) ?? notWebDAV
    case 405, 501:
      // As nginx without its dav-ext module.
      seen.missPropfind()
      return try await foundByHead(path)
    // Who may list nothing may be told of an object all the same.
    case 403: return try await foundByHead(path)
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
  }

  private func foundByHead(_ path: String) async throws(Failure) -> Finding {
    let answer = try await http.head(path)
    switch answer.status {
    case 200..<300:
      var stored = Stored(path, answer)
      stored.isDirectory = path == "/" ? true : nil
      return .stored(stored)
    case 404, 410: return .nothing
    case 301...302 where leadsToFolder(answer): return .stored(Stored(path, isDirectory: true))
    // A folder that may not be listed.
    case 403 where path == "/": return .stored(Stored(path, isDirectory: true))
    case 403: return .untold(answer.statusFailure(server) ?? notWebDAV)
    case 405, 501:
      return .untold(answer.withEvidence(Failure(.protocol, "\(server) does not say what is at \(path) (HTTP \(answer.status))")))
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
  }

  private func propfind(_ path: String, depth: String) async throws(Failure) -> HTTPAnswer {
    var request = HTTPRequest(method: .propfind, url: http.url(path))
    request.headers += [("Depth", depth), ("Content-Type", "application/xml; charset=utf-8")]
    request.body = HTTPBody(prefix: Array(Multistatus.question.utf8))
    if depth != "0" { request.answerLimit = WebDAV.listLimit }
    return try await http.send(request)
  }

  private func notXML(_ answer: HTTPAnswer, _ path: String) -> Failure {
    answer.withEvidence(Failure(.protocol, "\(server) answers PROPFIND of \(path) with something else than WebDAV's XML"))
  }

  var notWebDAV: Failure {
    Failure(.protocol, "\(server) does not speak WebDAV there", hint: "check the address, and the sub-path if there is one")
  }

  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    try await checkBackslashes(path)
    try await makeParent(of: path, isOptional: upload.attributes.has("direct"))
    var request = http.putRequest(upload, at: path, condition)
    if let modified = upload.attributes.modified { request.headers.append(("X-OC-Mtime", String(wholeSeconds(modified)))) }
    if keepsHashes(path) { request.headers.append(("OC-Checksum", "SHA1:\(try await upload.payload.digest(.sha1).hex)")) }
    let answer = try await http.send(request)
    switch answer.status {
    case 200..<300: return Receipt(answer)
    case 412 where condition == .absent: throw answer.withEvidence(.alreadyThere(upload.path))
    default: throw refusal(answer, upload.path)
    }
  }

  public func rename(_ path: String, to target: String, _ condition: Condition) async throws(Failure) -> Renamed {
    var answer = try await move(path, destination: http.url(target), condition)
    if answer.status == 400 || answer.status == 502 {
      // Behind a proxy that ends TLS a server may take its own address for a foreign one. The path alone is allowed as well (RFC 4918, 8.3).
      answer = try await move(path, destination: http.base.path + URLText.encoded(target), condition)
    }
    switch answer.status {
    case 207: throw answer.withEvidence(Failure(.server, "\(server) moved \(path) in part"))
    case 200..<300: return .done(Receipt(answer))
    case 412 where condition == .absent: throw answer.withEvidence(.alreadyThere(target))
    // The server can't, or not for this user. Of a 502 a gateway may be the author, which knows nothing of it.
    case 403, 405, 501:
      seen.noteRefusedMove(in: parent(of: target))
      return .impossible(answer.withEvidence(Failure(.rejected, "\(server) does not rename (HTTP \(answer.status))")))
    // Somebody took the upload away, or the folder.
    case 404, 409:
      throw answer.withEvidence(
        Failure(.server, "\(server) cannot give the upload the name \(target) (HTTP \(answer.status))", retryable: true))
    case 400, 502: throw refusal(answer, target).withHint("if it never renames, -o direct does without")
    default: throw refusal(answer, target)
    }
  }

  private func move(_ path: String, destination: String, _ condition: Condition) async throws(Failure) -> HTTPAnswer {
    var request = HTTPRequest(method: .move, url: http.url(path))
    request.headers += [("Destination", destination), ("Overwrite", condition == .absent ? "F" : "T")]
    // Some copy.
    request.isUpload = true
    request.isAnsweredByStatus = true
    return try await http.send(request)
  }

  public func remove(_ path: String) async throws(Failure) {
    var answer = try await http.send(HTTPRequest(method: .delete, url: http.url(path)))
    // Go's WebDAV locks an object until it has noticed that the connection it came by is gone.
    for _ in 0..<500 where answer.status == 423 {
      do { try await Task.sleep(for: .milliseconds(20)) } catch { throw .interrupted }
      answer = try await http.send(HTTPRequest(method: .delete, url: http.url(path)))
    }
    guard ![404, 410].contains(answer.status), let failure = answer.statusFailure(server) else { return }
    throw failure
  }

  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    try await http.read(path, range, of: version, into: sink)
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    // nginx wants the slash.
    let answer = try await propfind(directory == "/" ? directory : directory + "/", depth: "1")
    switch answer.status {
    case 207:
      guard let told = Multistatus(answer.body, date: answer.headers["date"]), let own = told.finding(directory) else {
        throw notXML(answer, directory)
      }
      guard let stored = own.stored else { return nil }
      try checkFolder(stored)
      guard let entries = told.entries(of: directory) else {
        throw answer.withEvidence(Failure(.protocol, "\(server) lists something in \(directory) whose name can't be read"))
      }
      return Listing(entries)
    case 404: return nil
    case 200..<300: throw answer.withEvidence(notWebDAV)
    case 405, 501: throw answer.withEvidence(Failure(.protocol, "\(server) lists no directories (HTTP \(answer.status))"))
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
  }

  public func explanation(of stored: Stored, insteadOf payload: Payload) -> Failure? {
    OddServer.lineBreak(stored, insteadOf: payload, server)
  }

  /// What a refusal of an upload to `path` means.
  func refusal(_ answer: HTTPAnswer, _ path: String) -> Failure {
    var failure = answer.statusFailure(server) ?? notWebDAV
    switch answer.status {
    case 404, 409:
      (failure.kind, failure.message, failure.hint) = (
        .rejected, "\(server) has no directory for \(path), or one in its place (HTTP \(answer.status))", nil
      )
    case 405:
      // Go's WebDAV says this of every error in writing.
      (failure.kind, failure.message) = (.rejected, "\(server) takes no upload to \(path) (HTTP 405)")
      failure.hint = "it may be read-only; some servers also say this when their disk is full"
    case 403: failure.hint = OddServer.permissionHint(http.base.path + path)
    case 412: failure.message = "a condition of \(server) for \(path) is not met (HTTP 412)"
    case 500: failure.hint = "some servers also say this when their disk is full"
    default: break
    }
    return failure
  }
}

import BytePath
import Synchronization

/// The calls of WebDAV (RFC 4918), each with what its answers mean. Paths have a slash at their start and none at their end.
final class WebDAVAPI: Sendable {
  enum Moved {
    case done(HTTPAnswer)
    /// The server can't, or not for this user; nothing has happened.
    case impossible(HTTPAnswer)
  }

  let http: HTTPSession
  /// False once a server has said that it knows no `PROPFIND`, as nginx without its dav-ext module.
  private let knowsPropfind = Mutex(true)

  init(_ http: HTTPSession) {
    self.http = http
  }

  private var server: String { http.base.origin }

  /// Asks what is at `path`; nil if nothing is.
  func find(_ path: String) async throws(Failure) -> WebDAVResource? {
    guard knowsPropfind.withLock({ $0 }) else { return try await findByHead(path) }
    var request = HTTPRequest(method: .propfind, url: http.url(path))
    request.headers += [("Depth", "0"), ("Content-Type", "application/xml; charset=utf-8")]
    request.body = HTTPBody(prefix: Array(WebDAVResource.question.utf8))
    let answer = try await http.send(request)
    switch answer.status {
    case 207:
      guard let found = WebDAVResource.reading(answer.body) else {
        throw answer.withEvidence(Failure(.protocol, "\(server) answers PROPFIND of \(path) with something else than WebDAV's XML"))
      }
      return found
    case 200..<300: throw answer.withEvidence(notWebDAV)
    case 404: return nil
    case 301...302 where leadsToFolder(answer, path): return WebDAVResource(isCollection: true)
    case 400:
      // Apache says this of what is below a file.
      if let parent = WebDAVAPI.parent(of: path), let found = try await find(parent) { try checkFolder(found, parent) }
      throw answer.statusFailure(server) ?? notWebDAV
    case 405, 501:
      knowsPropfind.withLock { $0 = false }
      return try await findByHead(path)
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
  }

  private func findByHead(_ path: String) async throws(Failure) -> WebDAVResource? {
    var request = HTTPRequest(method: .head, url: http.url(path))
    // The length of a compressed answer would not be the object's.
    request.headers.append(("Accept-Encoding", "identity"))
    let answer = try await http.send(request)
    switch answer.status {
    case 200..<300:
      return WebDAVResource(
        isCollection: path == "/" ? true : nil, size: answer.headers["content-length"].flatMap { Int64($0) },
        tag: answer.headers["etag"], modified: answer.headers["last-modified"])
    case 404, 410: return nil
    case 301...302 where leadsToFolder(answer, path): return WebDAVResource(isCollection: true)
    // A folder that may not be listed.
    case 403 where path == "/": return WebDAVResource(isCollection: true)
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
  }

  /// Servers of files send who asks for a folder to its name with a slash.
  private func leadsToFolder(_ answer: HTTPAnswer, _ path: String) -> Bool {
    answer.headers["location"].flatMap { RedirectTarget($0, from: answer.url) }?.url.hasSuffix("/") == true
  }

  private var notWebDAV: Failure {
    Failure(.protocol, "\(server) does not speak WebDAV there", hint: "check the address, and the sub-path if there is one")
  }

  /// What an upload to `path` is to replace; nil if nothing is there.
  ///
  /// - Throws: `rejected` if a folder is there, `exists` if an object is that is not to be replaced.
  func replaced(at path: String, _ existing: Existing) async throws(Failure) -> WebDAVResource? {
    guard let found = try await find(path) else { return nil }
    guard found.isCollection != true else { throw Failure(.rejected, "\(path) on \(server) is a directory") }
    if existing == .refuse { throw WebDAVAPI.alreadyThere(path) }
    return found
  }

  /// Expects at `place` as many bytes as the payload has.
  ///
  /// - Parameter name: what it is to be called, for messages.
  /// - Throws: `server` if it has another size, `protocol` if the server does not tell it.
  @discardableResult
  func checkSize(of place: String, _ name: String, _ payload: Payload) async throws(Failure) -> WebDAVResource {
    guard let found = try await find(place) else {
      throw .mismatch("\(name) is not there after the upload")
    }
    guard let size = found.size else {
      throw Failure(.protocol, "\(server) does not say how long \(name) is")
    }
    if payload.length == 0, size == 1 {
      // AList takes an upload of no bytes for one of a line break (server/webdav/webdav.go, handlePut).
      throw Failure(
        .rejected, "\(server) makes a line break of \(name), which is empty",
        hint: "with AList use alist+http, whose API takes empty objects")
    }
    guard size == payload.length else {
      throw .mismatch("\(name) has \(size) bytes on \(server) instead of \(payload.length)")
    }
    return found
  }

  /// ownCloud and Nextcloud keep the hash that an upload comes with, and tell it. Their addresses are known by this part.
  func keepsHashes(_ path: String) -> Bool { (http.base.path + path).contains("/remote.php/") }

  /// Makes a folder whose parent is there. Returns the status, or nil if it was not made, most likely because the parent is missing.
  private func makeCollection(_ path: String) async throws(Failure) -> Int? {
    // nginx wants the slash.
    let answer = try await http.send(HTTPRequest(method: .makeCollection, url: http.url(path == "/" ? path : path + "/")))
    switch answer.status {
    case 200..<300: return answer.status
    // There is something already; but Go's WebDAV says it of a parent that is a file, too.
    case 405: return knowsPropfind.withLock { $0 } ? nil : answer.status
    case 301...302 where leadsToFolder(answer, path): return answer.status
    case 404, 409: return nil
    case 501: throw answer.withEvidence(notWebDAV)
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
  }

  /// Makes a folder and those above it that are missing. Returns the status of what made it, nil if it was there.
  ///
  /// - Throws: `rejected` if part of the path is a file.
  @discardableResult
  func makeFolder(_ path: String) async throws(Failure) -> Int? {
    if let found = try await find(path) {
      try checkFolder(found, path)
      return nil
    }
    if let status = try await makeCollection(path) { return status }
    guard let parent = WebDAVAPI.parent(of: path) else { throw notWebDAV }
    try await makeFolder(parent)
    if let status = try await makeCollection(path) { return status }
    if try await find(path)?.isCollection == true { return nil }
    throw Failure(.rejected, "\(server) cannot make the directory \(path)", hint: "is part of its path a file?")
  }

  /// AList and OpenList take a backslash for a slash, so that a name with one would become a folder and something in it
  /// (pkg/utils/path.go). Such a server finds a folder again under its path with a backslash behind.
  ///
  /// - Throws: `rejected` if `path` has a backslash and the server is one of these.
  func checkBackslashes(_ path: String) async throws(Failure) {
    guard let backslash = path.firstIndex(of: "\\") else { return }
    var folder = WebDAVAPI.parent(of: String(path[..<backslash]))
    while let next = folder {
      if try await find(next) != nil {
        guard try await find(next == "/" ? "/\\" : "\(next)/\\") != nil else { return }
        throw Failure(.rejected, "\(server) takes the backslash in \(path) for a slash", hint: "use another name")
      }
      folder = WebDAVAPI.parent(of: next)
    }
  }

  /// - Throws: `rejected` if what was found is a file.
  func checkFolder(_ found: WebDAVResource, _ path: String) throws(Failure) {
    guard found.isCollection != false else {
      throw Failure(.rejected, "\(path) on \(server) is a file, where a directory is needed")
    }
  }

  /// The folder that holds `path`; nil for the root.
  static func parent(of path: String) -> String? {
    guard path != "/", let slash = path.lastIndex(of: "/") else { return nil }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Removes what is at `path`. Returns false if the server did not.
  func delete(_ path: String) async -> Bool {
    while let answer = try? await http.send(HTTPRequest(method: .delete, url: http.url(path))) {
      // Go's WebDAV locks an object until it has noticed that the connection it came by is gone.
      guard answer.status == 423, (try? await Task.sleep(for: .milliseconds(20))) != nil else {
        return (200..<300).contains(answer.status) || answer.status == 404 || answer.status == 410
      }
    }
    return false
  }

  /// Gives an object another name, in one step on most servers.
  ///
  /// - Throws: `exists` if there is something and it is not to be replaced.
  func move(_ path: String, to target: String, _ existing: Existing) async throws(Failure) -> Moved {
    var answer = try await move(path, destination: http.url(target), existing)
    if answer.status == 400 || answer.status == 502 {
      // Behind a proxy that ends TLS a server may take its own address for a foreign one. The path alone is allowed as well (RFC 4918, 8.3).
      answer = try await move(path, destination: http.base.path + URLText.encoded(target), existing)
    }
    switch answer.status {
    case 207: throw answer.withEvidence(Failure(.server, "\(server) moved \(path) in part"))
    case 200..<300: return .done(answer)
    case 412 where existing == .refuse: throw answer.withEvidence(WebDAVAPI.alreadyThere(target))
    case 400, 403, 405, 501, 502: return .impossible(answer)
    // Somebody took the upload away, or the folder.
    case 404, 409:
      throw answer.withEvidence(
        Failure(.server, "\(server) cannot give the upload the name \(target) (HTTP \(answer.status))", retryable: true))
    default: throw refusal(answer, target)
    }
  }

  private func move(_ path: String, destination: String, _ existing: Existing) async throws(Failure) -> HTTPAnswer {
    var request = HTTPRequest(method: .move, url: http.url(path))
    request.headers += [("Destination", destination), ("Overwrite", existing == .refuse ? "F" : "T")]
    // Some copy.
    request.isUpload = true
    request.isAnsweredByStatus = true
    return try await http.send(request)
  }

  /// What a refusal of an upload to `path` means.
  func refusal(_ answer: HTTPAnswer, _ path: String) -> Failure {
    switch answer.status {
    case 404, 409:
      return answer.withEvidence(
        Failure(.rejected, "\(server) has no directory for \(path), or one in its place (HTTP \(answer.status))"))
    case 405:
      // Go's WebDAV says this of every error in writing, AList's as well.
      return answer.withEvidence(
        Failure(
          .rejected, "\(server) takes no upload to \(path) (HTTP 405)",
          hint: "it may be read-only; some servers also say this when their disk is full"))
    case 403:
      var failure = answer.statusFailure(server) ?? notWebDAV
      failure.hint = "AList and OpenList have a permission of its own for writing by WebDAV, which even a new admin may lack"
      return failure
    case 412: return answer.withEvidence(Failure(.rejected, "a condition of \(server) for \(path) is not met (HTTP 412)"))
    case 500:
      var failure = answer.statusFailure(server) ?? notWebDAV
      failure.hint = "some servers also say this when their disk is full"
      return failure
    default: return answer.statusFailure(server) ?? notWebDAV
    }
  }

  static func alreadyThere(_ path: String) -> Failure {
    Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it")
  }
}

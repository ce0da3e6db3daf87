/// AList's and OpenList's WebDAV below `/dav`, over the storage of their API (server/webdav.go, server/webdav/webdav.go, file.go). Most of
/// what goes wrong is a bare 405; a PROPFIND that fails for whatever reason says 404.
struct WebDAV: Sendable {
  static let prefix = "/dav"

  let alist: AList
  /// What stands before the paths of answers and of `Destination`.
  let root: String
  private let locks = WebDAVLocks()

  init(_ alist: AList, basePath: String) {
    self.alist = alist
    root = basePath + WebDAV.prefix
  }

  var folder: Folder { alist.folder }

  static func serves(_ path: String) -> Bool { path == prefix || path.hasPrefix(prefix + "/") }

  /// The status with its text, as Go's handler writes it.
  static func status(_ code: Int) -> Answer {
    let texts = [
      201: "Created", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
      412: "Precondition Failed", 415: "Unsupported Media Type", 423: "Locked", 500: "Internal Server Error", 502: "Bad Gateway",
    ]
    return texts[code].map { .plain($0, status: code) } ?? Answer(status: code)
  }

  func answer(_ exchange: Exchange) async throws -> Answer {
    // Whoever is not let in may ask for this, too.
    if exchange.method != "OPTIONS" { try demandRights(try alist.accounts.webDAVUser(of: exchange), exchange.method) }
    do {
      let path = try entry(exchange.path.dropFirst(WebDAV.prefix.count))
      switch exchange.method {
      case "OPTIONS": return options(path)
      case "PROPFIND": return try await propfind(exchange, path)
      case "GET", "HEAD", "POST": return get(exchange, path)
      case "PUT": return try await locks.holding([path]) { try await put(exchange, path) }
      case "MKCOL": return try await locks.holding([path]) { try makeFolder(exchange, path) }
      case "DELETE": return try await locks.holding([path]) { try delete(path) }
      case "MOVE":
        let target = try destination(exchange, path)
        return try await locks.holding([path, target]) { try move(path, to: target, isReplacing: exchange.header("Overwrite") == "T") }
      default: return WebDAV.status(400)
      }
    } catch is Refusal where exchange.method == "PROPFIND" {
      return WebDAV.status(404)
    }
  }

  // MARK: - Who may do what

  /// What is checked before a handler runs; such a refusal has no text. Who comes with the static token is not checked.
  private func demandRights(_ user: AListUser, _ method: String) throws {
    guard !user.isStaticToken else { return }
    let rights = alist.rights
    var isAllowed = rights.has(.webDAVRead)
    if ["PUT", "MKCOL", "MOVE", "DELETE"].contains(method) { isAllowed = isAllowed && rights.has(.webDAVWrite) }
    guard isAllowed else { throw Refusal(Answer(status: 403)) }
  }

  /// What the handlers check.
  func demand(_ bit: AListRights.Bit, on path: String) throws {
    do { try alist.rights.demand(bit, on: path) } catch is Refusal { throw Refusal(WebDAV.status(403)) }
  }

  // MARK: - Paths

  /// The entry of the storage: decoded once and cleaned, and so with a slash for every backslash.
  private func entry(_ path: some StringProtocol) throws -> String {
    do { return try AListPath.fromHeader(String(path), alist.flavor) } catch is Refusal { throw Refusal(WebDAV.status(403)) }
  }

  private func destination(_ exchange: Exchange, _ source: String) throws -> String {
    guard var rest = exchange.header("Destination")?[...], !rest.isEmpty else { throw Refusal(WebDAV.status(400)) }
    if let scheme = rest.firstRange(of: "://") {
      rest = rest[scheme.upperBound...]
      let host = rest.prefix { $0 != "/" }
      guard exchange.entry.headers.contains(where: { $0.0 == "Host" && $0.1 == host }) else { throw Refusal(WebDAV.status(502)) }
      rest = rest.dropFirst(host.count)
    }
    guard rest.hasPrefix(root) else { throw Refusal(WebDAV.status(404)) }
    rest = rest.dropFirst(root.count)
    guard !rest.isEmpty else { throw Refusal(WebDAV.status(502)) }
    let target = try entry(rest)
    guard target != source else { throw Refusal(WebDAV.status(403)) }
    return target
  }

  // MARK: - Reading

  private func options(_ path: String) -> Answer {
    let allowed =
      switch folder.facts(path)?.isDirectory {
      case true?: "OPTIONS, LOCK, DELETE, PROPPATCH, COPY, MOVE, UNLOCK, PROPFIND"
      case false?: "OPTIONS, LOCK, GET, HEAD, POST, DELETE, PROPPATCH, COPY, MOVE, UNLOCK, PROPFIND, PUT"
      case nil: "OPTIONS, LOCK, PUT, MKCOL"
      }
    return Answer(headers: [("Allow", allowed), ("DAV", "1, 2"), ("MS-Author-Via", "DAV")])
  }

  private func get(_ exchange: Exchange, _ path: String) -> Answer {
    guard let facts = folder.facts(path) else { return WebDAV.status(404) }
    let isHead = exchange.method == "HEAD"
    guard !facts.isDirectory else {
      guard isHead else { return WebDAV.status(405) }
      return Answer(headers: alist.isOpenList ? [("Content-Type", "httpd/unix-directory")] : [])
    }
    return exchange.file(folder.real(path), size: facts.size, headers: facts.taggedHeaders)
  }
}

import BytePath
import FoundationEssentials
import Synchronization

/// An answer in AList's envelope: `{"code":Int,"message":String,"data":…}`, whatever the HTTP status.
struct AListReply: Sendable {
  var code: Int64
  var message: String
  var data: JSONValue?
  var answer: HTTPAnswer

  /// Whether there is no object at the path that was asked for.
  var saysMissing: Bool { code == 500 && AListCode.saysMissing(message) }
  /// Whether something is where an object or a name was to come.
  var saysExisting: Bool { code == 403 && message.contains("exists") }
  /// Whether it may be asked again without a refresh, which not everybody may have. Of the words some may be masked.
  var refusesRefresh: Bool { code == 403 }
  /// Whether it says nothing of the path: the server does not know who asks, or answers nobody now.
  var mustBeTold: Bool { code == 401 || code == 402 || code == 429 || AListCode.saysStarting(message) }

  /// What `/api/fs/list` says of what is in a folder.
  ///
  /// - Throws: `protocol` if it can't be read who they all are.
  func entries(in folder: String) throws(Failure) -> [Stored] {
    var entries: [Stored] = []
    for entry in data?["content"]?.array ?? [] {
      let path = entry["name"]?.string.map { (folder == "/" ? "/" : "\(folder)/") + $0 }
      guard let stored = path.flatMap({ Stored(alist: entry, at: $0, date: answer.headers["date"]) }) else {
        throw answer.withEvidence(Failure(.protocol, "the list of \(folder) has something in it without a name or a kind"))
      }
      entries.append(stored)
    }
    return entries
  }
}

/// What `/api/fs/get` says of a path.
struct AListLook: Sendable {
  var finding: Finding
  var data: JSONValue?

  /// The driver of the storage that has it; nil if the server does not name it, as for a folder that only holds storages.
  var driver: String? { data?["provider"]?.string.flatMap { $0.isEmpty || $0 == "unknown" ? nil : $0 } }
}

extension Stored {
  /// - Parameter date: when the server said so, as the header has it.
  /// - Returns: nil if the server does not say whether it is a folder.
  init?(alist data: JSONValue, at path: String, date: String?) {
    guard let isFolder = data["is_dir"]?.bool else { return nil }
    self.init(path, isDirectory: isFolder, size: data["size"]?.integer.flatMap { $0 < 0 ? nil : $0 })
    for algorithm in HashAlgorithm.allCases {
      checksums[algorithm] = data["hash_info"]?[algorithm.rawValue]?.string.flatMap { Checksum(algorithm, hex: $0) }
    }
    // Drives that know no time tell that of Go's zero, or of 1970.
    guard let text = data["modified"]?.string, let moment = RFC3339.milliseconds(text), moment > 0 else {
      isYoung = !isFolder
      return
    }
    modified = moment
    // Go writes no fraction where there is none, as that of drives that know whole seconds.
    let now = date.flatMap { HTTPDate.seconds($0) } ?? millisecondsNow() / 1000
    isYoung = !isFolder && !text.contains(".") && now.subtractingSaturated(moment / 1000) < 2
    version = "\(text) \(size ?? 0)"
  }
}

/// Calls to one AList or OpenList server, with its credentials.
final class AListAPI: Sendable {
  /// Who the credentials are, as `/api/me` says.
  struct User: Sendable {
    var name: String
    var isGuest: Bool
  }

  private struct State {
    var token: Secret?
    /// In bytes; 0 if there are no sessions.
    var largestChunk: Int64?
    /// What the user was told.
    var told: Set<String> = []
  }

  /// How many entries of a folder to ask for at a time: AList gives no more than 500.
  static let pageSize = 200

  private let base: BaseURL
  private let remote: Remote
  private let http: HTTPTransport
  private let warn: @Sendable (String) -> Void
  private let state = Mutex(State())
  /// Of all destinations at a server together: five failures lock the address, and a login may end the token of the one before.
  private static let logins = SingleFlight<Secret>()
  /// How long the server may keep an upload waiting without a move.
  let patience: Duration

  init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "an alist remote needs a url") }
    guard remote.username == nil || remote.password != nil || remote.token != nil else {
      throw Failure(.config, "there is a user name for \(base.origin) and no password", hint: "set password-file or password-command")
    }
    self.base = base
    self.remote = remote
    warn = context.warn
    patience = context.http.idleTimeout
    http = try HTTPTransport(for: base, context)
  }

  var origin: String { base.origin }

  func url(_ call: String) -> String { base.url(call) }

  func close() async { await http.close() }

  /// Asks who the credentials are.
  ///
  /// - Throws: `auth` if they are none.
  func user() async throws(Failure) -> User {
    let reply = try await reply(to: HTTPRequest(method: .get, url: url("/api/me")))
    try AListCode.check(reply, "/api/me")
    let name = reply.data?["username"]?.string ?? ""
    // AList has several roles (internal/model/user.go), OpenList has one.
    let roles = reply.data?["role"]?.array?.compactMap(\.integer) ?? [reply.data?["role"]?.integer ?? 0]
    return User(name: name, isGuest: roles.contains(1) || name == "guest")
  }

  /// Asks what is at `path`, as far as the server remembers it.
  func look(at path: String) async throws(Failure) -> AListLook {
    let reply = try await call("/api/fs/get", ["path": .string(path), "password": ""])
    if reply.saysMissing { return AListLook(finding: .nothing) }
    do throws(Failure) { try AListCode.check(reply, path) } catch {
      // In a folder with a password, for instance, into which one may put all the same.
      guard !reply.mustBeTold else { throw error }
      return AListLook(finding: .untold(error))
    }
    guard let data = reply.data, let stored = Stored(alist: data, at: path, date: reply.answer.headers["date"]) else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(origin) does not say whether \(path) is a folder"))
    }
    return AListLook(finding: .stored(stored), data: data)
  }

  /// Asks for a part of what is in a folder.
  ///
  /// - Parameters:
  ///   - page: from 1 on.
  ///   - size: how many entries make a page.
  ///   - refreshing: whether to ask the storage, whatever the server remembers.
  func list(_ folder: String, page: Int, of size: Int = pageSize, refreshing: Bool) async throws(Failure) -> AListReply {
    var request = HTTPRequest(method: .post, url: url("/api/fs/list"))
    request.setJSON([
      "path": .string(folder), "password": "", "refresh": .bool(refreshing), "page": .number(String(page)),
      "per_page": .number(String(size)),
    ])
    // Drives tell addresses of pictures and hashes of each.
    request.answerLimit = 16 << 20
    return try await reply(to: request)
  }

  func rename(_ path: String, to name: String, overwriting: Bool) async throws(Failure) -> AListReply {
    // It gives an object its name, and some drives copy.
    try await call(
      "/api/fs/rename", ["path": .string(path), "name": .string(name), "overwrite": .bool(overwriting)], isUpload: true)
  }

  /// The largest chunk of a session in bytes; nil if the server has no sessions (`multipart_*` of the public settings, which are texts).
  func largestChunk() async throws(Failure) -> Int64? {
    if let known = state.withLock({ $0.largestChunk }) { return known == 0 ? nil : known }
    let reply = try await reply(to: HTTPRequest(method: .get, url: url("/api/public/settings")))
    var bytes: Int64 = 0
    if reply.code == 200, reply.data?["multipart_enabled"]?.string == "true" {
      let mebibytes = reply.data?["multipart_chunk_size"]?.string.flatMap { Int64($0) } ?? 10
      bytes = min(max(mebibytes, 1), 1024) << 20
    }
    state.withLock { $0.largestChunk = bytes }
    return bytes == 0 ? nil : bytes
  }

  /// Tells the user something that may go on for a while, once.
  func tellOnce(_ text: String) {
    if state.withLock({ $0.told.insert(text).inserted }) { warn(text) }
  }

  /// A POST with a JSON body. Paths in it are plain, not percent-encoded.
  func call(_ path: String, _ body: JSONValue, isUpload: Bool = false) async throws(Failure) -> AListReply {
    var request = HTTPRequest(method: .post, url: url(path), isUpload: isUpload)
    request.setJSON(body)
    return try await reply(to: request)
  }

  /// Sends a request with the credentials, and once more with fresh ones if the token has expired and a password is known.
  func reply(to request: HTTPRequest) async throws(Failure) -> AListReply {
    let token = try await token()
    let reply = try await send(request, token)
    guard reply.code == 401, AListCode.saysExpired(reply.message), remote.username != nil else { return reply }
    return try await send(request, try await logIn(insteadOf: token))
  }

  private func send(_ request: HTTPRequest, _ token: Secret?) async throws(Failure) -> AListReply {
    var request = request
    if let token { request.headers.append(("Authorization", token.exposed)) }
    let answer = try await http.send(request)
    if let failure = answer.statusFailure(origin) { throw failure }
    guard let reply = AListReply(answer) else {
      throw answer.withEvidence(
        Failure(
          .protocol, "\(origin) does not answer as AList does", hint: "check the address: is it behind a login page, or below a sub-path?"))
    }
    return reply
  }

  private func token() async throws(Failure) -> Secret? {
    if let known = state.withLock({ $0.token }) { return known }
    if let source = remote.token {
      let token = try await source.read(warn: warn)
      state.withLock { $0.token = token }
      return token
    }
    return remote.username == nil ? nil : try await logIn()
  }

  /// Logs in with user name and password, unless another destination of the run has done so. None is tried again after a refusal.
  ///
  /// - Parameter expired: a token that does not serve any more.
  private func logIn(insteadOf expired: Secret? = nil) async throws(Failure) -> Secret {
    guard let username = remote.username, let source = remote.password else {
      throw Failure(.auth, "there is no password for \(origin)", hint: "set password-file or password-command")
    }
    let token = try await AListAPI.logins.value(of: "\(url("")) \(username) \(source.key)", unless: { $0.exposed == expired?.exposed }) {
      [self] () throws(Failure) in
      try await freshToken(username, try await source.read(warn: warn))
    }
    state.withLock { $0.token = token }
    return token
  }

  /// The password goes as the hash that the login page sends (internal/model/user.go).
  private func freshToken(_ username: String, _ password: Secret) async throws(Failure) -> Secret {
    let hash = Checksum(.sha256, of: Array("\(password.exposed)-https://github.com/alist-org/alist".utf8))
    var request = HTTPRequest(method: .post, url: url("/api/auth/login/hash"))
    request.setJSON(["username": .string(username), "password": .string(hash.hex)])
    // The hash is as good as the password, and is for this server alone.
    request.followsRedirects = false
    let reply = try await send(request, nil)
    guard reply.code == 200, let text = reply.data?["token"]?.string else {
      // The answer to a login is not shown: that of a success has the token in it.
      throw AListCode.loginFailure(reply, username, origin)
    }
    return try Secret(text, origin: "the token that \(origin) gave")
  }

  /// Sends a request for an object's bytes, without the credentials: the address has what lets one in.
  func download(_ request: HTTPRequest) async throws(Failure) -> HTTPAnswer { try await http.send(request) }

  /// As `download`, by AList's WebDAV, which takes the token of the admin page and a password, but no token of a login.
  func downloadByDAV(_ path: String, _ request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    var request = request
    request.url = url("/dav" + URLText.encoded(path))
    if let token = remote.token {
      request.headers.append(("Authorization", "Bearer \(try await token.read(warn: warn).exposed)"))
    } else if let username = remote.username, let password = remote.password {
      let pair = Data("\(username):\(try await password.read(warn: warn).exposed)".utf8)
      request.headers.append(("Authorization", "Basic \(pair.base64EncodedString())"))
    }
    return try await http.send(request)
  }

  /// Where an object is to be had, by what `fs/get` says: the server itself, reached as this remote says and not as the server believes, or
  /// wherever the storage has it. The first address that does not refuse it is the right one.
  ///
  /// - Parameter isDecodedTwice: whether the server decodes the path twice, as AList does.
  func downloadURLs(_ rawURL: String, of path: String, isDecodedTwice: Bool) -> [String] {
    guard let start = rawURL.firstRange(of: "://")?.upperBound else { return [] }
    let rest = rawURL[start...].drop { $0 != "/" }
    let query = rest.drop { $0 != "?" }
    let isOurs = RedirectTarget(rawURL, from: url(""))?.origin == base.origin
    // What stands before it may be another sub-path than here, where a proxy is on the way.
    let begin = ["\(base.path)/p/", "\(base.path)/d/"].first(where: rest.hasPrefix).map { _ in base.path.utf8.count }
    let place = rest.dropLast(query.count)
    let marks = ["/p/", "/d/"].compactMap { place.firstRange(of: $0)?.lowerBound }
    guard let mark = begin.map({ place.index(place.startIndex, offsetBy: $0) }) ?? marks.min(),
      let full = try? URLText.decoded(place[mark...]), isOurs || full.hasSuffix(path)
    else { return [rawURL] }
    let once = URLText.encoded(full)
    let own = url(isDecodedTwice ? URLText.encoded(once) : once) + query
    return isOurs ? [own] : [own, rawURL]
  }
}

extension AListReply {
  /// - Returns: nil if it is no such answer.
  init?(_ answer: HTTPAnswer) {
    guard let json = answer.json, let code = json["code"]?.integer else { return nil }
    self.init(code: code, message: json["message"]?.string ?? "", data: json["data"], answer: answer)
  }
}

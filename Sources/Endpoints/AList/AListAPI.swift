import BytePath
import Synchronization

/// An answer in AList's envelope: `{"code":Int,"message":String,"data":…}`, whatever the HTTP status.
struct AListReply: Sendable {
  var code: Int64
  var message: String
  var data: JSONValue?
  var answer: HTTPAnswer

  /// Whether there is no object at the path that was asked for.
  var saysMissing: Bool { code == 500 && AListCode.saysMissing(message) }
  /// Whether the server does not know who asks, whatever for.
  var isAboutCredentials: Bool { code == 401 || code == 402 }
}

/// Who the credentials are, as `/api/me` says.
struct AListUser: Sendable {
  var name: String
  var isGuest: Bool
}

/// What `/api/fs/get` says of a path.
struct AListEntry: Sendable {
  var isFolder: Bool
  var size: Int64
  var hashes: [Checksum]
  /// The driver of the storage that has it; nil if the server does not name it, as for a folder that only holds storages.
  var driver: String?
}

/// What is at a path, as far as the server says.
enum AListFinding: Sendable {
  case nothing
  case entry(AListEntry)
  /// It does not say: in a folder with a password, for instance, into which one may put all the same. Then only a put that the server guards
  /// is safe.
  case untold

  var entry: AListEntry? {
    if case .entry(let entry) = self { entry } else { nil }
  }

  var isTold: Bool {
    if case .untold = self { false } else { true }
  }
}

/// Calls to one AList or OpenList server, with its credentials.
final class AListAPI: Sendable {
  private struct Session {
    var token: Secret?
    /// By folder: the driver of its storage, nil where the server names none.
    var drivers: [String: String?] = [:]
    /// By folder: whether renames are allowed there.
    var mayRename: [String: Bool] = [:]
    /// In bytes; 0 if there are no sessions.
    var largestChunk: Int64?
    /// Names that were free when a put to them began: what is there later may be what a connection that broke left of it.
    var begun: Set<String> = []
    /// What the user was told.
    var told: Set<String> = []
    /// The server's upload tasks of a name, by their IDs, before the first put to it.
    var tasksBefore: [String: Set<String>] = [:]
  }

  private let base: BaseURL
  private let remote: Remote
  private let http: HTTPTransport
  private let warn: @Sendable (String) -> Void
  private let session = Mutex(Session())
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
  func user() async throws(Failure) -> AListUser {
    let reply = try await reply(to: HTTPRequest(method: .get, url: url("/api/me")))
    try AListCode.check(reply, "/api/me")
    let roles = reply.data?["role"]?.array?.compactMap(\.integer)
    let role = reply.data?["role"]?.integer
    return AListUser(
      name: reply.data?["username"]?.string ?? "",
      isGuest: role == 1 || (roles?.contains(1) ?? false) || reply.data?["username"]?.string == "guest")
  }

  /// Asks what is at `path`; nil if nothing is.
  func entry(_ path: String) async throws(Failure) -> AListEntry? {
    let reply = try await look(at: path)
    return reply.saysMissing ? nil : try entry(path, in: reply)
  }

  /// As `entry`, where the server need not say it.
  func find(_ path: String) async throws(Failure) -> AListFinding {
    let reply = try await look(at: path)
    if reply.saysMissing { return .nothing }
    let isAnswer = reply.code == 200 || reply.isAboutCredentials || reply.code == 429 || AListCode.saysStarting(reply.message)
    return isAnswer ? .entry(try entry(path, in: reply)) : .untold
  }

  private func look(at path: String) async throws(Failure) -> AListReply {
    try await call("/api/fs/get", ["path": .string(path), "password": ""])
  }

  private func entry(_ path: String, in reply: AListReply) throws(Failure) -> AListEntry {
    try AListCode.check(reply, path)
    guard let data = reply.data, let isFolder = data["is_dir"]?.bool else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(origin) does not say whether \(path) is a folder"))
    }
    let hashes = HashAlgorithm.allCases.compactMap { algorithm in
      (data["hash_info"]?[algorithm.rawValue]?.string).flatMap { Checksum(algorithm, hex: $0) }
    }
    let driver = data["provider"]?.string.flatMap { $0.isEmpty || $0 == "unknown" ? nil : $0 }
    return AListEntry(isFolder: isFolder, size: data["size"]?.integer ?? -1, hashes: hashes, driver: driver)
  }

  /// Asks whether the server would take an upload to `path`, by a form without a file: that goes through the same doors as a put
  /// (FsUp in server/middlewares/fsup.go, FsForm in server/handles/fsup.go), and then is refused for the lack of it. A listing does not tell, as what
  /// holds for a folder that is not there yet need not hold for those above it, and a user's own root may be missing, too.
  ///
  /// - Throws: `auth` or `rejected` if it would not.
  func checkUpload(to path: String, _ user: AListUser) async throws(Failure) {
    let reply: AListReply
    do throws(Failure) {
      reply = try await self.reply(
        to: HTTPRequest(method: .put, url: url("/api/fs/form"), headers: [("File-Path", URLText.encoded(path))]))
    } catch {
      // A proxy may let only those calls pass that it knows.
      guard error.httpStatus == nil || error.isRetryable else { return }
      throw error
    }
    switch reply.code {
    case 403:
      throw reply.answer.withEvidence(
        Failure(
          .auth, "no permission to upload to \(AList.parent(of: path)): \(reply.message) (403); the token is of user \"\(user.name)\""))
    case 400..<500: try AListCode.check(reply, path)
    default: break
    }
  }

  /// Notes that a put begins to a name that is free.
  func begin(_ path: String) {
    _ = session.withLock { $0.begun.insert(path) }
  }

  /// True if a put to this name began when it was free.
  func hasBegun(_ path: String) -> Bool {
    session.withLock { $0.begun.contains(path) }
  }

  /// Tells the user something that may go on for a while, once.
  func tellOnce(_ text: String) {
    if session.withLock({ $0.told.insert(text).inserted }) { warn(text) }
  }

  /// The tasks that were there before the first put to `path`; nil if `current` are those, because this is the first.
  func tasksBefore(_ path: String, current: Set<String>) -> Set<String>? {
    session.withLock { session in
      if let before = session.tasksBefore[path] { return before }
      session.tasksBefore[path] = current
      return nil
    }
  }

  /// The driver of the storage that holds `folder`, or will, as the nearest folder says that is there. (OpenList's listings name none:
  /// server/handles/fsread.go, FsList.)
  ///
  /// - Returns: nil if the server does not name it.
  func driver(of folder: String) async throws(Failure) -> String? {
    if let known = session.withLock({ $0.drivers[folder] }) { return known }
    var path = folder
    var reply = try await look(at: path)
    while reply.saysMissing, path != "/" {
      path = AList.parent(of: path)
      reply = try await look(at: path)
    }
    // Of a root that is not there yet more may be known when it has been made.
    if reply.saysMissing { return nil }
    // A folder with a password may be put into all the same.
    let driver = reply.code == 403 ? nil : try entry(path, in: reply).driver
    session.withLock { $0.drivers[folder] = .some(driver) }
    return driver
  }

  /// Asks whether the server would rename in `folder`, by asking it to rename what is not there: only one that knows the call and allows it
  /// misses the object. The permissions of a user do not tell, as AList has them by role and path, and folders can have passwords.
  func mayRename(in folder: String) async throws(Failure) -> Bool {
    if let known = session.withLock({ $0.mayRename[folder] }) { return known }
    let missing = TemporaryName.beside(folder == "/" ? "/probe" : "\(folder)/probe")
    let other = TemporaryName.beside("probe")
    var isAllowed = false
    do throws(Failure) {
      let reply = try await rename(missing, to: other, overwriting: false)
      isAllowed = reply.saysMissing
    } catch {
      // A server without the call may say so in any way.
      guard !error.isRetryable, error.kind != .interrupted else { throw error }
    }
    session.withLock { $0.mayRename[folder] = isAllowed }
    return isAllowed
  }

  func rename(_ path: String, to name: String, overwriting: Bool) async throws(Failure) -> AListReply {
    var request = HTTPRequest(method: .post, url: url("/api/fs/rename"))
    request.setJSON(["path": .string(path), "name": .string(name), "overwrite": .bool(overwriting)])
    // It gives an object its name, and some drives copy.
    request.isUpload = true
    return try await reply(to: request)
  }

  /// Removes a file; one that is not there is a success.
  ///
  /// - Parameter path: of a temporary name: the call itself would remove a whole folder too.
  func remove(_ path: String) async throws(Failure) {
    let body: JSONValue = ["dir": .string(AList.parent(of: path)), "names": JSONValue([AList.name(of: path)])]
    try AListCode.check(try await call("/api/fs/remove", body), path)
  }

  /// As `remove`, and removes what comes after that.
  ///
  /// - Parameter looksAgain: whether something may.
  func removeForGood(_ path: String, looksAgain: Bool) async throws(Failure) {
    try await remove(path)
    guard looksAgain else { return }
    for wait in [100, 200, 400] {
      guard !Task.isCancelled, (try? await Task.sleep(for: .milliseconds(wait))) != nil else { return }
      try await refresh(AList.parent(of: path))
      if try await entry(path) != nil { try await remove(path) }
    }
  }

  /// Makes the server look at a folder anew: both servers may answer from a cache that holds the declared size or the old object.
  func refresh(_ folder: String) async throws(Failure) {
    _ = try await call("/api/fs/list", ["path": .string(folder), "refresh": true, "page": 1, "per_page": 1])
  }

  /// The largest chunk of a session in bytes; nil if the server has no sessions (`multipart_*` of the public settings, which are texts).
  func largestChunk() async throws(Failure) -> Int64? {
    if let known = session.withLock({ $0.largestChunk }) { return known == 0 ? nil : known }
    let reply = try await reply(to: HTTPRequest(method: .get, url: url("/api/public/settings")))
    var bytes: Int64 = 0
    if reply.code == 200, reply.data?["multipart_enabled"]?.string == "true" {
      let mebibytes = reply.data?["multipart_chunk_size"]?.string.flatMap { Int64($0) } ?? 10
      bytes = min(max(mebibytes, 1), 1024) << 20
    }
    session.withLock { $0.largestChunk = bytes }
    return bytes == 0 ? nil : bytes
  }

  /// Asks whether the object at `path` is the payload, as far as the server tells: by size, and by hash where it has one.
  ///
  /// - Throws: `server` if it is not.
  func compare(_ path: String, with payload: Payload) async throws(Failure) -> Verification {
    try await refresh(AList.parent(of: path))
    guard let entry = try await entry(path), !entry.isFolder else {
      throw .mismatch("\(path) is not there after the upload")
    }
    guard entry.size == payload.length else {
      throw .mismatch("\(path) has \(entry.size) bytes on the server instead of \(payload.length)")
    }
    var verification = Verification.size
    for theirs in entry.hashes {
      let ours = try await payload.digest(theirs.algorithm)
      guard theirs == ours else {
        throw .mismatch("\(path) has the \(theirs.algorithm.rawValue) \(theirs.hex) on the server instead of \(ours.hex)")
      }
      verification = .sizeAndHash
    }
    return verification
  }

  /// A POST with a JSON body. Paths in it are plain, not percent-encoded.
  func call(_ path: String, _ body: JSONValue) async throws(Failure) -> AListReply {
    var request = HTTPRequest(method: .post, url: url(path))
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
    guard let json = answer.json, let code = json["code"]?.integer else {
      throw answer.withEvidence(
        Failure(
          .protocol, "\(origin) does not answer as AList does", hint: "check the address: is it behind a login page, or below a sub-path?"))
    }
    return AListReply(code: code, message: json["message"]?.string ?? "", data: json["data"], answer: answer)
  }

  private func token() async throws(Failure) -> Secret? {
    if let known = session.withLock({ $0.token }) { return known }
    if let source = remote.token {
      let token = try await source.read(warn: warn)
      session.withLock { $0.token = token }
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
    session.withLock { $0.token = token }
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
}

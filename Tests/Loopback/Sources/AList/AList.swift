import Synchronization

/// AList's and OpenList's API, as far as an uploading client meets it, over one storage that is mounted at "/".
struct AList: Sendable {
  let flavor: Flavor
  let behaviour: BehaviourOptions
  let folder: Folder
  /// The user's own root in it (`--home`); empty for the whole.
  let home: String
  let incoming: Folder
  let rights: AListRights
  let accounts: AListAccounts
  let tasks: AListTasks
  let sessions = AListSessions()
  let stale: StaleFacts
  let origin = Origin()

  init(options: Loopback, folders: ServedFolders) {
    behaviour = options.behaviour
    flavor = behaviour.flavor
    folder = folders.alist
    home = options.accounts.cleanHome
    incoming = folders.incoming
    rights = AListRights(options.accounts, flavor)
    accounts = AListAccounts(options.accounts, flavor: flavor)
    stale = StaleFacts(isOn: behaviour.staleGet)
    tasks = AListTasks(behaviour, storage: AListStorage(folder: folder, flavor: flavor, room: behaviour.fullAfter))
  }

  var storage: AListStorage { AListStorage(folder: folder, flavor: flavor, room: behaviour.fullAfter) }

  /// The entry of the storage that a `File-Path` means.
  func entry(_ header: String?) throws -> String { AListPath.below(home, try AListPath.fromHeader(header, flavor)) }
  var isOpenList: Bool { flavor == .openlist }

  static func envelope(_ code: Int, _ message: String, _ data: JSON = .null) -> Answer {
    .json(.object([("code", .int(Int64(code))), ("message", .string(message)), ("data", data)]))
  }

  static func success(_ data: JSON = .null) -> Answer { envelope(200, "success", data) }

  func answer(_ exchange: Exchange) async throws -> Answer {
    switch (exchange.method, exchange.path) {
    case ("GET", "/ping"): return .plain("pong")
    case ("GET", "/api/public/settings"): return Self.success(settings)
    case ("POST", "/api/auth/login"): return try await accounts.login(exchange, isHashed: false)
    case ("POST", "/api/auth/login/hash"): return try await accounts.login(exchange, isHashed: true)
    case ("GET", "/api/auth/logout"): return try accounts.logout(exchange)
    case ("GET", "/api/me"): return Self.success(rights.me(try accounts.user(of: exchange)))
    case ("PUT", "/api/fs/put"): return try await put(exchange)
    case ("PUT", "/api/fs/form"): return try await putForm(exchange)
    case ("POST", "/api/fs/get"): return try await get(exchange)
    case ("POST", "/api/fs/list"): return try await list(exchange)
    case ("POST", "/api/fs/mkdir"): return try await makeDirectory(exchange)
    case ("POST", "/api/fs/rename"): return try await rename(exchange)
    case ("POST", "/api/fs/move"): return try await move(exchange)
    case ("POST", "/api/fs/remove"): return try await remove(exchange)
    case ("GET", _) where isDownload(exchange.path), ("HEAD", _) where isDownload(exchange.path): return try download(exchange)
    default:
      if let answer = try await multipartAnswer(exchange) { return answer }
      return try await taskAnswer(exchange) ?? unknown(exchange)
    }
  }

  /// The start page of the web interface is the answer to whatever has no route, except for other methods.
  private func unknown(_ exchange: Exchange) -> Answer {
    guard exchange.method == "GET" || exchange.method == "POST" else { return Answer(status: 405) }
    var page = Answer.html("<!doctype html><title>\(isOpenList ? "OpenList" : "AList")</title>\n")
    page.isChunked = true
    return page
  }

  private var settings: JSON {
    let version = isOpenList ? "v4.2.5 (Commit: loopback) - Frontend: none - Build at: unknown" : "v3.63.0"
    var members: [(String, JSON)] = [
      ("announcement", .string("sluice-loopback: a test server")), ("default_page_size", .string(isOpenList ? "30" : "50")),
    ]
    if isOpenList { members += [("multipart_chunk_size", .string("10")), ("multipart_enabled", .string("\(behaviour.multipart)"))] }
    return .object(members + [("site_title", .string("sluice-loopback")), ("version", .string(version))])
  }

  /// The answer to a call about upload tasks, or nil if the path is none.
  private func taskAnswer(_ exchange: Exchange) async throws -> Answer? {
    for prefix in ["/api/task/upload/", "/api/admin/task/upload/"] where exchange.path.hasPrefix(prefix) {
      let call = String(exchange.path.dropFirst(prefix.count))
      guard AListTasks.routes[call] == exchange.method else { return nil }
      let user = try accounts.user(of: exchange)
      guard user.role != .guest else { throw Refusal(Self.envelope(403, "You are a guest")) }
      return tasks.answer(call, id: exchange.queryValue("tid") ?? "")
    }
    return nil
  }
}

/// The address under which the server is reached: known only once it listens, needed in `raw_url`.
final class Origin: Sendable {
  private let text = Mutex("")

  func set(_ new: String) { text.withLock { $0 = new } }
  var value: String { text.withLock { $0 } }
}

/// SiYuan's file API over a workspace.
struct SiYuan: Sendable {
  static let putPath = "/api/file/putFile"
  static let assetPath = "/api/asset/upload"

  let workspace: Folder
  let incoming: Folder
  /// All requests of one of these run one at a time.
  let locks = [putPath: AsyncLock(), assetPath: AsyncLock()]
  private let options: AccountOptions

  init(options: Loopback, folders: ServedFolders) {
    self.options = options.accounts
    workspace = folders.siyuan
    incoming = folders.incoming
  }

  var isReadOnly: Bool { options.readOnly }

  static func envelope(_ code: Int, _ message: String, _ data: JSON = .null, status: Int = 200) -> Answer {
    .json(.object([("code", .int(Int64(code))), ("msg", .string(message)), ("data", data)]), status: status)
  }

  func answer(_ exchange: Exchange) async throws -> Answer {
    do {
      return Self.forBrowsers(try await plainAnswer(exchange))
    } catch let refusal as Refusal {
      return Self.forBrowsers(refusal.answer)
    }
  }

  private func plainAnswer(_ exchange: Exchange) async throws -> Answer {
    if exchange.method == "OPTIONS" { return Answer(status: 204, headers: [("Access-Control-Max-Age", "600")]) }
    let isCall = exchange.method == "POST"
    switch exchange.path {
    case "/api/system/version" where isCall: return Self.envelope(0, "", .string("3.7.3"))
    case Self.putPath where isCall: return try await putFile(exchange)
    case Self.assetPath where isCall: return try await uploadAsset(exchange)
    case "/api/file/getFile" where isCall: return try await getFile(exchange)
    case "/api/file/readDir" where isCall: return try await readDirectory(exchange)
    case "/api/file/renameFile" where isCall: return try await renameFile(exchange)
    case "/api/file/removeFile" where isCall: return try await removeFile(exchange)
    case "/api/asset/statAsset" where isCall: return try await statAsset(exchange)
    case let path where path.hasPrefix("/assets/") && exchange.method == "GET": return try await asset(exchange)
    case Self.putPath + "/" where isCall: return Answer(status: 307, headers: [("Location", Self.putPath)])
    default: return Answer(status: 404, headers: [("Content-Type", "text/plain")], body: .bytes(Array("404 page not found".utf8)))
    }
  }

  /// The kernel sends these with every answer.
  private static func forBrowsers(_ answer: Answer) -> Answer {
    var copy = answer
    copy.headers += [
      ("Access-Control-Allow-Credentials", "true"),
      ("Access-Control-Allow-Headers", "origin, Content-Length, Content-Type, Authorization"),
      ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE"),
      ("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Private-Network", "false"),
    ]
    return copy
  }

  // MARK: - Who may do what

  /// Throws the 401 of a wrong token. A header that is no token counts as none.
  func authenticate(_ exchange: Exchange) throws {
    let words = (exchange.header("Authorization") ?? "").split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    if words.count == 2, ["Token", "token", "Bearer"].contains(words[0]), !words[1].isEmpty {
      guard words[1] == options.token else { throw unauthorised("Auth failed [header: Authorization]") }
      return
    }
    if let token = exchange.queryValue("token"), !token.isEmpty {
      guard token == options.token else { throw unauthorised("Auth failed [query: token]") }
      return
    }
    guard options.open else { throw unauthorised("Auth failed [session]") }
    let isForwarded = ["X-Forwarded-For", "X-Forwarded-Host"].contains { exchange.header($0) != nil }
    let origin = exchange.header("Origin") ?? ""
    guard !isForwarded, origin.isEmpty || origin.contains("//127.0.0.1") || origin.contains("//localhost") else {
      throw unauthorised(
        """
        Auth failed: for security reasons, please set [Lock screen password] when using non-127.0.0.1 access

        为安全起见，使用非 127.0.0.1 访问时请设置 [锁屏密码]
        """)
    }
  }

  func demandWritable() throws {
    guard options.readOnly else { return }
    throw Refusal(
      .json(
        .object([
          ("cmd", .string("")), ("reqId", .int(0)), ("app", .string("")), ("sid", .string("")), ("pushMode", .int(0)),
          ("callback", .string("")), ("code", .int(-1)), ("msg", .string("This operation is not supported in read-only mode")),
          ("data", .object([("closeTimeout", .int(5000))])),
        ])))
  }

  /// There is no `data` in this answer.
  private func unauthorised(_ message: String) -> Refusal {
    Refusal(.json(.object([("code", .int(-1)), ("msg", .string(message))]), status: 401))
  }
}

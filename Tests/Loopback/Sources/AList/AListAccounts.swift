import Crypto
import FoundationEssentials
import Synchronization

/// Tokens and logins.
final class AListAccounts: Sendable {
  private static let salt = "-https://github.com/alist-org/alist"
  private static let failuresBeforeLock = 5

  private struct State {
    /// How often each token from login was used.
    var uses: [String: Int] = [:]
    var failures = 0
  }
  private let options: AccountOptions
  private let flavor: Flavor
  private let state = Mutex(State())

  init(_ options: AccountOptions, flavor: Flavor) {
    self.options = options
    self.flavor = flavor
  }

  /// Who sends this request; a refusal if the token is no good.
  func user(of exchange: Exchange) throws -> AListUser {
    let token = exchange.header("Authorization") ?? ""
    if token.isEmpty {
      guard options.guest else { throw Refusal(AList.envelope(401, "Guest user is disabled, login please")) }
      return AListUser(name: "guest", role: .guest, isStaticToken: false)
    }
    if token == options.token { return AListUser(name: options.username, role: .admin, isStaticToken: true) }
    let uses: Int? = state.withLock {
      guard let used = $0.uses[token] else { return nil }
      $0.uses[token] = used + 1
      return used + 1
    }
    guard let uses else { throw Refusal(AList.envelope(401, "token is invalidated")) }
    if let limit = options.expireTokenAfter, uses > limit { throw Refusal(AList.envelope(401, "token is expired")) }
    return AListUser(name: options.username, role: .admin, isStaticToken: false)
  }

  func login(_ exchange: Exchange, isHashed: Bool) async throws -> Answer {
    guard let request = JSON.parse(try await exchange.smallBody()) else { return AList.envelope(400, "invalid character in the JSON") }
    guard let name = request["username"]?.string, !name.isEmpty else {
      return AList.envelope(400, "Key: 'LoginReq.Username' Error:Field validation for 'Username' failed on the 'required' tag")
    }
    guard state.withLock({ $0.failures < Self.failuresBeforeLock }) else {
      return AList.envelope(
        429, "Too many unsuccessful sign-in attempts have been made using an incorrect username or password, Try again later.")
    }
    let wanted = isHashed ? Self.hashed(options.password) : options.password
    guard name == options.username, request["password"]?.string == wanted else { return fail(wrongPassword) }
    if let code = options.otp, request["otp_code"]?.string != code { return fail(AList.envelope(402, "Invalid 2FA code")) }
    let token = Self.newToken()
    state.withLock {
      $0.failures = 0
      $0.uses[token] = 0
    }
    let key: [(String, JSON)] = flavor == .alist ? [("device_key", .string("c8ebb17bc81f62400a2af08f5e50c4bf"))] : []
    return AList.success(.object(key + [("token", .string(token))]))
  }

  /// Who sends this request to /dav, where a refusal has an HTTP status and no text (server/webdav.go). No one-time code is asked for.
  func webDAVUser(of exchange: Exchange) throws -> AListUser {
    let isLocked = flavor == .openlist && state.withLock { $0.failures >= Self.failuresBeforeLock }
    guard !isLocked else { throw Refusal(Answer(status: 429)) }
    let words = (exchange.header("Authorization") ?? "").split(separator: " ", maxSplits: 1).map(String.init)
    if words.count == 2, words[0].lowercased() == "basic", let login = Data(base64Encoded: words[1]) {
      guard login.elementsEqual("\(options.username):\(options.password)".utf8) else {
        state.withLock { $0.failures += 1 }
        throw Refusal(Answer(status: 401))
      }
      state.withLock { $0.failures = 0 }
      return AListUser(name: options.username, role: .admin, isStaticToken: false)
    }
    guard words == ["Bearer", options.token] else {
      let realm = flavor == .openlist ? "openlist" : "alist"
      throw Refusal(Answer(status: 401, headers: [("WWW-Authenticate", "Basic realm=\"\(realm)\"")]))
    }
    return AListUser(name: options.username, role: .admin, isStaticToken: true)
  }

  func logout(_ exchange: Exchange) throws -> Answer {
    _ = try user(of: exchange)
    _ = state.withLock { $0.uses.removeValue(forKey: exchange.header("Authorization") ?? "") }
    return AList.success()
  }

  private var wrongPassword: Answer {
    flavor == .openlist
      ? AList.envelope(401, "Invalid username or password") : AList.envelope(400, "username or password is incorrect")
  }

  private func fail(_ answer: Answer) -> Answer {
    state.withLock { $0.failures += 1 }
    return answer
  }

  private static func hashed(_ password: String) -> String {
    SHA256.hash(data: Array((password + salt).utf8)).hexText
  }

  /// Looks like a JWT: three parts of base64url. Nothing can be read from it.
  private static func newToken() -> String {
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + RandomText.make(120) + "." + RandomText.make(43)
  }
}

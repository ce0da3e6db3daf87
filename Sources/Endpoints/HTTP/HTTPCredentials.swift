import BytePath
import FoundationEssentials
import Synchronization

/// The way in that HTTP itself has: a token as `Bearer` (RFC 6750), user name and password as `Basic` (RFC 7617), or as `Digest` (RFC 7616)
/// once the server has asked for that. They come from the remote, else from the netrc file.
///
/// Over TLS a password goes as `Basic` unasked. Without it everybody on the way could read it there, so the server is asked first, without
/// credentials, whether it takes `Digest`.
final class HTTPCredentials: Sendable {
  private enum Way: Sendable {
    case none
    case token(Secret)
    case password(username: String, Secret?)
  }

  private struct State {
    var way: Way?
    var digest: DigestSession?
    /// Whether the server has taken an answer to its challenge.
    var isDigestProven = false
    var lastAnswer: ContinuousClock.Instant?
    /// Whether the server has been asked without credentials.
    var isAsked = false
  }

  private let remote: Remote
  private let isSecure: Bool
  private let warn: @Sendable (String) -> Void
  private let state = Mutex(State())

  /// - Parameter isSecure: whether the server is reached over TLS.
  /// - Throws: `config` for two ways at once.
  init(_ remote: Remote, isSecure: Bool, warn: @escaping @Sendable (String) -> Void) throws(Failure) {
    guard remote.token == nil || remote.username == nil else {
      throw Failure(.config, "there are both a token and a username, and a request has room for one of them", hint: "remove one")
    }
    self.remote = remote
    self.isSecure = isSecure
    self.warn = warn
  }

  /// The header for one request.
  ///
  /// - Throws: `config` if the secret can't be had.
  func headers(for method: HTTPRequest.Method, url: String) async throws(Failure) -> [(name: String, value: String)] {
    switch try await way() {
    case .none: return []
    case .token(let token): return [("Authorization", "Bearer \(token.exposed)")]
    case .password(let username, let secret):
      let password = secret?.exposed ?? ""
      let digest = state.withLock { state in
        state.digest?.authorization(
          username: username, password: password, method: method.rawValue, target: HTTPCredentials.target(of: url))
      }
      return [("Authorization", digest ?? "Basic \(Data("\(username):\(password)".utf8).base64EncodedString())")]
    }
  }

  /// True if the server may yet ask for `Digest`, or for a new answer to it, so that an object that is sent now might have to be sent again.
  func mayBeChallenged() async throws(Failure) -> Bool {
    guard case .password = try await way() else { return false }
    return state.withLock { state in
      guard let last = state.lastAnswer else { return true }
      return state.digest != nil && last.duration(to: .now) > .seconds(30)
    }
  }

  /// True if the server is to be asked without credentials before anything else.
  func mustAsk() async throws(Failure) -> Bool {
    guard !isSecure, case .password = try await way() else { return false }
    return state.withLock { !$0.isAsked }
  }

  /// Notes that the server was asked without credentials. Returns false if it takes no password that can be sent to it, or does not tell yet.
  ///
  /// - Parameter answer: nil if another server answered, to which a redirect led.
  func isOffered(in answer: HTTPAnswer?) async throws(Failure) -> Bool {
    if let answer {
      guard ![408, 425, 429, 502, 503, 504].contains(answer.status) else { return false }
      let takesDigest = try await learn(from: answer)
      let offers = AuthenticationChallenge.parse(answer.headers["www-authenticate"] ?? "")
      guard takesDigest || answer.status != 401 || offers.isEmpty || offers.contains(where: { $0.scheme == "basic" }) else { return false }
    }
    state.withLock { $0.isAsked = true }
    return true
  }

  /// Learns from an answer of the server that the credentials are for. Returns true if the request may be made again with others.
  func learn(from answer: HTTPAnswer) async throws(Failure) -> Bool {
    state.withLock { state in
      state.lastAnswer = .now
      if state.digest != nil, answer.status != 401 { state.isDigestProven = true }
    }
    guard answer.status == 401, case .password = try await way() else { return false }
    guard let challenge = answer.headers["www-authenticate"].flatMap({ DigestChallenge.strongest(of: $0) }) else { return false }
    return state.withLock { state in
      // What was right before is too old now, whether the server says so or not. Else a second refusal means the password.
      let isOld = challenge.isStale || (state.isDigestProven && state.digest?.challenge.nonce != challenge.nonce)
      guard state.digest == nil || isOld else { return false }
      state.digest = DigestSession(challenge, clientNonce: String(UInt64.random(in: 0 ... .max), radix: 36))
      state.isDigestProven = false
      return true
    }
  }

  private func way() async throws(Failure) -> Way {
    if let known = state.withLock({ $0.way }) { return known }
    let way = try await read()
    state.withLock { $0.way = way }
    return way
  }

  private func read() async throws(Failure) -> Way {
    if let token = remote.token { return .token(try await token.read(warn: warn)) }
    if let username = remote.username, let password = remote.password {
      return .password(username: username, try await password.read(warn: warn))
    }
    if let host = remote.base?.host, let entry = Netrc.lookUp(host, login: remote.username, warn: warn), let login = entry.login {
      let origin = "the password for \(host) in the netrc file"
      return .password(username: login, try entry.password.map { (text) throws(Failure) in try Secret(text, origin: origin) })
    }
    return remote.username.map { .password(username: $0, nil) } ?? .none
  }

  private static func target(of url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return url }
    let path = url[scheme.upperBound...].drop { $0 != "/" }
    return path.isEmpty ? "/" : String(path)
  }
}

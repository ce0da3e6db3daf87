import BytePath

/// One `Digest` challenge of a server (RFC 7616, 3.3), or of one that knows no `qop` (RFC 2069).
struct DigestChallenge: Sendable, Equatable {
  /// From weak to strong.
  enum Algorithm: String, Sendable, CaseIterable {
    case md5 = "MD5"
    case md5Session = "MD5-sess"
    case sha256 = "SHA-256"
    case sha256Session = "SHA-256-sess"

    var isSession: Bool { self == .md5Session || self == .sha256Session }

    /// The hash in hexadecimal.
    func hash(_ text: String) -> String {
      let algorithm: HashAlgorithm =
        switch self {
        case .md5, .md5Session: .md5
        case .sha256, .sha256Session: .sha256
        }
      return Checksum(algorithm, of: Array(text.utf8)).hex
    }
  }

  var realm: String
  var nonce: String
  var opaque: String?
  var algorithm: Algorithm
  /// Whether the server takes `qop=auth`; false if it says nothing of `qop`.
  var hasQuality: Bool
  /// Whether the user name is to be sent as a hash.
  var hashesUser: Bool
  /// True if the server took the credentials for right and the nonce for too old.
  var isStale: Bool

  /// The strongest of the challenges in `WWW-Authenticate` that can be answered; nil if there is none.
  static func strongest(of header: String) -> DigestChallenge? {
    let found = AuthenticationChallenge.parse(header).compactMap { DigestChallenge($0) }
    return Algorithm.allCases.reversed().lazy.compactMap { algorithm in found.first { $0.algorithm == algorithm } }.first
  }

  private init?(_ challenge: AuthenticationChallenge) {
    guard challenge.scheme == "digest", let realm = challenge["realm"], let nonce = challenge["nonce"] else { return nil }
    let name = (challenge["algorithm"] ?? "MD5").lowercased()
    guard let algorithm = Algorithm.allCases.first(where: { $0.rawValue.lowercased() == name }) else { return nil }
    if let qualities = challenge["qop"] {
      // What remains is auth-int, which hashes the object as well.
      guard qualities.lowercased().split(whereSeparator: { $0 == "," || $0 == " " }).contains("auth") else { return nil }
      hasQuality = true
    } else {
      hasQuality = false
    }
    self.realm = realm
    self.nonce = nonce
    self.algorithm = algorithm
    opaque = challenge["opaque"]
    hashesUser = challenge["userhash"]?.lowercased() == "true"
    isStale = challenge["stale"]?.lowercased() == "true"
  }
}

/// A challenge and what has been answered to it: each answer counts its nonce up.
struct DigestSession: Sendable {
  let challenge: DigestChallenge
  /// The same for all answers, because `-sess` makes its key of the first one.
  let clientNonce: String
  private var count: UInt32 = 0

  init(_ challenge: DigestChallenge, clientNonce: String) {
    self.challenge = challenge
    self.clientNonce = clientNonce
  }

  /// The value of `Authorization` for one request.
  ///
  /// - Parameter target: the request's target as it is sent: the path of its URL.
  mutating func authorization(username: String, password: String, method: String, target: String) -> String {
    count += 1
    let algorithm = challenge.algorithm
    let digits = String(count, radix: 16)
    let nonceCount = String(repeating: "0", count: 8 - digits.count) + digits
    var key = algorithm.hash("\(username):\(challenge.realm):\(password)")
    if algorithm.isSession { key = algorithm.hash("\(key):\(challenge.nonce):\(clientNonce)") }
    let request = algorithm.hash("\(method):\(target)")
    let uses = challenge.hasQuality ? "\(challenge.nonce):\(nonceCount):\(clientNonce):auth" : challenge.nonce
    let shownUser = challenge.hashesUser ? algorithm.hash("\(username):\(challenge.realm)") : username

    var parts = [
      "username=\(quoted(shownUser))", "realm=\(quoted(challenge.realm))", "nonce=\(quoted(challenge.nonce))", "uri=\(quoted(target))",
      "response=\"\(algorithm.hash("\(key):\(uses):\(request)"))\"", "algorithm=\(algorithm.rawValue)",
    ]
    if challenge.hasQuality { parts += ["qop=auth", "nc=\(nonceCount)"] }
    if challenge.hasQuality || algorithm.isSession { parts.append("cnonce=\(quoted(clientNonce))") }
    if let opaque = challenge.opaque { parts.append("opaque=\(quoted(opaque))") }
    if challenge.hashesUser { parts.append("userhash=true") }
    return "Digest " + parts.joined(separator: ", ")
  }

  private func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}

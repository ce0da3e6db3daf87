import BytePath

/// An access key with its secret.
struct AWSCredentials: Sendable {
  let accessKey: String
  let secret: Secret
  /// For credentials that end.
  var sessionToken: Secret?
  /// When they end, in milliseconds since 1970; nil if nobody says.
  var end: Int64?

  /// - Throws: `config` if one of them could not stand in a header.
  init(accessKey: String, secret: String, sessionToken: String?, origin: String) throws(Failure) {
    self.accessKey = try Secret(accessKey, origin: "the access key of \(origin)").exposed
    self.secret = try Secret(secret, origin: "the secret key of \(origin)")
    self.sessionToken = try sessionToken.map { (text) throws(Failure) in try Secret(text, origin: "the session token of \(origin)") }
  }
}

extension AWSCredentials {
  func areSame(as other: AWSCredentials) -> Bool {
    accessKey == other.accessKey && secret.exposed == other.secret.exposed && sessionToken?.exposed == other.sessionToken?.exposed
  }
}

/// The credentials of a run: read when they are first needed, and again when they have ended.
struct AWSCredentialCache: Sendable {
  /// Milliseconds that a request may need from its signature to its arrival.
  private static let margin: Int64 = 60_000

  private let now: @Sendable () -> Int64
  private let read: @Sendable () async throws(Failure) -> AWSCredentials
  private let flight = SingleFlight<AWSCredentials>()

  /// - Parameter now: milliseconds since 1970.
  init(
    now: @escaping @Sendable () -> Int64 = { millisecondsNow() }, _ read: @escaping @Sendable () async throws(Failure) -> AWSCredentials
  ) {
    self.now = now
    self.read = read
  }

  /// - Throws: as `AWSCredentialSource.read`.
  func current() async throws(Failure) -> AWSCredentials {
    try await flight.value(of: "", unless: { [now] known in known.end.map { $0 <= now() } ?? false }, from: fresh)
  }

  /// Those that are to be had now in place of some that the server says have ended; nil if there are no others.
  ///
  /// - Throws: as `AWSCredentialSource.read`.
  func replacement(of used: AWSCredentials) async throws(Failure) -> AWSCredentials? {
    let known = try await flight.value(of: "", unless: { $0.areSame(as: used) }, from: fresh)
    return known.areSame(as: used) ? nil : known
  }

  @Sendable
  private func fresh() async throws(Failure) -> AWSCredentials {
    var credentials = try await read()
    // Some that are old from the start are not asked for before each call: the server will say whether they are.
    credentials.end = credentials.end.map { $0.subtractingSaturated(AWSCredentialCache.margin) }.flatMap { $0 > now() ? $0 : nil }
    return credentials
  }
}

/// Where credentials are to be had.
enum AWSCredentialSource: Sendable {
  /// A remote's user name and password.
  case remote(accessKey: String, SecretSource)
  case keys(accessKey: String, secret: String, sessionToken: String?, origin: String)
  /// A line for `sh -c` that prints them (docs.aws.amazon.com/cli/latest/userguide/cli-configure-sourcing-external.html).
  case process(String)
  case none(Failure)

  /// - Throws: `auth` if there are none, `config` if they can't be had.
  func read(warn: @escaping @Sendable (String) -> Void) async throws(Failure) -> AWSCredentials {
    switch self {
    case .remote(let accessKey, let secret):
      return try AWSCredentials(
        accessKey: accessKey, secret: try await secret.read(warn: warn).exposed, sessionToken: nil, origin: "the remote")
    case .keys(let accessKey, let secret, let token, let origin):
      return try AWSCredentials(accessKey: accessKey, secret: secret, sessionToken: token, origin: origin)
    case .process(let line):
      let origin = "what the command \(line) printed"
      guard let answer = JSONValue(parsing: Array(try await CapturedCommand.run(line).utf8)), answer["Version"]?.integer == 1,
        let accessKey = answer["AccessKeyId"]?.string, let secret = answer["SecretAccessKey"]?.string
      else {
        throw Failure(.config, "\(origin) are no AWS credentials", hint: "credential_process must print JSON of version 1")
      }
      var credentials = try AWSCredentials(
        accessKey: accessKey, secret: secret, sessionToken: answer["SessionToken"]?.string, origin: origin)
      credentials.end = answer["Expiration"]?.string.flatMap { RFC3339.milliseconds($0) }
      return credentials
    case .none(let failure): throw failure
    }
  }
}

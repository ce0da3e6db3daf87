import BytePath

/// An access key with its secret.
struct AWSCredentials: Sendable {
  let accessKey: String
  let secret: Secret
  /// For credentials that end.
  var sessionToken: Secret?

  /// - Throws: `config` if one of them could not stand in a header.
  init(accessKey: String, secret: String, sessionToken: String?, origin: String) throws(Failure) {
    self.accessKey = try Secret(accessKey, origin: "the access key of \(origin)").exposed
    self.secret = try Secret(secret, origin: "the secret key of \(origin)")
    self.sessionToken = try sessionToken.map { (text) throws(Failure) in try Secret(text, origin: "the session token of \(origin)") }
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
  func read(warn: @Sendable (String) -> Void) async throws(Failure) -> AWSCredentials {
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
      return try AWSCredentials(
        accessKey: accessKey, secret: secret, sessionToken: answer["SessionToken"]?.string, origin: origin)
    case .none(let failure): throw failure
    }
  }
}

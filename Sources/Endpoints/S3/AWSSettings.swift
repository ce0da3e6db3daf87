import BytePath

/// Endpoint, region, style and credentials, from a remote, else from the variables and files that all AWS programs read.
struct AWSSettings: Sendable {
  enum Addressing: String, Sendable {
    case path, virtual
  }

  /// Nil for AWS itself.
  let endpoint: BaseURL?
  let region: String
  /// Nil if nobody says which.
  let addressing: Addressing?
  let credentials: AWSCredentialSource
  /// A PEM file of certificates to trust; nil for the usual.
  let certificateFile: String?

  /// - Throws: `config` for values that mean nothing, a profile that is not there, or a file that can't be read.
  init(_ remote: Remote, environment: (String) -> String? = nonEmptyVariable) throws(Failure) {
    let named = remote.settings["profile"] ?? environment("AWS_PROFILE")
    let profile = try AWSProfile(named ?? "default", environment)
    if let base = remote.base {
      endpoint = base
    } else {
      let text = environment("AWS_ENDPOINT_URL_S3") ?? environment("AWS_ENDPOINT_URL") ?? profile.endpoint
      endpoint = try text.map { (text) throws(Failure) in try BaseURL(text) }
    }
    region =
      remote.settings["region"] ?? environment("AWS_REGION") ?? environment("AWS_DEFAULT_REGION") ?? profile["region"] ?? "us-east-1"
    guard !region.isEmpty, region.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }) else {
      throw Failure(.config, "\(region) is no region")
    }
    let style = remote.settings["addressing-style"] ?? profile["s3.addressing_style"] ?? "auto"
    addressing = Addressing(rawValue: style)
    guard addressing != nil || style == "auto" else {
      throw Failure(.config, "the addressing style \(style) is none", hint: "there are: path, virtual, auto")
    }
    certificateFile = (environment("AWS_CA_BUNDLE") ?? profile["ca_bundle"]).map(expandingHome)
    guard (remote.username == nil) == (remote.password == nil) else {
      throw Failure(
        .config, "a remote of type s3 has both username and password, or neither", hint: "they are the access key and its secret")
    }
    if let username = remote.username, let password = remote.password {
      credentials = .remote(accessKey: username, password)
    } else if remote.settings["profile"] == nil, environment("AWS_ACCESS_KEY_ID") != nil || environment("AWS_SECRET_ACCESS_KEY") != nil {
      guard let accessKey = environment("AWS_ACCESS_KEY_ID"), let secret = environment("AWS_SECRET_ACCESS_KEY") else {
        throw Failure(.config, "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set", hint: "set both or none")
      }
      // The variables come before a profile that another variable names, as with the AWS CLI.
      credentials = .keys(
        accessKey: accessKey, secret: secret, sessionToken: environment("AWS_SESSION_TOKEN"), origin: "the environment")
    } else {
      if let named, !profile.exists { throw Failure(.config, "there is no profile \(named) in \(profile.places)") }
      credentials = profile.credentials
    }
  }
}

/// One profile of the two files.
private struct AWSProfile {
  let name: String
  let places: String
  private let config: [String: String]?
  private let secrets: [String: String]?
  private let services: [String: String]?
  /// Where `config` and `secrets` come from.
  private let configFile: AWSFile
  private let secretsFile: AWSFile

  init(_ name: String, _ environment: (String) -> String?) throws(Failure) {
    let (configPath, secretsPath) = (AWSFile.configPath(environment), AWSFile.secretsPath(environment))
    let configFile = try AWSFile(reading: configPath)
    let secretsFile = try AWSFile(reading: secretsPath)
    (self.configFile, self.secretsFile) = (configFile, secretsFile)
    let config = configFile["profile \(name)"] ?? (name == "default" ? configFile["default"] : nil)
    self.name = name
    self.config = config
    places = "\(secretsPath) and \(configPath)"
    secrets = secretsFile[name]
    services = config?["services"].flatMap { configFile["services \($0)"] }
  }

  var exists: Bool { config != nil || secrets != nil }

  var endpoint: String? { services?["s3.endpoint_url"] ?? self["endpoint_url"] }

  subscript(key: String) -> String? {
    let value = config?[key] ?? secrets?[key]
    return value?.isEmpty == false ? value : nil
  }

  /// The file of secrets comes first, as with the AWS CLI.
  var credentials: AWSCredentialSource {
    for (keys, file) in [(secrets, secretsFile), (config, configFile)] {
      if let accessKey = keys?["aws_access_key_id"], let secret = keys?["aws_secret_access_key"] {
        return .keys(
          accessKey: accessKey, secret: secret, sessionToken: keys?["aws_session_token"], origin: "the profile \(name)")
      }
      guard let line = keys?["credential_process"] else { continue }
      return file.foreignCommand(of: name).map { .none($0) } ?? .process(line)
    }
    let isOfOthers = ["role_arn", "sso_session", "sso_start_url", "web_identity_token_file"].contains { self[$0] != nil }
    return .none(
      Failure(
        .auth, "there are no S3 credentials in the environment or the profile \(name)",
        hint: isOfOthers
          ? "sluice does not take on roles or log in; let the AWS CLI do it: eval \"$(aws configure export-credentials --format env)\""
          : "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to \(places)"))
  }
}

/// A variable of the environment; an empty one is none.
func nonEmptyVariable(_ name: String) -> String? {
  guard let value = getenv(name), value.pointee != 0 else { return nil }
  return String(cString: value)
}

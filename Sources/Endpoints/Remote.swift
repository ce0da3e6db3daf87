public import BytePath

/// A server and the way in: from a URL, or from the config file by name.
public struct Remote: Sendable {
  /// Nil for local files, and where the server is known from elsewhere.
  public var base: BaseURL?
  public var token: SecretSource?
  public var username: String?
  public var password: SecretSource?
  /// The values of the keys that its kind alone has (`EndpointKind.remoteKeys`).
  public var settings: [String: String] = [:]

  /// The same text for the same remote. It may have a secret in it, and is shown to nobody.
  public var key: String {
    let words = [base.map { $0.origin + $0.path + "%" + ($0.zone ?? "") }, token?.key, username, password?.key].map { $0 ?? "" }
    return (words + settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }).joined(separator: "\n")
  }

  public init(base: BaseURL? = nil, token: SecretSource? = nil, username: String? = nil, password: SecretSource? = nil) {
    self.base = base
    self.token = token
    self.username = username
    self.password = password
  }
}

/// The address of a server, perhaps of one below a sub-path: `https://h:8443/files`.
public struct BaseURL: Sendable, Equatable {
  public var isSecure: Bool
  /// Without the brackets of an IPv6 address.
  public var host: String
  public var port: Int?
  /// Of a link-local IPv6 address: the interface that it is for. It means something on this machine alone, so no server is told.
  var zone: String?
  /// Empty, or with a slash at its start and none at its end; percent-encoded.
  public var path = ""

  public init(isSecure: Bool, host: String, port: Int? = nil) {
    self.isSecure = isSecure
    self.host = host
    self.port = port
  }

  init(isSecure: Bool, _ authority: URLText.Authority) {
    self.init(isSecure: isSecure, host: authority.host, port: authority.port)
    zone = authority.zone
  }

  /// Reads the `url` of a remote.
  ///
  /// - Throws: `config`.
  public init(_ text: String) throws(Failure) {
    let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "http" || parts[0] == "https" else {
      throw Failure(.config, "the url \(URLText.redactedWhole(text)) does not start with http:// or https://")
    }
    let authority: URLText.Authority
    do throws(Failure) { authority = try URLText.Authority(parts[1].prefix { $0 != "/" }) } catch {
      throw Failure(.config, "the url \(URLText.redactedWhole(text)) is not valid: \(error.message)")
    }
    guard authority.username == nil else {
      throw Failure(.config, "the url \(URLText.redactedWhole(text)) has a password in it", hint: "use username and password-file")
    }
    self.init(isSecure: parts[0] == "https", authority)
    var rest = String(parts[1].drop { $0 != "/" })
    while rest.hasSuffix("/") { rest.removeLast() }
    guard rest.allSatisfy({ $0.isASCII && $0 != "?" && $0 != "#" && $0 != " " }) else {
      throw Failure(.config, "the url \(text) has a character in its path that must be percent-encoded")
    }
    path = rest
  }

  /// Scheme, host and port: what credentials are meant for.
  public var origin: String {
    let shownHost = host.contains(":") ? "[\(host)]" : host
    return "\(isSecure ? "https" : "http")://\(shownHost)\(port.map { ":\($0)" } ?? "")"
  }

  /// The same text for the same host and port, however they are written.
  public var identity: String {
    "\(isSecure ? "https" : "http")://\(host.lowercased()):\(port ?? (isSecure ? 443 : 80))"
  }

  /// The URL of a call.
  func url(_ call: String) -> String { origin + path + call }
}

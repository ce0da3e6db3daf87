import BytePath

/// How a run talks HTTP.
public struct HTTPSettings: Sendable {
  /// For a connection, its TLS included.
  public var connectTimeout: Duration = .seconds(30)
  /// How long nothing may move while a request is sent.
  public var idleTimeout: Duration = .seconds(60)
  /// How long the answer to an upload may take after its last byte. Storage behind a server may need minutes.
  public var answerTimeout: Duration = .seconds(600)
  /// For one whole request; nil for no limit.
  public var totalTimeout: Duration?
  /// Bytes a second, at the most; nil for no limit.
  public var rateLimit: Int64?
  /// A PEM file of certificates to trust instead of the system's.
  public var certificateFile: String?
  /// Take any certificate.
  public var isInsecure = false

  public init() {}
}

/// A proxy, as the environment names it.
struct ProxySetting: Equatable {
  let host: String
  let port: Int
  let username: String?
  let password: String?

  /// The proxy for requests to `base`: `HTTPS_PROXY` or `HTTP_PROXY`, else `ALL_PROXY`, unless `NO_PROXY` exempts the host. Names in
  /// lower case count first, as with curl.
  ///
  /// - Throws: `config` if the variable's value is no `http://[USER[:PASSWORD]@]HOST[:PORT]`.
  static func fromEnvironment(for base: BaseURL) throws(Failure) -> ProxySetting? {
    if let exempt = value(of: "NO_PROXY"), exempts(exempt, base) { return nil }
    let name = base.isSecure ? "HTTPS_PROXY" : "HTTP_PROXY"
    guard let (name, text) = value(of: name).map({ (name, $0) }) ?? value(of: "ALL_PROXY").map({ ("ALL_PROXY", $0) }) else { return nil }
    var rest = text[...]
    if let scheme = URLText.scheme(of: text) {
      guard scheme.lowercased() == "http" else {
        throw Failure(.config, "\(name) names a \(scheme):// proxy; sluice knows http:// proxies alone")
      }
      rest = rest.dropFirst(scheme.count + 3)
    }
    do throws(Failure) {
      let authority = try URLText.Authority(rest.prefix { $0 != "/" })
      return ProxySetting(host: authority.host, port: authority.port ?? 80, username: authority.username, password: authority.password)
    } catch {
      throw Failure(.config, "\(name) is no valid proxy address: \(error.message)")
    }
  }

  /// `NO_PROXY`: `*`, or hosts and domains with commas between them, each perhaps with a port; a domain stands for what is below it too.
  static func exempts(_ list: String, _ base: BaseURL) -> Bool {
    let host = base.host.lowercased()
    let port = base.port ?? (base.isSecure ? 443 : 80)
    return list.split(whereSeparator: { $0 == "," || $0 == " " }).contains { entry in
      if entry == "*" { return true }
      var name = entry.lowercased()[...]
      if name.hasPrefix("["), let end = name.firstIndex(of: "]") {
        guard name[end...].dropFirst().isEmpty || name[end...] == "]:\(port)" else { return false }
        name = name[name.index(after: name.startIndex)..<end]
      } else if name.count(where: { $0 == ":" }) == 1, let colon = name.firstIndex(of: ":") {
        guard name[colon...].dropFirst() == "\(port)" else { return false }
        name = name[..<colon]
      }
      let domain = name.drop { $0 == "." }
      return !domain.isEmpty && (host == domain || host.hasSuffix(".\(domain)"))
    }
  }

  private static func value(of name: String) -> String? {
    for variable in [name.lowercased(), name] {
      if let text = getenv(variable), text.pointee != 0 { return String(cString: text) }
    }
    return nil
  }
}

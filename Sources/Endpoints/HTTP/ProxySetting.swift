import BytePath

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
      guard authority.zone == nil else { throw Failure(.config, "a proxy has no zone") }
      return ProxySetting(host: authority.host, port: authority.port ?? 80, username: authority.username, password: authority.password)
    } catch {
      throw Failure(.config, "\(name) is no valid proxy address: \(error.message)")
    }
  }

  /// `NO_PROXY`: `*`, or hosts, domains and networks with commas between them, as curl reads them; hosts perhaps with a port. A domain stands
  /// for what is below it too, a network such as `10.0.0.0/8` for the addresses in it, not for names.
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
      if let address = IPAddress(host) { return address.isIn(name) }
      let domain = ((try? IDNA.ascii(String(name))) ?? String(name)).drop { $0 == "." }
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

/// An address as bytes in network order, so that its spellings are the same.
struct IPAddress: Equatable {
  let bytes: [UInt8]

  /// Nil for a name.
  init?(_ text: some StringProtocol) {
    for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
      var bytes = [UInt8](repeating: 0, count: count)
      if inet_pton(family, String(text), &bytes) == 1 {
        self.bytes = bytes
        return
      }
    }
    return nil
  }

  /// Whether it is in `network`: `10.0.0.0/8`, or one address.
  func isIn(_ network: Substring) -> Bool {
    let parts = network.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let other = IPAddress(first), other.bytes.count == bytes.count else { return false }
    guard parts.count > 1 else { return self == other }
    guard let bits = Int(parts[1]), (0...bytes.count * 8).contains(bits) else { return false }
    return bytes.indices.allSatisfy { index in
      let mask = UInt8(truncatingIfNeeded: 0xff00 >> max(0, min(bits - index * 8, 8)))
      return bytes[index] & mask == other.bytes[index] & mask
    }
  }
}

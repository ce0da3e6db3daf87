public import BytePath

/// What a DEST argument says, before anything is looked up.
public enum Destination: Sendable {
  /// A URL of a built-in endpoint. The path is percent-decoded.
  case url(any BuiltInStore.Type, Remote, path: String)
  /// `file:PATH`, or a bare path.
  case file(path: String)
  /// `NAME:PATH`; the path is literal.
  case named(String, path: String)

  /// Reads a DEST argument.
  ///
  /// - Throws: `usage` if it is none, or could not be sent to anybody.
  public init(_ text: String) throws(Failure) {
    guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
      throw Failure(.usage, "the destination has a control character in it")
    }
    if let scheme = URLText.scheme(of: text) {
      self = try Destination.parse(url: text, scheme: scheme)
    } else if ["/", "./", "../", "~/"].contains(where: text.hasPrefix) {
      self = .file(path: expandingHome(text))
    } else if text.hasPrefix("file:") {
      self = .file(path: expandingHome(String(text.dropFirst(5))))
    } else if let colon = text.firstIndex(of: ":"), PluginProgram.isName(text[..<colon]) {
      self = .named(String(text[..<colon]), path: String(text[text.index(after: colon)...]))
    } else {
      let example = builtInEndpoints.first.map { "; for a server a URL such as \($0.kind.example)" } ?? ""
      let hint = "for a file write ./\(text)\(example)"
      throw Failure(.usage, "\(text) is no destination", hint: isRegularFile(text) ? Destination.inputHint(text) : hint)
    }
  }

  /// The path of a regular file that is there, if `text` is a destination that would replace it: it may have been meant as the input, as
  /// programs that copy take the source first.
  public static func existingFile(_ text: String) -> String? {
    guard case .file(let path) = try? Destination(text), isRegularFile(path) else { return nil }
    return path
  }

  /// What names something in a directory.
  ///
  /// - Parameter directory: as a DEST argument has it.
  public static func member(_ name: String, of directory: String) -> String {
    let start = directory.hasSuffix("/") || directory.hasSuffix(":") ? directory : "\(directory)/"
    return start + (URLText.scheme(of: directory) == nil ? name : name.replacing("%", with: "%25"))
  }

  /// What to type if a file was meant as the input.
  public static func inputHint(_ path: String) -> String { "to upload \(path) itself: --input \(path)" }

  private static func parse(url text: String, scheme: String) throws(Failure) -> Destination {
    let found = builtInEndpoints.lazy.compactMap { type in
      type.kind.schemes.first { $0.name == scheme.lowercased() }.map { (type, $0.isSecure) }
    }.first
    guard let (type, isSecure) = found else {
      let known = builtInEndpoints.flatMap { $0.kind.schemes.map { "\($0.name)://" } }.joined(separator: ", ")
      throw Failure(.usage, "\(scheme):// is no kind of destination that sluice knows", hint: "it knows \(known), file:PATH and NAME:PATH")
    }
    let rest = text.dropFirst(scheme.count + 3)
    guard !URLText.hasSlashInPassword(rest) else {
      throw Failure(.usage, "the URL has a / before its @", hint: "write a / in a user name or password as %2F, and an @ as %40")
    }
    let authority = try URLText.Authority(rest.prefix { $0 != "/" }, isServer: type.kind.hasServerInURL)
    let path = try URLText.decoded(rest.drop { $0 != "/" })
    guard type.kind.hasServerInURL else {
      guard authority.username == nil, authority.port == nil else {
        throw Failure(.usage, "\(URLText.redacted(text)) has more than a name after \(scheme)://", hint: "write \(scheme)://BUCKET/KEY")
      }
      return .url(type, Remote(), path: authority.host + path)
    }
    var remote = Remote(base: BaseURL(isSecure: isSecure, authority))
    remote.username = authority.username
    remote.password = authority.password.map { .value($0, origin: "the password in the URL") }
    if authority.username == nil, let variable = type.kind.tokenVariable, let value = getenv(variable) {
      // An empty variable is no token, as with other programs' variables.
      let token = String(cString: value)
      if !token.isEmpty { remote.token = .value(token, origin: variable) }
    }
    return .url(type, remote, path: path)
  }
}

private func isRegularFile(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.isRegularFile
}

/// The parts of a URL as far as sluice reads them. A `?` or `#` is a character of the path like others: an object's name may have one.
public enum URLText {
  /// What stands before `://`, if it looks like a scheme.
  static func scheme(of text: String) -> String? {
    guard let end = text.firstRange(of: "://") else { return nil }
    let scheme = text[..<end.lowerBound]
    guard let first = scheme.first, first.isASCII, first.isLetter else { return nil }
    return scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) } ? String(scheme) : nil
  }

  /// The text without the password of a URL, for messages and results. The user name stays: the netrc file may have its password.
  public static func redacted(_ text: String) -> String {
    guard let end = text.firstRange(of: "://") else { return text }
    let rest = text[end.upperBound...]
    let authority = hasSlashInPassword(rest) ? rest : rest.prefix { $0 != "/" }
    guard let at = authority.lastIndex(of: "@") else { return text }
    let user = authority[..<at].prefix { $0 != ":" }
    return String(text[..<end.upperBound] + user + text[at...])
  }

  /// As `redacted`, and without a user name that has no password: many a token is written there.
  public static func redactedWhole(_ text: String) -> String {
    let redacted = redacted(text)
    guard redacted == text, let start = text.firstRange(of: "://")?.upperBound else { return redacted }
    guard let at = text[start...].prefix(while: { $0 != "/" }).lastIndex(of: "@") else { return text }
    return text[..<start] + "*" + text[at...]
  }

  /// Where a redirect leads, for messages: its query may be a signature that lets everybody in.
  static func redactedTarget(_ text: String) -> String {
    let target = text.prefix { $0 != "?" && $0 != "#" }
    return redactedWhole(String(target)) + (target.count < text.count ? "?…" : "")
  }

  /// Whether a slash that belongs to a password ends the authority too early: what stands before it has no `@` and ends in something that
  /// is no port, and an `@` comes later.
  ///
  /// - Parameter rest: what follows `://`.
  static func hasSlashInPassword(_ rest: Substring) -> Bool {
    let authority = rest.prefix { $0 != "/" }
    guard !authority.hasPrefix("["), !authority.contains("@"), let colon = authority.firstIndex(of: ":") else { return false }
    return UInt16(authority[colon...].dropFirst()) == nil && rest.dropFirst(authority.count).contains("@")
  }

  /// The UTF-8 of a path with everything but `A-Z a-z 0-9 - . _ ~ /` percent-encoded.
  static func encoded(_ path: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var result = ""
    for byte in path.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "/"):
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
      }
    }
    return result
  }

  /// Percent-decodes once.
  ///
  /// - Parameter mayControl: whether control characters may come of it, as in what a server says that it has.
  /// - Throws: `usage` for an escape that is none, bytes that are no UTF-8, or a control character.
  static func decoded(_ text: Substring, mayControl: Bool = false) throws(Failure) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16), digits.first != UInt8(ascii: "+")
      else {
        throw Failure(
          .usage, "%\(String(decoding: digits, as: UTF8.self)) in \(text) is no percent escape", hint: "write a literal % in a URL as %25")
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let decoded = String(validating: bytes, as: UTF8.self) else {
      throw Failure(.usage, "\(text) is not UTF-8 when its escapes are decoded")
    }
    guard mayControl || decoded.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
      throw Failure(.usage, "the path has a control character in it")
    }
    return decoded
  }

  /// `[USER[:PASSWORD]@]HOST[:PORT]`.
  struct Authority {
    let username: String?
    let password: String?
    /// Without the brackets of an IPv6 address; a name in its ASCII form.
    let host: String
    /// Of a link-local IPv6 address: the interface that it is for, `eth0` (RFC 6874).
    let zone: String?
    let port: Int?

    /// - Parameter isServer: false if the host is no name of a server, but of a bucket.
    init(_ text: Substring, isServer: Bool = true) throws(Failure) {
      let at = text.lastIndex(of: "@")
      let credentials = at.map { text[..<$0] }
      let user = credentials?.prefix { $0 != ":" }
      username = try user.map { (text) throws(Failure) in try URLText.decoded(text) }
      if let credentials, let user, user.count < credentials.count {
        password = try URLText.decoded(credentials.dropFirst(user.count + 1))
      } else {
        password = nil
      }
      var address = at.map { text[text.index(after: $0)...] } ?? text
      let name: Substring
      if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
        let inside = address[address.index(after: address.startIndex)..<end]
        name = inside.prefix { $0 != "%" }
        zone = try Authority.zone(inside.dropFirst(name.count))
        address = address[address.index(after: end)...]
      } else {
        name = address.prefix { $0 != ":" }
        zone = nil
        address = address.drop { $0 != ":" }
      }
      host = isServer ? try IDNA.ascii(String(name)) : String(name)
      guard !host.isEmpty, host.allSatisfy({ !" /\\?#<>\"{}|^`%".contains($0) }) else {
        throw Failure(.usage, "the URL has no valid host")
      }
      if address.isEmpty {
        port = nil
      } else {
        guard address.first == ":", let number = UInt16(address.dropFirst()), number > 0 else {
          throw Failure(.usage, "the URL has no valid port after its host \(host)")
        }
        port = Int(number)
      }
    }

    /// - Parameter text: `%25eth0`, or `%eth0` as people write it; nothing if there is none.
    private static func zone(_ text: Substring) throws(Failure) -> String? {
      guard !text.isEmpty else { return nil }
      let name = text.hasPrefix("%25") && text.count > 3 ? text.dropFirst(3) : text.dropFirst()
      guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._~".contains($0)) }) else {
        throw Failure(.usage, "the URL has no valid zone after its IPv6 address", hint: "write [fe80::1%25eth0]")
      }
      return String(name)
    }
  }
}

import BytePath

/// The file of user names and passwords that ftp, curl and others read: `~/.netrc`, or the one that `NETRC` names.
struct Netrc: Sendable {
  struct Entry: Sendable, Equatable {
    /// Nil for `default`, which stands for every other server.
    var machine: String?
    var login: String?
    var password: String?
  }

  let entries: [Entry]

  /// The first entry for the host that has a user name.
  ///
  /// - Parameter login: the user name, if it is known already.
  func entry(for host: String, login: String? = nil) -> Entry? {
    entries.first { entry in
      guard let name = entry.login, entry.machine == nil || entry.machine?.lowercased() == host.lowercased() else { return false }
      return login == nil || login == name
    }
  }

  /// What stands in the file for the host. A file that is not there says nothing, and one that others can read is warned of if it is used.
  static func lookUp(_ host: String, login: String?, warn: @Sendable (String) -> Void) -> Entry? {
    guard let path = path else { return nil }
    do throws(SystemError) {
      let file = try Descriptor.open(path, O_RDONLY)
      let status = try file.status()
      guard let entry = Netrc(parsing: String(decoding: try file.contents(limit: 1 << 20), as: UTF8.self)).entry(for: host, login: login)
      else { return nil }
      if status.isRegularFile, status.st_mode & 0o077 != 0 { warn("others can read the passwords in \(path); chmod 600 \(path)") }
      return entry
    } catch {
      if error.code != ENOENT, error.code != ENOTDIR { warn("cannot read \(path): \(error.words)") }
      return nil
    }
  }

  static var path: String? {
    if let named = getenv("NETRC"), named.pointee != 0 { return expandingHome(String(cString: named)) }
    return getenv("HOME").map { String(cString: $0) + "/.netrc" }
  }
}

extension Netrc {
  /// Words, in quotes where they have blanks, as curl reads them. What is not known is passed over, as this file is for many programs.
  init(parsing text: String) {
    var entries: [Entry] = []
    var rest = text.withoutByteOrderMark.replacing("\r\n", with: "\n")[...]
    while let word = Netrc.word(&rest) {
      switch word {
      case "machine": entries.append(Entry(machine: Netrc.word(&rest) ?? ""))
      case "default": entries.append(Entry())
      case "login": Netrc.set(\.login, Netrc.word(&rest), in: &entries)
      case "password": Netrc.set(\.password, Netrc.word(&rest), in: &entries)
      case "account": _ = Netrc.word(&rest)
      case "macdef":
        // A macro ends with an empty line.
        rest = rest.firstRange(of: "\n\n").map { rest[$0.upperBound...] } ?? ""
      case _ where word.hasPrefix("#"): rest = rest.drop { !$0.isNewline }
      default: break
      }
    }
    self.entries = entries
  }

  private static func set(_ key: WritableKeyPath<Entry, String?>, _ value: String?, in entries: inout [Entry]) {
    guard let last = entries.indices.last else { return }
    entries[last][keyPath: key] = value
  }

  private static func word(_ rest: inout Substring) -> String? {
    rest = rest.drop(while: \.isWhitespace)
    guard rest.first == "\"" else {
      let word = rest.prefix { !$0.isWhitespace }
      rest = rest.dropFirst(word.count)
      return word.isEmpty ? nil : String(word)
    }
    rest = rest.dropFirst()
    var text = ""
    while let character = rest.popFirst(), character != "\"" {
      guard character == "\\", let escaped = rest.popFirst() else {
        text.append(character)
        continue
      }
      text.append(["n": "\n", "r": "\r", "t": "\t"][escaped] ?? escaped)
    }
    return text
  }
}

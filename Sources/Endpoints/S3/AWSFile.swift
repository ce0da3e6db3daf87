import BytePath

/// A file such as `~/.aws/config`: `[section]`, `key = value`, and below a key without a value indented ones of its own, which are
/// read as `key.name` (docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
struct AWSFile: Sendable, Equatable {
  private static let sizeLimit = 1 << 20

  private var sections: [String: [String: String]] = [:]
  /// Nil for one that was not read from a file, or is not there.
  private var origin: Origin?

  private struct Origin: Equatable {
    let path: String
    let owner: FileOwner
  }

  static func configPath(_ environment: (String) -> String?) -> String { environment("AWS_CONFIG_FILE") ?? "~/.aws/config" }
  static func secretsPath(_ environment: (String) -> String?) -> String {
    environment("AWS_SHARED_CREDENTIALS_FILE") ?? "~/.aws/credentials"
  }

  init(_ text: String) {
    var section: String?
    var parent: String?
    for line in text.withoutByteOrderMark.split(whereSeparator: \.isNewline) {
      let isIndented = line.first?.isWhitespace == true
      let content = trimmed(line)
      if content.isEmpty || content.hasPrefix("#") || content.hasPrefix(";") { continue }
      if content.hasPrefix("["), let end = content.firstIndex(of: "]") {
        let words = content[..<end].dropFirst().split(maxSplits: 1, whereSeparator: \.isWhitespace).map { unquoted(trimmed($0)) }
        section = words.joined(separator: " ")
        parent = nil
        if let section, sections[section] == nil { sections[section] = [:] }
        continue
      }
      guard let section, let equals = content.firstIndex(of: "=") else { continue }
      let key = trimmed(content[..<equals]).lowercased()
      let value = String(trimmed(content[content.index(after: equals)...]))
      if isIndented, let parent {
        sections[section]?["\(parent).\(key)"] = value
      } else {
        parent = value.isEmpty ? key : nil
        sections[section]?[key] = value
      }
    }
  }

  /// - Parameter path: a file that need not be there.
  /// - Throws: `config` if it is there and can't be read.
  init(reading path: String) throws(Failure) {
    var bytes: [UInt8] = []
    var origin: Origin?
    do throws(SystemError) {
      let file = try Descriptor.open(expandingHome(path), O_RDONLY)
      origin = Origin(path: path, owner: FileOwner(try file.status().st_uid))
      bytes = try file.contents(limit: AWSFile.sizeLimit)
    } catch {
      guard error.code == ENOENT || error.code == ENOTDIR else { throw Failure(.config, "cannot read \(path): \(error.words)") }
    }
    self.init(String(decoding: bytes, as: UTF8.self))
    self.origin = origin
  }

  /// Why a command that a profile in this file names is not run; nil if it may be.
  func foreignCommand(of profile: String) -> Failure? {
    guard let origin, !origin.owner.mayNameCommands else { return nil }
    return Failure(
      .config, "\(origin.path) belongs to another user (uid \(origin.owner.id)) and names a command, for the profile \(profile)",
      hint: "look at it, and make it yours: chown \(geteuid()) \(origin.path)")
  }

  subscript(section: String) -> [String: String]? { sections[section] }
}

/// The name of a profile that has blanks stands in quotes.
private func unquoted(_ text: Substring) -> Substring {
  guard text.count > 1, let first = text.first, first == "\"" || first == "'", text.last == first else { return text }
  return text.dropFirst().dropLast()
}

private func trimmed(_ text: Substring) -> Substring {
  var text = text
  while text.first?.isWhitespace == true { text.removeFirst() }
  while text.last?.isWhitespace == true { text.removeLast() }
  return text
}

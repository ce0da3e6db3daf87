import BytePath

/// The part of YAML that a config file of this program needs: mappings by indentation, and scalars that are plain or quoted. Anything else is
/// refused with the line it is in, never guessed at.
///
/// Not a library, because those to be had link Foundation, which triples the size and the start-up time of the program, or add a shared
/// library to what a backup needs at three in the morning.
enum YAML {
  indirect enum Node: Equatable {
    case scalar(String)
    case mapping([String: Node])
  }

  /// What begins something else than a plain scalar.
  private static let special = "[]{},&*!|>%@`"

  private struct Line {
    let number: Int
    let indent: Int
    let key: String
    /// Nil if what follows the key is a mapping on the next lines.
    let value: String?
  }

  /// Reads a document whose root is a mapping.
  ///
  /// - Throws: `config` with the number of the first line that can't be read.
  static func parse(_ text: String) throws(Failure) -> Node {
    var lines: [Line] = []
    for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      if lines.isEmpty, raw == "---" { continue }
      if let line = try self.line(raw, number: index + 1) { lines.append(line) }
    }
    var rest = lines[...]
    let root = try mapping(&rest, indent: lines.first?.indent ?? 0)
    if let line = rest.first { throw failure(line.number, "it is indented less than the lines before") }
    return root
  }

  private static func failure(_ line: Int, _ reason: String) -> Failure {
    Failure(.config, "line \(line): \(reason)")
  }

  private static func mapping(_ lines: inout ArraySlice<Line>, indent: Int) throws(Failure) -> Node {
    var members: [String: Node] = [:]
    while let line = lines.first, line.indent >= indent {
      guard line.indent == indent else { throw failure(line.number, "it is indented more than the lines before") }
      lines.removeFirst()
      guard members[line.key] == nil else { throw failure(line.number, "\(line.key) stands here for the second time") }
      if let value = line.value {
        members[line.key] = .scalar(value)
      } else if let next = lines.first, next.indent > indent {
        members[line.key] = try mapping(&lines, indent: next.indent)
      } else {
        members[line.key] = .mapping([:])
      }
    }
    return .mapping(members)
  }

  private static func line(_ raw: Substring, number: Int) throws(Failure) -> Line? {
    let content = raw.drop { $0 == " " }
    guard let first = content.first, first != "#" else { return nil }
    if first == "\t" { throw failure(number, "a tab indents it; YAML allows blanks alone") }
    if first == "-" { throw failure(number, "lists are not used here") }
    if first == "?", content.dropFirst().first.map({ " \t\r".contains($0) }) ?? true {
      throw failure(number, "a key that starts with ? must be quoted")
    }
    var rest = content
    let key: String
    if first == "\"" || first == "'" {
      key = try quoted(&rest, number)
    } else {
      guard !special.contains(first) else { throw failure(number, "a key that starts with \(first) must be quoted") }
      let comment = content.firstRange(of: " #")?.lowerBound ?? content.endIndex
      guard let colon = content[..<comment].indices.first(where: { isMappingColon(content, $0) }) else {
        throw failure(number, "there is no \"key: value\"")
      }
      key = String(content[..<colon]).trimmingBlanks
      rest = content[colon...]
    }
    rest = rest.drop { $0 == " " }
    guard rest.popFirst() == ":" else { throw failure(number, "there is no colon after the key") }
    return Line(number: number, indent: raw.count - content.count, key: key, value: try value(rest, number))
  }

  private static func isMappingColon(_ text: Substring, _ index: Substring.Index) -> Bool {
    guard text[index] == ":" else { return false }
    let next = text.index(after: index)
    return next == text.endIndex || text[next] == " "
  }

  private static func value(_ text: Substring, _ number: Int) throws(Failure) -> String? {
    var rest = text.drop { $0 == " " }
    guard let first = rest.first, first != "#" else { return nil }
    if first == "\"" || first == "'" {
      let value = try quoted(&rest, number)
      let after = rest.drop { $0 == " " }
      guard after.isEmpty || after.first == "#" else { throw failure(number, "there is something after the closing quote") }
      return value
    }
    if special.contains(first) { throw failure(number, "a value that starts with \(first) must be quoted") }
    let end = rest.indices.first { rest[$0] == "#" && $0 > rest.startIndex && rest[rest.index(before: $0)] == " " } ?? rest.endIndex
    if rest[..<end].indices.contains(where: { isMappingColon(rest[..<end], $0) }) {
      throw failure(number, "a value with \": \" in it must be quoted")
    }
    return String(rest[..<end]).trimmingBlanks
  }

  /// Takes a quoted scalar from the front of `text`.
  private static func quoted(_ text: inout Substring, _ number: Int) throws(Failure) -> String {
    let quote = text.removeFirst()
    var result = ""
    while let character = text.popFirst() {
      if character == quote {
        guard quote == "'", text.first == "'" else { return result }
        text.removeFirst()
        result.append("'")
      } else if character == "\\", quote == "\"" {
        let escapes: [Character: Character] = ["\\": "\\", "\"": "\"", "/": "/", "n": "\n", "t": "\t"]
        guard let escaped = text.popFirst(), let meant = escapes[escaped] else { throw failure(number, "an escape in quotes is not known") }
        result.append(meant)
      } else {
        result.append(character)
      }
    }
    throw failure(number, "a quote is not closed")
  }
}

extension String {
  fileprivate var trimmingBlanks: String {
    var text = self[...]
    while text.last == " " || text.last == "\t" || text.last == "\r" { text.removeLast() }
    return String(text)
  }
}

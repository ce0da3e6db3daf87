/// One way in that a server offers: a scheme and its parameters (RFC 9110, 11.6.1).
struct AuthenticationChallenge: Sendable, Equatable {
  /// In lower case.
  var scheme: String
  /// Names in lower case.
  var parameters: [(name: String, value: String)] = []

  subscript(name: String) -> String? { parameters.first { $0.name == name }?.value }

  static func == (left: Self, right: Self) -> Bool {
    left.scheme == right.scheme && left.parameters.elementsEqual(right.parameters) { $0 == $1 }
  }

  /// Reads `WWW-Authenticate`, which may have several challenges. Commas stand between them and between their parameters alike, so a word
  /// that no `=` follows begins the next one.
  static func parse(_ header: String) -> [AuthenticationChallenge] {
    var challenges: [AuthenticationChallenge] = []
    var rest = header[...]
    while true {
      rest = rest.drop { $0 == "," || $0.isWhitespace }
      let word = rest.prefix { $0 != "=" && $0 != "," && !$0.isWhitespace }
      guard !word.isEmpty else { return challenges }
      rest = rest.dropFirst(word.count)
      let afterBlanks = rest.drop(while: \.isWhitespace)
      if afterBlanks.first == "=", let last = challenges.indices.last {
        rest = afterBlanks.dropFirst().drop(while: \.isWhitespace)
        challenges[last].parameters.append((word.lowercased(), value(&rest)))
      } else {
        challenges.append(AuthenticationChallenge(scheme: word.lowercased()))
        // A stray sign of a header that follows no rule is passed over.
        if rest.first == "=" { rest = rest.drop { $0 == "=" } }
      }
    }
  }

  /// A token, or a quoted string without its quotes and escapes.
  private static func value(_ rest: inout Substring) -> String {
    guard rest.first == "\"" else {
      let token = rest.prefix { $0 != "," && !$0.isWhitespace }
      rest = rest.dropFirst(token.count)
      return String(token)
    }
    rest = rest.dropFirst()
    var text = ""
    while let character = rest.popFirst(), character != "\"" {
      if character == "\\", let escaped = rest.popFirst() { text.append(escaped) } else { text.append(character) }
    }
    return text
  }
}

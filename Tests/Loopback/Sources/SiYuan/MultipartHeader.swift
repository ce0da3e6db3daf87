/// The header lines of a part, or the value of a Content-Type header.
struct MultipartHeader {
  let lines: [(String, String)]
  private let parameters: [(String, String)]

  /// The lines of a part, without the blank one at the end.
  init(part text: String) throws {
    var found: [(String, String)] = []
    for line in text.split(separator: "\r\n") {
      guard let colon = line.firstIndex(of: ":") else { throw MalformedForm() }
      found.append((String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " })))
    }
    lines = found
    parameters = found.first { $0.0.lowercased() == "content-disposition" }.map { Self.parameters(of: $0.1) } ?? []
  }

  init(_ value: String) {
    lines = []
    parameters = Self.parameters(of: value)
  }

  func parameter(_ name: String) -> String? { parameters.first { $0.0 == name }?.1 }

  /// A part without a file name is a plain field, whatever it is called.
  var isFile: Bool { parameter("filename") != nil || parameter("filename*") != nil }

  /// `name=value` and `name="value"` after the first semicolon; a backslash escapes within quotes.
  private static func parameters(of value: String) -> [(String, String)] {
    var found: [(String, String)] = []
    var rest = Substring(value)
    while let semicolon = rest.firstIndex(of: ";") {
      rest = rest[rest.index(after: semicolon)...].drop { $0 == " " || $0 == "\t" }
      guard let equals = rest.firstIndex(of: "=") else { break }
      let name = rest[..<equals].lowercased()
      rest = rest[rest.index(after: equals)...]
      var text = ""
      if rest.first == "\"" {
        rest.removeFirst()
        while let next = rest.popFirst(), next != "\"" {
          if next == "\\", let escaped = rest.popFirst() { text.append(escaped) } else { text.append(next) }
        }
      } else {
        text = String(rest.prefix { $0 != ";" && $0 != " " })
        rest = rest.dropFirst(text.count)
      }
      found.append((name, text))
    }
    return found
  }
}

/// The body is no multipart form, or not a whole one.
struct MalformedForm: Error {}

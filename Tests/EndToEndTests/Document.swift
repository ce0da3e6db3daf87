import Foundation
import Support

/// The documents of the repository, as the tests read them.
struct Document: Sendable {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..").standardized.path
  static let manual = Document("man/sluice.1")
  static let loopbackManual = Document("Tests/Loopback/sluice-loopback.1")
  static let readme = Document("README.md")

  let name: String
  let text: String

  init(_ name: String) {
    self.name = name
    text = (try? String(contentsOfFile: "\(Document.folder)/\(name)", encoding: .utf8)) ?? ""
  }

  var lines: [String] { text.components(separatedBy: "\n") }

  /// A section of a manual page, its heading left out.
  func section(_ title: String) -> [String] {
    let rest = lines.drop { $0 != ".Sh \(title)" }.dropFirst()
    return Array(rest.prefix { !$0.hasPrefix(".Sh ") })
  }

  /// The options that the items of a manual page's lists are about: `--gzip`, `-z`.
  var options: Set<String> {
    var found: Set<String> = []
    for line in lines where line.hasPrefix(".It ") {
      let words = line.split(separator: " ")
      for (word, next) in zip(words, words.dropFirst()) where word == "Fl" && next != "-" { found.insert("-\(next)") }
    }
    return found
  }

  /// What a person would type, of a manual page's EXAMPLES: what follows a `$ `, lines that end with a backslash joined.
  var manualExamples: [String] {
    let plain = section("EXAMPLES").map { Document.unescaped($0.hasPrefix(".Dl ") ? String($0.dropFirst(4)) : $0) }
    return Document.joined(plain).filter { $0.hasPrefix("$ ") }.map { String($0.dropFirst(2)) }
  }

  /// The literal texts of a manual page's EXAMPLES.
  var literalBlocks: [String] {
    section("EXAMPLES").split { $0 == ".Ed" }.compactMap { lines in
      guard let start = lines.firstIndex(where: { $0.hasPrefix(".Bd -literal") }) else { return nil }
      return lines[(start + 1)...].map { Document.unescaped($0) + "\n" }.joined()
    }
  }

  private static func unescaped(_ line: String) -> String {
    line.replacing("\\(aq", with: "'").replacing("\\(dq", with: "\"").replacing("\\e", with: "\\")
  }

  /// The lines of the blocks of shell in a Markdown text.
  var markdownExamples: [String] {
    var inBlock = false
    var found: [String] = []
    for line in lines {
      if line.hasPrefix("```") {
        inBlock = line == "```sh"
      } else if inBlock, !line.isEmpty, !line.hasPrefix("#") {
        found.append(line)
      }
    }
    return Document.joined(found)
  }

  private static func joined(_ lines: [String]) -> [String] {
    var result: [String] = []
    var open = ""
    for line in lines {
      if line.hasSuffix("\\") {
        open += line.dropLast()
      } else {
        result.append(open + line.drop { !open.isEmpty && $0 == " " })
        open = ""
      }
    }
    return result
  }
}

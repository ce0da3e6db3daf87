/// JSON as it is written: compact, keys in the order in which they are added.
public struct JSONText: Sendable {
  private var members: [String] = []

  public init() {}

  /// Adds a member whose value is already JSON.
  public mutating func add(_ key: String, json: String?) {
    if let json { members.append("\(JSONText.quoted(key)):\(json)") }
  }

  public mutating func add(_ key: String, _ value: String?) {
    add(key, json: value.map(JSONText.quoted))
  }

  public mutating func add(_ key: String, _ value: Bool?) {
    add(key, json: value.map { $0 ? "true" : "false" })
  }

  public mutating func add(_ key: String, _ value: Int64?) {
    add(key, json: value.map { String($0) })
  }

  /// Seconds with three decimals and no more zeros than needed.
  public mutating func add(_ key: String, seconds value: Duration?) {
    guard let value else { return }
    let milliseconds = Int64(value.components.seconds) * 1000 + value.components.attoseconds / 1_000_000_000_000_000
    var fraction = String(milliseconds % 1000 + 1000).dropFirst()
    while fraction.last == "0", fraction.count > 1 { fraction.removeLast() }
    add(key, json: "\(milliseconds / 1000).\(fraction)")
  }

  /// The object.
  public var text: String { "{\(members.joined(separator: ","))}" }

  /// A JSON string. What a terminal or a reader of lines would obey is escaped; see `Unicode.Scalar.isObeyed`.
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.isObeyed:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// An array of strings.
  public static func array(_ strings: [String]) -> String { "[\(strings.map(quoted).joined(separator: ","))]" }
}

extension Unicode.Scalar {
  /// Whether a terminal, an editor or a reader of lines obeys it instead of showing it: control characters, those of C1 and DEL too, the ends
  /// of lines and paragraphs, and what turns the direction of writing or hides that text begins (UAX 9; U+FEFF). All are below U+10000.
  public var isObeyed: Bool {
    switch value {
    case 0..<0x20, 0x7f...0x9f, 0x61c, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x206f, 0xfeff, 0xfff9...0xfffb: true
    default: false
    }
  }
}

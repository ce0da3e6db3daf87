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

  /// A JSON string. Control characters are escaped, those of C1 and DEL too, so that a terminal obeys none.
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value):
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// An array of strings.
  public static func array(_ strings: [String]) -> String { "[\(strings.map(quoted).joined(separator: ","))]" }

  /// Valid JSON without the white space between its parts.
  public static func compacted(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = []
    var isInString = false
    var isEscaped = false
    for byte in bytes {
      if isInString {
        result.append(byte)
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
      } else if ![0x20, 0x09, 0x0a, 0x0d].contains(byte) {
        result.append(byte)
        isInString = byte == UInt8(ascii: "\"")
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}

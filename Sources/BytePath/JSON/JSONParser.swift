/// Reads JSON as RFC 8259 has it and nothing else: UTF-8 alone, no comma too many, no raw control characters, no numbers of other grammars.
///
/// Two liberties are taken, as the RFC leaves them open: a byte order mark at the beginning is ignored (8.1), and half of a surrogate pair
/// stands for U+FFFD (8.2). Of members with one name the last counts, as in Go and JavaScript.
struct JSONParser {
  /// Deeper nesting is no answer of any API, and would need a stack as deep.
  private static let deepest = 512

  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { place = 3 }
  }

  /// The value that is all there is; nil if that is not so.
  mutating func document() -> JSONValue? {
    guard let value = value(depth: 0) else { return nil }
    skipBlanks()
    return place == bytes.count ? value : nil
  }

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  private mutating func skipBlanks() {
    while let byte = next, [0x20, 0x0a, 0x0d, 0x09].contains(byte) { place += 1 }
  }

  /// Passes `text` if it stands here.
  private mutating func passes(_ text: StaticString) -> Bool {
    let end = place + text.utf8CodeUnitCount
    guard end <= bytes.count, bytes[place..<end].elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    else { return false }
    place = end
    return true
  }

  private mutating func value(depth: Int) -> JSONValue? {
    guard depth < JSONParser.deepest else { return nil }
    skipBlanks()
    switch next {
    case UInt8(ascii: "{"): return object(depth: depth)
    case UInt8(ascii: "["): return array(depth: depth)
    case UInt8(ascii: "\""): return string().map { .string($0) }
    case UInt8(ascii: "t"): return passes("true") ? .bool(true) : nil
    case UInt8(ascii: "f"): return passes("false") ? .bool(false) : nil
    case UInt8(ascii: "n"): return passes("null") ? .null : nil
    default: return number()
    }
  }

  private mutating func array(depth: Int) -> JSONValue? {
    place += 1
    var values: [JSONValue] = []
    skipBlanks()
    if passes("]") { return .array([]) }
    while let value = value(depth: depth + 1) {
      values.append(value)
      skipBlanks()
      if passes("]") { return .array(values) }
      guard passes(",") else { return nil }
    }
    return nil
  }

  private mutating func object(depth: Int) -> JSONValue? {
    place += 1
    var members: [JSONValue.Member] = []
    // Strings are the same for Swift if they look the same; names are if their bytes are.
    var places: [[UInt8]: Int] = [:]
    skipBlanks()
    if passes("}") { return .object([]) }
    while true {
      skipBlanks()
      guard next == UInt8(ascii: "\""), let key = string() else { return nil }
      skipBlanks()
      guard passes(":"), let value = value(depth: depth + 1) else { return nil }
      let known = places.updateValue(members.count, forKey: Array(key.utf8))
      if let known {
        members[known].value = value
        places[Array(key.utf8)] = known
      } else {
        members.append(JSONValue.Member(key, value))
      }
      skipBlanks()
      if passes("}") { return .object(members) }
      guard passes(",") else { return nil }
    }
  }

  private mutating func string() -> String? {
    place += 1
    var content: [UInt8] = []
    while let byte = next, byte >= 0x20 {
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return String(validating: content, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let scalar = escaped() else { return nil }
        content += Array(String(scalar).utf8)
      default: content.append(byte)
      }
    }
    return nil
  }

  /// What stands behind a backslash.
  private mutating func escaped() -> Unicode.Scalar? {
    defer { place += 1 }
    switch next {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      guard let unit = unit(at: place + 1) else { return nil }
      place += 4
      guard (0xd800...0xdbff).contains(unit), bytes.dropFirst(place + 1).starts(with: Array("\\u".utf8)),
        let low = self.unit(at: place + 3),
        (0xdc00...0xdfff).contains(low)
      else { return Unicode.Scalar(unit) ?? "\u{fffd}" }
      place += 6
      return Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
    default: return nil
    }
  }

  /// Four hexadecimal digits.
  private func unit(at start: Int) -> UInt32? {
    guard start + 4 <= bytes.count else { return nil }
    var unit: UInt32 = 0
    for byte in bytes[start..<start + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else { return nil }
      unit = unit << 4 | UInt32(digit)
    }
    return unit
  }

  /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`, and not beyond what a `Double` reaches: many readers take no such number (6).
  private mutating func number() -> JSONValue? {
    let start = place
    _ = passes("-")
    guard passes("0") || passesDigits() else { return nil }
    if passes("."), !passesDigits() { return nil }
    if passes("e") || passes("E") {
      _ = passes("+") || passes("-")
      guard passesDigits() else { return nil }
    }
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    return Double(text)?.isFinite == true ? .number(text) : nil
  }

  private mutating func passesDigits() -> Bool {
    let start = place
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
    return place > start
  }
}

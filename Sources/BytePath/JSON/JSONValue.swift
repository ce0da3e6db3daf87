/// JSON: read from servers and plugins (`JSONParser`), made of what the program knows, and printed in one way (`JSONWriter.swift`).
///
/// What is printed is the value, never the bytes it came in, so that nothing of them can end a line or reach a terminal. Numbers keep the
/// text that their writer gave them, as no type of number holds all of them, and members keep their order.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// Its text, which is as RFC 8259 has it.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  public struct Member: Sendable, Equatable {
    public var key: String
    public var value: JSONValue

    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// Nil if the bytes are not one whole JSON value in UTF-8; see `JSONParser`.
  public init?(parsing bytes: [UInt8]) {
    var parser = JSONParser(bytes)
    guard let value = parser.document() else { return nil }
    self = value
  }

  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  public var string: String? {
    guard case .string(let value) = self else { return nil }
    return value
  }

  /// Nil for what is no whole number, or none that fits.
  public var integer: Int64? {
    guard case .number(let text) = self else { return nil }
    if let value = Int64(text) { return value }
    // `200.0` and `2e2` are whole too; from 2^53 on a `Double` is not exact.
    guard let value = Double(text), abs(value) <= 9_007_199_254_740_992 else { return nil }
    return Int64(exactly: value)
  }

  /// Nil for what is no number, or none that fits.
  public var number: Double? {
    guard case .number(let text) = self, let value = Double(text), value.isFinite else { return nil }
    return value
  }

  public var bool: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  public var array: [JSONValue]? {
    guard case .array(let value) = self else { return nil }
    return value
  }

  public var isObject: Bool {
    guard case .object = self else { return false }
    return true
  }
}

/// Made of what the program knows. What is nil makes no value, and in an object no member.
extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByDictionaryLiteral {
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .number(String(value)) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }

  public init(dictionaryLiteral elements: (String, JSONValue?)...) {
    self = .object(elements.compactMap { key, value in value.map { Member(key, $0) } })
  }

  public init?(_ value: String?) {
    guard let value else { return nil }
    self = .string(value)
  }

  public init?(_ value: Bool?) {
    guard let value else { return nil }
    self = .bool(value)
  }

  public init?(_ value: (some BinaryInteger)?) {
    guard let value else { return nil }
    self = .number(String(value))
  }

  /// Seconds with three decimals and no more zeros than needed.
  public init?(seconds value: Duration?) {
    guard let value else { return nil }
    let milliseconds = Int64(value.components.seconds) * 1000 + value.components.attoseconds / 1_000_000_000_000_000
    var fraction = String(milliseconds % 1000 + 1000).dropFirst()
    while fraction.last == "0", fraction.count > 1 { fraction.removeLast() }
    self = .number("\(milliseconds / 1000).\(fraction)")
  }

  /// An array of strings.
  public init(_ strings: [String]) { self = .array(strings.map { .string($0) }) }
}

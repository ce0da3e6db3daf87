import BytePath

/// What others answered, as it goes into a result: their own JSON, or their text, cut.
enum ReportedAnswer {
  /// Up to how many bytes an answer that is JSON goes into a result.
  static let jsonLimit = 64 * 1024
  /// How many characters of another one do.
  private static let textLimit = 1000
  /// As many bytes as these characters can have.
  static let textByteLimit = 4 * textLimit

  /// Nil if it is no JSON object, or one that is too long.
  static func json(_ bytes: [UInt8]) -> JSONValue? {
    guard bytes.count <= jsonLimit, let value = JSONValue(parsing: bytes), value.isObject else { return nil }
    return value
  }

  /// `{"text": …}` with the beginning of what may be no UTF-8.
  static func text(_ bytes: [UInt8]) -> JSONValue {
    ["text": .string(String(String(decoding: bytes.prefix(textByteLimit), as: UTF8.self).unicodeScalars.prefix(textLimit)))]
  }
}

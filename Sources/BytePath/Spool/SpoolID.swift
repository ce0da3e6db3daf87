/// The IDs of spools: ULIDs (github.com/ulid/spec), 26 characters that sort by time.
enum SpoolID {
  private static let digits = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
  private static let endings: Set<Substring> = ["data", "fetch", "json", "json.new", "place", "place.new"]

  /// 48 bits of milliseconds and 80 random bits in Crockford's base 32.
  static func make() -> String {
    let milliseconds = millisecondsNow()
    let head = (0..<10).map { digits[Int(milliseconds >> (45 - 5 * $0) & 31)] }
    return String(head + (0..<16).map { _ in digits[Int.random(in: 0..<32)] })
  }

  /// When the ID was made, in milliseconds since 1970; nil if the text is none.
  static func milliseconds(of text: String) -> Int64? {
    guard isOne(text) else { return nil }
    return text.prefix(10).reduce(Int64(0)) { $0 << 5 | Int64(digits.firstIndex(of: $1) ?? 0) }
  }

  static func isOne(_ text: some StringProtocol) -> Bool {
    text.count == 26 && text.allSatisfy(digits.contains)
  }

  /// The ID in the name of a file of a spool; nil if the file is none.
  static func of(_ name: String) -> String? {
    let id = name.prefix { $0 != "." }
    return isOne(id) && endings.contains(name.dropFirst(id.count + 1)) ? String(id) : nil
  }
}

import BytePath
import FoundationEssentials

/// Moments as RFC 3339 writes them, and most APIs with it: `2026-01-31T12:00:00.123+01:00`.
public enum RFC3339 {
  /// Milliseconds since 1970; nil for any other text.
  public static func milliseconds(_ text: String) -> Int64? {
    var text = text.replacing(" ", with: "T").uppercased()
    var rest: Int64 = 0
    // Taken apart, because a `Date` holds no exact milliseconds, and what it holds would have to be rounded to the nearest one.
    if let point = text.firstIndex(of: ".") {
      let digits = text[text.index(after: point)...].prefix { $0.isASCII && $0.isNumber }
      guard let value = Int64((digits + "00").prefix(3)), !digits.isEmpty else { return nil }
      rest = value
      text.removeSubrange(point..<digits.endIndex)
    }
    guard let date = try? Date(text, strategy: .iso8601) else { return nil }
    return Int64(saturating: date.timeIntervalSince1970).multipliedSaturated(by: 1000).addingSaturated(rest)
  }

  /// The years 1 to 9999, in milliseconds since 1970.
  private static let writable: ClosedRange<Int64> = -62_135_596_800_000...253_402_300_799_999

  /// With three decimals and in UTC, so that texts have the order of the moments. Nil for a time that can't be written.
  ///
  /// - Parameter milliseconds: since 1970.
  public static func text(_ milliseconds: Int64) -> String? {
    guard writable.contains(milliseconds) else { return nil }
    let seconds = wholeSeconds(milliseconds)
    let date = Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601).dropLast()
    return "\(date).\(String(1000 + milliseconds - seconds * 1000).dropFirst())Z"
  }
}

import BytePath
import Endpoints

/// How progress is written.
enum ProgressLine {
  struct Parts {
    var name: String
    var figures: String
  }

  /// Name and figures in at most `columns` columns. The figures matter more; of a long name the end does, where the file's name is.
  static func fitted(_ parts: Parts, columns: Int) -> String {
    let name = Messages.printable(parts.name)
    let space = columns - width(parts.figures) - 2
    if width(name) <= space { return "\(name)  \(parts.figures)" }
    guard space >= 8 else { return cut(parts.figures, columns) }
    var tail = ""
    for character in name.reversed() {
      guard width(tail) + width(character) < space else { break }
      tail = String(character) + tail
    }
    return "…\(tail)  \(parts.figures)"
  }

  private static func cut(_ text: String, _ columns: Int) -> String {
    var result = ""
    for character in text {
      guard width(result) + width(character) <= columns else { break }
      result.append(character)
    }
    return result
  }

  /// Columns that a terminal gives the text.
  static func width(_ text: String) -> Int { text.reduce(0) { $0 + width($1) } }

  /// Two for what Unicode calls wide (UAX 11: CJK, kana, hangul, full-width forms) and for emoji, none for a combining mark alone.
  private static func width(_ character: Character) -> Int {
    guard let scalar = character.unicodeScalars.first else { return 0 }
    let wide: [ClosedRange<UInt32>] = [
      0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf, 0xac00...0xd7a3,
      0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1faff, 0x20000...0x3fffd,
    ]
    if wide.contains(where: { $0.contains(scalar.value) }) || scalar.properties.isEmojiPresentation { return 2 }
    return scalar.properties.generalCategory == .nonspacingMark ? 0 : 1
  }

  static func size(_ bytes: Int64) -> String {
    var value = Double(bytes)
    for unit in ["B", "KiB", "MiB", "GiB"] {
      if value < 1000 { return unit == "B" ? "\(bytes) B" : "\(oneDecimal(value)) \(unit)" }
      value /= 1024
    }
    return "\(oneDecimal(value)) TiB"
  }

  static func rate(_ bytesPerSecond: Double?) -> String {
    bytesPerSecond.map { "\(size(Int64(saturating: $0)))/s" } ?? ""
  }

  static func time(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 359_999))
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    return hours > 0 ? "\(hours):\(twoDigits(minutes)):\(twoDigits(rest))" : "\(minutes):\(twoDigits(rest))"
  }

  static func json(
    phase: String, destination: String?, _ bytes: Int64, total: Int64?, object: Int64?, _ rate: Double?, serverPercent: Int? = nil
  ) -> JSONValue {
    [
      "phase": .string(phase), "destination": JSONValue(destination), "bytes": JSONValue(bytes), "total": JSONValue(total),
      "object_bytes": JSONValue(object), "rate": JSONValue(rate.map { Int64(saturating: $0) }), "server_percent": JSONValue(serverPercent),
    ]
  }

  /// Bytes a second: the first figure stands for itself; after that each counts for a part that depends on how long it stands for.
  static func smoothed(_ rate: Double?, _ bytes: Int64, in seconds: Double) -> Double {
    let current = max(0, Double(bytes)) / seconds
    let weight = min(1, seconds / 2)
    return rate.map { $0 * (1 - weight) + current * weight } ?? current
  }

  static func terminalColumns() -> Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }

  private static func oneDecimal(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

/// Numbers of bytes as people write them.
public enum SizeText {
  /// `512`, `10k`, `1.5M`, `2GiB`: all units are powers of 1024. Nil for what is none.
  public static func bytes(_ text: some StringProtocol) -> Int64? {
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let value = Double(number), value.isFinite, number.first != "." else { return nil }
    let unit = text[number.endIndex...].lowercased()
    guard let power = ["", "k", "m", "g", "t"].firstIndex(where: { unit == $0 || (!$0.isEmpty && unit == "\($0)ib") }) else { return nil }
    let bytes = value * Double(1 << (10 * power))
    return bytes < 9e18 ? Int64(bytes) : nil
  }

  /// A round size of half as many bytes or less: `2M` for 5,000,000. Nil below two bytes.
  public static func round(below bytes: Int64) -> String? {
    var unit = bytes / 2
    var power = 0
    while unit >= 1024, power < 4 { (unit, power) = (unit / 1024, power + 1) }
    guard let digits = [500, 200, 100, 50, 20, 10, 5, 2, 1].first(where: { $0 <= unit }) else { return nil }
    return "\(digits)\(["", "k", "M", "G", "T"][power])"
  }
}

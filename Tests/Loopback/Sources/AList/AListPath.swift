/// Paths as AList reads them.
enum AListPath {
  /// The `File-Path` header: decoded once, then cleaned. Throws the middleware's refusals.
  static func fromHeader(_ header: String?, _ flavor: Flavor) throws -> String {
    try cleaned(unescaped(header ?? ""), flavor)
  }

  /// A plain path of a JSON body.
  static func cleaned(_ text: String, _ flavor: Flavor) throws -> String {
    let parts = text.split { $0 == "/" || $0 == "\\" }.filter { $0 != "." }
    guard !parts.contains("..") else {
      let words = "using relative path is not allowed"
      throw Refusal(AList.envelope(403, flavor == .openlist ? words : "access " + words))
    }
    return "/" + parts.joined(separator: "/")
  }

  static func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }

  static func name(_ path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }

  /// The path as a user means it whose root is `home`.
  static func below(_ home: String, _ path: String) -> String {
    path == "/" && !home.isEmpty ? home : home + path
  }

  static func joined(_ folder: String, _ name: String) -> String {
    folder == "/" ? "/" + name : folder + "/" + name
  }

  /// Go's `url.PathUnescape`: "+" stays, a bad escape is an error that names up to three characters of it.
  static func unescaped(_ text: String) throws -> String {
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    var index = 0
    while index < bytes.count {
      guard bytes[index] == UInt8(ascii: "%") else {
        out.append(bytes[index])
        index += 1
        continue
      }
      guard index + 2 < bytes.count, let high = hex(bytes[index + 1]), let low = hex(bytes[index + 2]) else {
        let bad = String(decoding: bytes[index..<min(index + 3, bytes.count)], as: UTF8.self)
        throw Refusal(AList.envelope(400, "invalid URL escape \"\(bad)\""))
      }
      out.append(high << 4 | low)
      index += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

import BytePath

/// `NAME.sha256` beside an object, in the format of `sha256sum -c` (GNU coreutils, "md5sum: The MD5 digest"; src/cksum.c, `split_3`).
enum SumFile {
  static let suffix = ".sha256"
  /// The most bytes of one that is read.
  static let limit: Int64 = 64 << 10

  /// The line for an object.
  ///
  /// - Parameter name: its base name.
  static func line(_ checksum: Checksum, _ name: String) -> String {
    var escaped = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\r": escaped += "\\r"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return "\(escaped.utf8.count == name.utf8.count ? "" : "\\")\(checksum.hex)  \(escaped)\n"
  }

  /// Reads what a file says of an object.
  ///
  /// - Parameters:
  ///   - name: of the object; the base name counts, as a file of sums is often moved together with what it is of.
  ///   - place: of the file, for messages.
  /// - Returns: nil for a web page, which some servers show for whatever they do not have.
  /// - Throws: `input` if it says nothing of the object, or has a line that is no sum.
  static func checksum(of name: String, in bytes: [UInt8], at place: String) throws(Failure) -> Checksum? {
    let hint = "make a new one, or say with --sha256 what the object must be"
    if bytes.first(where: { !isBlank($0) && $0 != UInt8(ascii: "\n") }) == UInt8(ascii: "<") { return nil }
    let wanted = base(of: Array(name.utf8)[...])
    var found: Set<Checksum> = []
    var others: [String] = []
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      let line = line.last == 0x0d ? line.dropLast() : line
      guard !line.allSatisfy(isBlank), line.first != UInt8(ascii: "#") else { continue }
      guard let (checksum, named) = parsed(line) else {
        throw Failure(.input, "\(place) is not in the format of sha256sum", hint: hint)
      }
      if named.map({ base(of: $0[...]).elementsEqual(wanted) }) ?? true {
        found.insert(checksum)
      } else if let named {
        others.append(String(decoding: named, as: UTF8.self))
      }
    }
    guard let checksum = found.first else {
      throw Failure(
        .input, "\(place) has no sum of \(String(decoding: wanted, as: UTF8.self))\(others.first.map { ", but of \($0)" } ?? "")",
        hint: hint)
    }
    guard found.count == 1 else { throw Failure(.input, "\(place) has two sums of \(name)", hint: hint) }
    return checksum
  }

  /// A line: `HEX  NAME`, `HEX *NAME`, or `SHA256 (NAME) = HEX` as of BSD, with a `\` before it if the name is escaped; or a sum alone.
  private static func parsed(_ line: ArraySlice<UInt8>) -> (Checksum, name: [UInt8]?)? {
    var line = line.drop(while: isBlank)
    let isEscaped = line.first == UInt8(ascii: "\\")
    if isEscaped { line = line.dropFirst() }
    let checksum: Checksum?
    var name: ArraySlice<UInt8>?
    if line.starts(with: Array("SHA256".utf8)) {
      let rest = line.dropFirst(6).drop(while: isBlank)
      guard rest.first == UInt8(ascii: "("), let end = rest.lastIndex(of: UInt8(ascii: ")")) else { return nil }
      name = rest[..<end].dropFirst()
      let equals = rest[end...].dropFirst().drop(while: isBlank)
      guard equals.first == UInt8(ascii: "=") else { return nil }
      checksum = hash(equals.dropFirst().drop(while: isBlank))
    } else {
      checksum = hash(line.prefix(64))
      let rest = line.dropFirst(64)
      if !rest.allSatisfy(isBlank) {
        guard let first = rest.first, isBlank(first) else { return nil }
        let isMarked = rest.dropFirst().first.map { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "*") } ?? false
        name = rest.dropFirst(isMarked ? 2 : 1)
      }
    }
    guard let checksum else { return nil }
    guard let name else { return isEscaped ? nil : (checksum, nil) }
    guard !name.isEmpty, let plain = isEscaped ? unescaped(name) : Array(name) else { return nil }
    return (checksum, plain)
  }

  private static func hash(_ digits: ArraySlice<UInt8>) -> Checksum? { Checksum(.sha256, hex: String(decoding: digits, as: UTF8.self)) }

  private static func unescaped(_ name: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = name
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      switch rest.popFirst() {
      case UInt8(ascii: "\\"): result.append(byte)
      case UInt8(ascii: "n"): result.append(0x0a)
      case UInt8(ascii: "r"): result.append(0x0d)
      default: return nil
      }
    }
    return result
  }

  /// The name without the folders before it.
  static func base(of name: String) -> String { String(decoding: base(of: Array(name.utf8)[...]), as: UTF8.self) }

  private static func base(of name: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    name.lastIndex(of: UInt8(ascii: "/")).map { name[($0 + 1)...] } ?? name
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}

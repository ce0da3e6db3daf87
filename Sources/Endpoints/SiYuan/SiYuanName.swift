import BytePath

/// Which new names SiYuan takes: those that its filter leaves as they are (kernel/util/file.go, FilterUploadFileName, 3.7.3). Names that exist
/// and names of parents are not asked for.
enum SiYuanName {
  private static let refused = Set("~[](){}!&=#%$;'\":*?<>|\\`".unicodeScalars)
  private static let longest = 189

  /// - Throws: `rejected` for a last component that the kernel would refuse.
  static func check(_ path: String) throws(Failure) {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    guard let reason = reason(against: name) else { return }
    throw Failure(.rejected, "SiYuan refuses new names \(reason): \(name)", hint: "choose another name")
  }

  /// What the filter would change; nil for a name that it takes.
  private static func reason(against name: String) -> String? {
    let scalars = name.unicodeScalars
    if let bad = scalars.first(where: refused.contains) { return "with \(bad) in them" }
    if let bad = scalars.first(where: isInvisible) {
      let number = String(bad.value, radix: 16, uppercase: true)
      return "with the invisible character U+\(String(repeating: "0", count: max(4 - number.count, 0)))\(number) in them"
    }
    if scalars.first.map(isBlank) == true || scalars.last.map(isBlank) == true { return "that begin or end with a blank" }
    if scalars.last == "." { return "that end with a dot" }
    return isTooLong(name) ? "as long as this, which has \(name.utf8.count) bytes" : nil
  }

  /// The plain one and the wide one of Chinese are taken within a name.
  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\u{3000}" }

  /// Other spaces, joiners, marks of direction and the like, and private characters. Characters that Unicode has not assigned are
  /// left to the kernel, whose tables may be newer.
  private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .lineSeparator, .paragraphSeparator: true
    case .spaceSeparator: !isBlank(scalar)
    default: false
    }
  }

  /// The length of the extension counts twice, but for names of exactly the longest length, which come out of the cut as they went in
  /// (TruncateLenFileName). Of the page of a PDF as a picture the kernel leaves room for two extensions.
  private static func isTooLong(_ name: String) -> Bool {
    let count = name.utf8.count
    let extensionCount = name.utf8.lastIndex(of: UInt8(ascii: ".")).map { name.utf8[$0...].count } ?? 0
    if isPageOfPDF(name) { return count > longest - 2 * extensionCount }
    return count > longest - extensionCount && !(count == longest && extensionCount > 0)
  }

  /// Whether a name ends as in `P1-270-20260113113402-prc0u4k.png`: with an angle, a moment and an ID.
  private static func isPageOfPDF(_ name: String) -> Bool {
    let parts = name.split(separator: "-", omittingEmptySubsequences: false).suffix(3)
    guard parts.count == 3, let angle = parts.first?.last, let id = parts.last, id.hasSuffix(".png") else { return false }
    let moment = parts[parts.startIndex + 1]
    return isDigit(angle) && moment.utf8.count == 14 && moment.allSatisfy(isDigit) && id.utf8.count == 7 + ".png".utf8.count
      && id.dropLast(".png".count).allSatisfy { isDigit($0) || $0.isASCII && $0.isLetter }
  }

  private static func isDigit(_ character: Character) -> Bool { character.isASCII && character.isNumber }
}

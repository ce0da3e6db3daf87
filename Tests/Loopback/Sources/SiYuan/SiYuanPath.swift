/// Paths and names as SiYuan reads them.
enum SiYuanPath {
  /// The path below the workspace, "/" for the workspace itself. Nil if it leads out of it.
  static func inWorkspace(_ text: String) -> String? {
    var parts: [Substring] = []
    for part in text.split(separator: "/") where part != "." {
      if part == ".." {
        guard parts.popLast() != nil else { return nil }
      } else {
        parts.append(part)
      }
    }
    return "/" + parts.joined(separator: "/")
  }

  /// The upload-name filter (util/file.go, FilterUploadFileName): a name that it would change is refused.
  static func isAllowed(_ name: String) -> Bool {
    let scalars = name.unicodeScalars
    let refused = "~[](){}!&=#%$;'\":*?<>|\\/`".unicodeScalars
    guard !scalars.contains(where: { refused.contains($0) || !isPrintable($0) }) else { return false }
    guard let first = scalars.first, let last = scalars.last else { return true }
    guard !first.properties.isWhitespace, !last.properties.isWhitespace, last != "." else { return false }
    return truncated(name) == name
  }

  /// As Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols, and the one blank of ASCII; and the wide one of Chinese.
  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: scalar == " " || scalar == "\u{3000}"
    default: true
    }
  }

  /// What the filter makes of a long name: the beginning, as far as there is room for it and the end, and the end.
  private static func truncated(_ name: String) -> String {
    let end = name.lastIndex(of: ".").map { String(name[$0...]) } ?? ""
    var (beginning, kept, room) = (name, end, 189 - end.utf8.count)
    var isPage = false
    if end == ".png", let page = name.firstMatch(of: #/-?P?[0-9]{0,4}-?[0-9]{1,3}-[0-9]{14}-[0-9a-zA-Z]{7}\.png$/#) {
      (kept, isPage) = (String(page.output), true)
      room -= kept.utf8.count + end.utf8.count
      beginning.removeLast(kept.count)
    }
    var taken = String.UnicodeScalarView()
    var count = 0
    for scalar in beginning.unicodeScalars {
      count += scalar.utf8.count
      guard count <= room else { return String(taken) + kept }
      taken.append(scalar)
    }
    return isPage ? String(taken) + kept : String(taken)
  }
}

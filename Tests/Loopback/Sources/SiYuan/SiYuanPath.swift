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

  /// A name that the filter would change is refused where there is nothing yet.
  static func isAllowed(_ name: String) -> Bool { filtered(name) == name }

  /// The name of an asset (kernel/util/file.go, AssetName): with the ID that stands at its end already, or with a new one.
  static func assetName(_ name: String) -> String {
    let id = id(of: name) ?? "20260101000000-" + String((0..<7).map { _ in "0123456789abcdefghijklmnopqrstuvwxyz".randomElement() ?? "0" })
    var (stem, end) = halves(filtered(name))
    end = end.lowercased()
    return self.id(of: stem + end) == nil ? "\(stem)-\(id)\(end)" : stem + end
  }

  private static func id(of name: String) -> String? {
    halves(name).stem.firstMatch(of: #/[0-9]{14}-[0-9a-z]{7}$/#).map { String($0.output) }
  }

  private static func halves(_ name: String) -> (stem: String, end: String) {
    guard let dot = name.lastIndex(of: "."), name[dot...] != "." else { return (name, "") }
    return (String(name[..<dot]), String(name[dot...]))
  }

  /// What the filter makes of an upload's name (util/file.go, FilterUploadFileName).
  private static func filtered(_ name: String) -> String {
    let replaced = Set("\\/:*?\"'<>|".unicodeScalars)
    let removed = Set("~[]()!`&{}=#%$;".unicodeScalars)
    var rest = Substring.UnicodeScalarView(name.unicodeScalars.compactMap { replaced.contains($0) ? "_" : isPrintable($0) ? $0 : nil })
    while rest.first?.properties.isWhitespace == true { rest.removeFirst() }
    while rest.last?.properties.isWhitespace == true { rest.removeLast() }
    if rest.last == "." { rest.removeLast() }
    rest.removeAll(where: removed.contains)
    return truncated(String(rest))
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

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

  /// The upload-name filter (util/file.go:215): a name that it would change is refused.
  static func isAllowed(_ name: String) -> Bool {
    let refused = "~[](){}!&=#%$;'\":*?<>|\\/`"
    return name.utf8.count <= 189 && !name.hasSuffix(".")
      && !name.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f || refused.unicodeScalars.contains($0) }
  }
}

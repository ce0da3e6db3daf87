import BytePath

/// Which new names SiYuan takes (kernel/util/file.go, 3.7.3). Names that exist and names of parents are not asked for.
enum SiYuanName {
  private static let refused = Set("~[](){}!&=#%$;'\":*?<>|\\`".unicodeScalars)
  private static let longest = 189

  /// - Throws: `rejected` for a last component that the kernel would refuse.
  static func check(_ path: String) throws(Failure) {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    if let bad = name.unicodeScalars.first(where: refused.contains) {
      throw Failure(.rejected, "SiYuan refuses new names with \(bad) in them: \(name)", hint: "choose another name")
    }
    if name.hasSuffix(".") {
      throw Failure(.rejected, "SiYuan refuses new names that end with a dot: \(name)", hint: "choose another name")
    }
    if name.utf8.count > longest {
      throw Failure(.rejected, "SiYuan refuses new names of more than \(longest) bytes: \(name)", hint: "choose a shorter name")
    }
  }
}

/// A name beside `path` for an object that is not whole yet: `.NAME.sluice-`, of a NAME with a dot at its start without another, and eight random characters, at most 255 bytes, which is what
/// most file systems allow. The dot hides it from listings and from the patterns of shells.
func temporaryName(beside path: String) -> String {
  let digits = Array("0123456789abcdefghjkmnpqrstvwxyz")
  let ending = ".sluice-" + String((0..<8).map { _ in digits[Int.random(in: 0..<32)] })
  let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
  // Two dots at its start would be taken for a relative path by some servers.
  var name = path[slash...].hasPrefix(".") ? "" : "."
  for character in path[slash...] {
    guard name.utf8.count + String(character).utf8.count + ending.utf8.count <= 255 else { break }
    name.append(character)
  }
  return path[..<slash] + name + ending
}

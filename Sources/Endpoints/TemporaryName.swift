/// The path of a name beside `path` for what is not whole yet: `.NAME.sluice-RANDOM`, with a new random part each time. Of a long name only
/// the beginning is in it, so that it has 255 bytes at the most, as file systems want it.
func temporaryName(beside path: String) -> String {
  let suffix = temporaryMark + String(UInt64.random(in: 0 ... .max), radix: 36)
  let slash = path.lastIndex(of: "/")
  let folder = slash.map { path[...$0] } ?? ""
  var name = path[(slash.map { path.index(after: $0) } ?? path.startIndex)...]
  while name.utf8.count + suffix.utf8.count + 1 > 255 { name.removeLast() }
  return "\(folder).\(name)\(suffix)"
}

/// Whether `path` can be one that `temporaryName(beside:)` gave for `target`, so that it may be removed.
func isTemporaryName(_ path: String, beside target: String) -> Bool {
  let folder = target.prefix(through: target.lastIndex(of: "/") ?? target.startIndex)
  guard path.hasPrefix(folder + ".") else { return false }
  let name = path.dropFirst(folder.count)
  return !name.contains("/") && name.contains(temporaryMark)
}

private let temporaryMark = ".sluice-"

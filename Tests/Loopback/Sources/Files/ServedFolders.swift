/// The folder below which everything is stored: `alist/`, `siyuan/`, `plain/`, and `incoming/` for bodies under way.
struct ServedFolders: Sendable {
  let alist: Folder
  let siyuan: Folder
  let plain: Folder
  let incoming: Folder
  private let root: Folder
  private let isTemporary: Bool

  init(root given: String?) throws {
    if let given {
      root = Folder(given.count > 1 && given.hasSuffix("/") ? String(given.dropLast()) : given)
      isTemporary = false
    } else {
      var template = Array((Self.temporaryParent + "/sluice-loopback.XXXXXX").utf8CString)
      guard mkdtemp(&template) != nil else { throw FileError("mkdtemp", Self.temporaryParent) }
      root = Folder(String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
      isTemporary = true
    }
    alist = root.below("alist")
    siyuan = root.below("siyuan")
    plain = root.below("plain")
    incoming = root.below("incoming")
    for folder in ["alist", "siyuan/data", "siyuan/temp", "plain", "incoming"] { try root.makeDirectories("/" + folder) }
  }

  func removeIfTemporary() {
    // Called at the end of the process: nothing can be done about a folder that stays.
    if isTemporary { try? root.remove("") }
  }

  private static var temporaryParent: String {
    guard let value = getenv("TMPDIR") else { return "/tmp" }
    return String(cString: value)
  }
}

#if os(Linux)
  import CFiles
#endif

/// Who owns a file and who may do what with it, so that a file that takes its place is nobody's gain.
public struct FileAccess: Sendable {
  private let owner: uid_t
  private let group: gid_t
  private let mode: mode_t
  /// The access control list as the kernel hands it out; nil if the file has none.
  private let list: [UInt8]?

  /// That of an open file.
  public init(of file: Descriptor) throws(SystemError) {
    self.init(try file.status(), list: FileAccess.list { getList(file.raw, $0, $1) })
  }

  /// That of the file at `path`, which is no link.
  public init(at path: String, _ status: stat) {
    self.init(status, list: FileAccess.list { getList(path, $0, $1) })
  }

  private init(_ status: stat, list: [UInt8]?) {
    owner = status.st_uid
    group = status.st_gid
    mode = status.st_mode & 0o777
    self.list = list
  }

  /// Gives `file` the owner, the group and the rights. The bits that lend the owner's or the group's power do not come along: they were meant for
  /// other bytes.
  ///
  /// Where owner or group can't be given, as only root can give all of them, those whom the file then belongs to, and those whom it does not
  /// belong to any more, get no more than they had.
  ///
  /// - Throws: what `fstat` fails with.
  public func apply(to file: Descriptor) throws(SystemError) {
    var status = try file.status()
    if status.st_uid != owner || status.st_gid != group {
      if fchown(file.raw, owner, group) != 0 { _ = fchown(file.raw, uid_t.max, group) }
      status = try file.status()
    }
    let (keepsOwner, keepsGroup) = (status.st_uid == owner, status.st_gid == group)
    // The folder may have given it a list of its own.
    removeList(file.raw)
    var mode = FileAccess.mode(mode, keepsOwner: keepsOwner, keepsGroup: keepsGroup)
    // With a list, the mode's bits for the group are those of everybody whom the list names.
    if list != nil { mode &= 0o700 }
    _ = fchmod(file.raw, mode)
    if let list, keepsOwner, keepsGroup { setList(file.raw, list) }
  }

  /// The bits that leave nobody with more than those of `mode` gave him.
  static func mode(_ mode: mode_t, keepsOwner: Bool, keepsGroup: Bool) -> mode_t {
    let owner = mode >> 6 & 7
    var (group, others) = (mode >> 3 & 7, mode & 7)
    if !keepsGroup { (group, others) = (group & others, group & others) }
    // The owner of before is one of the group or of the others now.
    if !keepsOwner { (group, others) = (group & owner, others & owner) }
    return owner << 6 | group << 3 | others
  }

  private static func list(_ get: (UnsafeMutableRawPointer?, Int) -> Int) -> [UInt8]? {
    let size = get(nil, 0)
    guard size > 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: size)
    let count = bytes.withUnsafeMutableBytes { get($0.baseAddress, $0.count) }
    // One that can't be read is there all the same: without it, nobody but the owner keeps anything.
    return Array(bytes.prefix(max(count, 0)))
  }
}

// The lists of POSIX.1e, which Linux keeps as an extended attribute (acl(5), xattr(7)).
#if os(Linux)
  private let listName = "system.posix_acl_access"

  private func getList(_ file: CInt, _ bytes: UnsafeMutableRawPointer?, _ size: Int) -> Int { fgetxattr(file, listName, bytes, size) }
  private func getList(_ path: String, _ bytes: UnsafeMutableRawPointer?, _ size: Int) -> Int { getxattr(path, listName, bytes, size) }
  private func setList(_ file: CInt, _ bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes { fsetxattr(file, listName, $0.baseAddress, $0.count, 0) }
  }
  private func removeList(_ file: CInt) { _ = fremovexattr(file, listName) }
#else
  private func getList(_ file: CInt, _ bytes: UnsafeMutableRawPointer?, _ size: Int) -> Int { 0 }
  private func getList(_ path: String, _ bytes: UnsafeMutableRawPointer?, _ size: Int) -> Int { 0 }
  private func setList(_ file: CInt, _ bytes: [UInt8]) {}
  private func removeList(_ file: CInt) {}
#endif

/// Where a path leads: the links at its end followed, also the last one of a chain that leads to nothing, as `open` with `O_CREAT` follows it.
public struct FilePlace: Sendable {
  /// No link, though links may be in its folder.
  public let path: String
  /// The path of the folder.
  public let folder: String
  /// What is there; nil if nothing is.
  public let status: stat?

  private let folderStatus: stat?

  /// - Throws: `rejected` for a link that leads in a circle or to a name that is not UTF-8, or that another user has left in a sticky folder.
  public init(_ path: String) throws(Failure) {
    var path = path
    // As many as the kernel follows.
    for _ in 0..<40 {
      let folder = FilePlace.folder(of: path)
      let folderStatus = fileStatus(folder)
      var status = stat()
      let isThere = lstat(path, &status) == 0
      guard isThere, status.isLink else {
        self.path = path
        self.folder = folder
        self.status = isThere ? status : nil
        self.folderStatus = folderStatus
        return
      }
      if let folderStatus, status.isTrap(in: folderStatus) { throw FilePlace.foreign("the link \(path)", status) }
      guard let target = FilePlace.target(of: path) else {
        throw Failure(.rejected, "the link \(path) leads to a name that is not UTF-8")
      }
      path = target.hasPrefix("/") ? target : folder == "/" ? "/\(target)" : "\(folder)/\(target)"
    }
    throw Failure(.rejected, "the link \(path) leads in a circle")
  }

  /// Refuses a file that another user has made in a sticky folder, such as /tmp: he may have been waiting for the bytes.
  ///
  /// - Throws: `rejected`.
  public func checkOwner() throws(Failure) {
    guard let status, let folderStatus, status.isTrap(in: folderStatus) else { return }
    throw FilePlace.foreign(path, status)
  }

  /// True if both are one entry of one folder, or the only name of one file.
  public func isSame(as other: FilePlace) -> Bool {
    if let status, let theirs = other.status, status.isSameFile(as: theirs), status.st_nlink == 1 { return true }
    guard let folderStatus, let theirs = other.folderStatus, folderStatus.isSameFile(as: theirs) else { return false }
    return name == other.name
  }

  private var name: Substring { path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...] }

  private static func foreign(_ what: String, _ status: stat) -> Failure {
    Failure(
      .rejected, "\(what) in a sticky folder belongs to another user (uid \(status.st_uid))",
      hint: "remove it if it is not meant to be there, or choose another name")
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func target(of link: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(link, &bytes, bytes.count)
    return count > 0 ? String(validating: bytes[..<count], as: UTF8.self) : nil
  }
}

/// What `stat` says of `path`; nil if nothing is there.
public func fileStatus(_ path: String) -> stat? {
  var status = stat()
  return stat(path, &status) == 0 ? status : nil
}

extension stat {
  fileprivate var isLink: Bool { st_mode & S_IFMT == S_IFLNK }

  /// Whether a file or a link may be another user's trap: what the kernel asks with `fs.protected_regular` and `fs.protected_symlinks`, here
  /// whether those are set or not (Documentation/admin-guide/sysctl/fs.rst).
  fileprivate func isTrap(in folder: stat) -> Bool {
    folder.st_mode & S_ISVTX != 0 && folder.st_mode & 0o022 != 0 && st_uid != geteuid() && st_uid != folder.st_uid
  }
}

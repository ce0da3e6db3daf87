/// A folder of the disk whose entries are named from its own root: "/a/b" is `path` + "/a/b".
struct Folder: Sendable {
  let path: String

  init(_ path: String) {
    self.path = path
  }

  func below(_ name: String) -> Folder { Folder(path + "/" + name) }

  /// Where an entry really is. "/" is the folder itself, without a slash at the end.
  func real(_ entry: String) -> String { entry == "/" ? path : path + entry }

  /// What is there, or nil. Follows a symbolic link unless it dangles.
  func facts(_ entry: String) -> FileFacts? {
    var own = stat()
    guard lstat(real(entry), &own) == 0 else { return nil }
    guard own.st_mode & S_IFMT == S_IFLNK else { return FileFacts(own) }
    var target = stat()
    return FileFacts(stat(real(entry), &target) == 0 ? target : own, isSymbolicLink: true)
  }

  /// mkdir -p.
  func makeDirectories(_ entry: String) throws(FileError) {
    var made = path
    for part in [""] + entry.split(separator: "/").map(String.init) {
      made += part.isEmpty ? "" : "/" + part
      if mkdir(made, 0o755) == 0 || errno == EEXIST && isDirectory(made) { continue }
      // Go says "not a directory" where mkdir says that a file of this name exists.
      throw FileError("mkdir", made, errno == EEXIST ? ENOTDIR : errno)
    }
  }

  /// Names in order of their bytes, without "." and "..".
  func names(_ entry: String) throws(FileError) -> [String] {
    guard let handle = opendir(real(entry)) else { throw FileError("open", real(entry)) }
    defer { closedir(handle) }
    var found: [String] = []
    while let next = readdir(handle) {
      let name = withUnsafePointer(to: &next.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { found.append(name) }
    }
    return found.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
  }

  /// Recursively; an entry that is not there is no error.
  func remove(_ entry: String) throws(FileError) {
    var own = stat()
    guard lstat(real(entry), &own) == 0 else { return }
    if own.st_mode & S_IFMT == S_IFDIR {
      for name in try names(entry) { try remove(entry + "/" + name) }
      guard rmdir(real(entry)) == 0 else { throw FileError("unlinkat", real(entry)) }
    } else {
      guard unlink(real(entry)) == 0 else { throw FileError("unlinkat", real(entry)) }
    }
  }

  func rename(_ old: String, to new: String) throws(FileError) {
    try Self.move(real(old), real(new))
  }

  /// Makes a second name for a file, in the place of what was there.
  func link(_ old: String, to new: String) throws(FileError) {
    try remove(new)
    guard systemLink(real(old), real(new)) == 0 else { throw FileError("link", real(new)) }
  }

  /// Renames by real paths: from `incoming/` to where it belongs.
  static func move(_ old: String, _ new: String) throws(FileError) {
    guard systemRename(old, new) == 0 else { throw FileError("rename", old + " " + new) }
  }

  func truncate(_ entry: String, to size: Int) throws(FileError) {
    guard systemTruncate(real(entry), off_t(size)) == 0 else { throw FileError("truncate", real(entry)) }
  }

  func setModified(_ entry: String, to moment: Moment) throws(FileError) {
    let times = [moment.systemTime, moment.systemTime]
    guard utimensat(AT_FDCWD, real(entry), times, 0) == 0 else { throw FileError("chtimes", real(entry)) }
  }

  private func isDirectory(_ real: String) -> Bool {
    var status = stat()
    return stat(real, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}

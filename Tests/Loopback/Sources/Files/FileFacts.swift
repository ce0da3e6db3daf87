/// What a folder's entry is.
struct FileFacts: Sendable {
  let isDirectory: Bool
  let isSymbolicLink: Bool
  let size: Int64
  let modified: Moment
  let changed: Moment

  init(_ status: stat, isSymbolicLink: Bool = false) {
    isDirectory = status.st_mode & S_IFMT == S_IFDIR
    self.isSymbolicLink = isSymbolicLink
    size = Int64(status.st_size)
    #if canImport(Darwin)
      modified = Moment(status.st_mtimespec)
      changed = Moment(status.st_ctimespec)
    #else
      modified = Moment(status.st_mtim)
      changed = Moment(status.st_ctim)
    #endif
  }
}

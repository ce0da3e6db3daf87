#if os(Linux)
  // The compiler takes NIO's C module for the home of `stat` and `timespec`, because NIO's header includes theirs.
  import CNIOLinux
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

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

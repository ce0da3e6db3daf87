// The one file that knows which C library the platform has.
#if canImport(Darwin)
  @_exported public import Darwin
#elseif canImport(Musl)
  @_exported public import Musl
#else
  @_exported public import Glibc
#endif
#if os(Linux)
  // The compiler takes NIO's C module for the home of `stat` and `timespec`, because NIO's header includes theirs.
  @_exported public import CNIOLinux
#endif

/// Methods called `write` and `rename` hide these two from their own types.
func systemWrite(_ descriptor: CInt, _ start: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, start, count)
}

func systemRename(_ old: String, _ new: String) -> CInt {
  rename(old, new)
}

func systemTruncate(_ path: String, _ size: off_t) -> CInt {
  truncate(path, size)
}

/// `ParsableCommand` has an `exit` of its own.
func endProcess(_ status: CInt) -> Never {
  exit(status)
}

func systemLink(_ old: String, _ new: String) -> CInt {
  link(old, new)
}

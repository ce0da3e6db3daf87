// The one file that knows which C library the platform has. Everything that sees BytePath sees the library too.
#if canImport(Darwin)
  @_exported public import Darwin
#elseif canImport(Musl)
  @_exported public import Musl
#else
  @_exported public import Glibc
#endif

/// The variables of this process, as C has them. Nothing here changes them.
var processEnvironment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
  #if canImport(Darwin)
    _NSGetEnviron().pointee
  #else
    environ
  #endif
}

/// Asks for a pipe of `bytes` bytes, so that a writer and its reader change places less often. Best effort: an unprivileged user may have
/// used up the pipe memory that is allowed, and then the pipe stays as it is.
func enlargePipe(_ descriptor: CInt, to bytes: CInt) {
  #if os(Linux)
    let setPipeSize: CInt = 1031  // F_SETPIPE_SZ of <fcntl.h>, which Glibc shows under _GNU_SOURCE alone
    _ = fcntl(descriptor, setPipeSize, bytes)
  #endif
}

import Synchronization

/// An open file descriptor, closed when the last reference to it goes, or earlier by `close()`.
///
/// A class rather than a noncopyable struct, because a descriptor of the byte path is shared by the closures of several threads.
/// Interrupted calls are made again here and nowhere else; so are short writes.
public final class Descriptor: Sendable {
  private let number: Atomic<CInt>

  /// The number of the descriptor; -1 once closed.
  public var raw: CInt { number.load(ordering: .acquiring) }

  public init(adopting raw: CInt) {
    number = Atomic(raw)
  }

  deinit {
    try? close()
  }

  /// Closes, and reports what `close` says: on network file systems that is where a write error appears. Closing twice does nothing.
  public func close() throws(SystemError) {
    let raw = number.exchange(-1, ordering: .acquiringAndReleasing)
    guard raw >= 0 else { return }
    // Not repeated after EINTR: Linux has let go of the descriptor by then, and the number may be another file's.
    guard systemClose(raw) == 0 || errno == EINTR else { throw SystemError("close", errno) }
  }

  /// Opens `path`; the descriptor is not inherited by child processes.
  public static func open(_ path: String, _ flags: CInt, mode: mode_t = 0) throws(SystemError) -> Descriptor {
    let raw = try repeating("open") { () -> Int in Int(systemOpen(path, flags | O_CLOEXEC, mode)) }
    return Descriptor(adopting: CInt(raw))
  }

  /// Opens `name` in the directory that this descriptor is.
  public func openChild(_ name: String, _ flags: CInt, mode: mode_t = 0) throws(SystemError) -> Descriptor {
    let child = try repeating("open") { () -> Int in Int(openat(raw, name, flags | O_CLOEXEC, mode)) }
    return Descriptor(adopting: CInt(child))
  }

  /// A pipe whose ends child processes do not inherit.
  public static func pipe() throws(SystemError) -> (read: Descriptor, write: Descriptor) {
    var ends: [CInt] = [-1, -1]
    guard systemPipe(&ends) == 0 else { throw SystemError("pipe", errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (Descriptor(adopting: ends[0]), Descriptor(adopting: ends[1]))
  }

  /// Reads what is there, at most `buffer.count` bytes; 0 is the end of file. Blocks.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    try repeating("read") { systemRead(raw, buffer.baseAddress, buffer.count) }
  }

  /// Reads at `offset` without moving the descriptor's own offset; 0 is the end of file.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(SystemError) -> Int {
    try repeating("pread") { pread(raw, buffer.baseAddress, buffer.count, off_t(offset)) }
  }

  /// Writes every byte. Blocks, also on a descriptor that somebody else has made non-blocking.
  public func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var rest = bytes
    while rest.count > 0 {
      let written: Int
      do throws(SystemError) {
        written = try repeating("write") { systemWrite(raw, rest.baseAddress, rest.count) }
      } catch {
        guard error.code == EAGAIN else { throw error }
        var wanted = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
        _ = poll(&wanted, 1, -1)
        continue
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  /// Writes every byte from `offset` on, without moving the descriptor's own offset.
  public func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
    var (rest, offset) = (bytes, offset)
    while rest.count > 0 {
      let written = try repeating("pwrite") { pwrite(raw, rest.baseAddress, rest.count, off_t(offset)) }
      offset += Int64(written)
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  /// Writes what there is room for; nil if that is nothing. Waits for room only if the descriptor blocks.
  func writeSome(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int? {
    do throws(SystemError) {
      return try repeating("write") { systemWrite(raw, bytes.baseAddress, bytes.count) }
    } catch {
      guard error.code == EAGAIN else { throw error }
      return nil
    }
  }

  /// Whether a call waits until it can do something.
  var blocks: Bool { fcntl(raw, F_GETFL) & O_NONBLOCK == 0 }

  /// Makes calls return at once instead of waiting. Only for what no other process shares, as it is true of all who do.
  func stopBlocking() { _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK) }

  /// Writes the UTF-8 of `text`. Blocks.
  public func writeAll(_ text: String) throws(SystemError) { try writeAll(Array(text.utf8)) }

  /// Writes every byte. Blocks.
  public func writeAll(_ bytes: [UInt8]) throws(SystemError) {
    try bytes.span.bytes.withUnsafeBytes { (buffer) throws(SystemError) in try writeAll(buffer) }
  }

  /// What `fstat` says.
  public func status() throws(SystemError) -> stat {
    var status = stat()
    guard fstat(raw, &status) == 0 else { throw SystemError("fstat", errno) }
    return status
  }

  /// Sets the time of last change of the file.
  ///
  /// - Parameter milliseconds: since 1970.
  public func setModified(_ milliseconds: Int64) throws(SystemError) {
    let rest = (milliseconds % 1000 + 1000) % 1000
    let time = timespec(tv_sec: Int(wholeSeconds(milliseconds)), tv_nsec: Int(rest) * 1_000_000)
    guard futimens(raw, [time, time]) == 0 else { throw SystemError("futimens", errno) }
  }

  /// Locks the file for this process alone, without waiting for others. The lock ends with the descriptor.
  ///
  /// - Throws: `EWOULDBLOCK` if another one has it.
  public func lock() throws(SystemError) {
    _ = try repeating("flock") { () -> Int in Int(flock(raw, LOCK_EX | LOCK_NB)) }
  }

  /// True if `name` in the directory that this descriptor is still names `file`.
  public func holds(_ file: Descriptor, as name: String) throws(SystemError) -> Bool {
    let status = try file.status()
    var named = stat()
    guard fstatat(raw, name, &named, AT_SYMLINK_NOFOLLOW) == 0 else {
      guard errno == ENOENT else { throw SystemError("fstatat", errno) }
      return false
    }
    return named.st_dev == status.st_dev && named.st_ino == status.st_ino
  }

  /// Brings the file's bytes to the disk. Blocks.
  public func synchronize() throws(SystemError) {
    _ = try repeating("fsync") { () -> Int in Int(fsync(raw)) }
  }
}

extension stat {
  /// True for a regular file.
  public var isRegularFile: Bool { st_mode & S_IFMT == S_IFREG }
  /// True for a directory.
  public var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
  /// True for a named or unnamed pipe.
  public var isPipe: Bool { st_mode & S_IFMT == S_IFIFO }

  /// Whether size and time of the last change of the content are those of an earlier look at the file.
  func isUnchanged(since other: stat) -> Bool { st_size == other.st_size && modification == other.modification }

  /// Whether nothing at all of the file was changed since, its rights and names included.
  func isUntouched(since other: stat) -> Bool { isUnchanged(since: other) && change == other.change }

  /// True if both are about one file, whatever its name is.
  public func isSameFile(as other: stat) -> Bool { st_dev == other.st_dev && st_ino == other.st_ino }

  /// The time of the last change of the content, in milliseconds since 1970; the nearest that there is for one that is out of reach.
  public var modifiedMilliseconds: Int64 { milliseconds(of: modification) }

  /// When the content was last changed.
  public var modification: timespec {
    #if canImport(Darwin)
      st_mtimespec
    #else
      st_mtim
    #endif
  }

  /// When something of the file was last changed: the content, the rights, the number of its names.
  var change: timespec {
    #if canImport(Darwin)
      st_ctimespec
    #else
      st_ctim
    #endif
  }
}

extension timespec {
  fileprivate static func == (one: timespec, other: timespec) -> Bool { one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec }
}

private func repeating(_ call: String, _ body: () -> Int) throws(SystemError) -> Int {
  while true {
    let result = body()
    if result >= 0 { return result }
    if errno != EINTR { throw SystemError(call, errno) }
  }
}

// Methods of the same names hide the C functions inside the class.
private func systemClose(_ descriptor: CInt) -> CInt { close(descriptor) }
private func systemOpen(_ path: String, _ flags: CInt, _ mode: mode_t) -> CInt { open(path, flags, mode) }
private func systemPipe(_ ends: inout [CInt]) -> CInt { pipe(&ends) }
private func systemRead(_ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int { read(descriptor, buffer, count) }
private func systemWrite(_ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, buffer, count) }

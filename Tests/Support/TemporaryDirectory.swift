import Foundation

/// A directory of its own for one test, below the system's temporary directory.
public struct TemporaryDirectory: Sendable {
  public let path: String

  public init() throws {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var template = Array("\(parent)/sluice-test.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Removes it with all that is in it, also where a test took permissions away.
  public func remove() {
    if (try? FileManager.default.removeItem(atPath: path)) == nil {
      let restore = Process()
      restore.executableURL = URL(fileURLWithPath: "/bin/sh")
      restore.arguments = ["-c", "chmod -R u+rwx \"$0\"; rm -rf \"$0\"", path]
      try? restore.run()
      restore.waitUntilExit()
    }
  }
}

/// The bytes of a file.
public func contents(_ path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Writes a file, with its parents if they are missing.
public func write(_ bytes: some Sequence<UInt8>, to path: String, mode: Int = 0o644) throws {
  let parent = (path as NSString).deletingLastPathComponent
  try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  guard chmod(path, mode_t(mode)) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
  if mode & 0o111 != 0 { waitUntilNobodyWrites(path) }
}

/// A program that another thread starts at this moment has, until it is one, a copy of the descriptor that wrote the file; executing the file
/// would fail as "text file busy". A lease for reading is given only if nobody has it open for writing (fcntl(2)).
private func waitUntilNobodyWrites(_ path: String) {
  #if os(Linux)
    let setLease: Int32 = 1024  // F_SETLEASE of <fcntl.h>, which Glibc shows under _GNU_SOURCE alone
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    while fcntl(descriptor, setLease, Int32(F_RDLCK)) != 0, errno == EAGAIN { usleep(1000) }
    _ = fcntl(descriptor, setLease, Int32(F_UNLCK))
  #endif
}

/// Names in a directory, sorted; none if it is not there.
public func names(in directory: String) -> [String] {
  ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
}

/// True if there is something at `path`, be it a link to nowhere.
public func exists(_ path: String) -> Bool {
  var status = stat()
  return lstat(path, &status) == 0
}

/// The permission bits of what is at `path`; nil if nothing is.
public func mode(_ path: String) -> Int? {
  var status = stat()
  return lstat(path, &status) == 0 ? Int(status.st_mode & 0o7777) : nil
}

public func makeDirectory(_ path: String, mode: Int = 0o755) throws {
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  guard chmod(path, mode_t(mode)) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}

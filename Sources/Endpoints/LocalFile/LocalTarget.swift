import BytePath

/// The place of a local file: the link at it followed, its directory and what is there now.
struct LocalTarget: Sendable {
  let path: String
  let directory: String
  /// The permission bits of the file that is there; nil if none is.
  private let existingMode: mode_t?

  /// - Throws: `rejected` if something other than a regular file is there.
  init(_ path: String) throws(Failure) {
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK, let target = realpath(path, nil) {
      // As with a shell's `>`, what the link names is written, and the link stays.
      self.path = String(cString: target)
      free(target)
    } else {
      self.path = path
    }
    let parent = self.path[..<(self.path.lastIndex(of: "/") ?? self.path.startIndex)]
    directory = parent.isEmpty ? (self.path.hasPrefix("/") ? "/" : ".") : String(parent)
    guard stat(self.path, &status) == 0 else {
      existingMode = nil
      return
    }
    guard status.isRegularFile else {
      let what = status.isDirectory ? "a directory" : "no regular file"
      throw Failure(.rejected, "\(path) is \(what)", hint: status.isDirectory ? "add the name of the file: \(path)/NAME" : nil)
    }
    existingMode = status.st_mode & 0o7777
  }

  func checkExisting(_ existing: Existing) throws(Failure) {
    guard existing == .refuse, existingMode != nil else { return }
    throw alreadyThere
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.isDirectory
  }

  private var alreadyThere: Failure {
    Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it")
  }

  /// Puts the payload in place whole: a spool on the same file system by moving it, anything else by a copy beside the target. Blocks.
  func write(_ payload: Payload, _ attributes: Attributes, pace: Pace?, _ meter: Meter, _ isCancelled: CancelFlag) throws(Failure) {
    if let spool = payload.spool, payload.mayBeMoved, pace == nil, try move(spool, payload, attributes) {
      meter.setSent(payload.length)
    } else {
      try copy(payload, attributes, pace: pace, meter, isCancelled)
    }
  }

  /// Returns false if the spool can't be moved there, and a copy is needed.
  private func move(_ spool: Spool, _ payload: Payload, _ attributes: Attributes) throws(Failure) -> Bool {
    do throws(SystemError) { try payload.synchronize() } catch {
      // The system forgets what it could not write once it has said so: what a copy would read may not be what was written.
      if [EIO, ENOSPC, EDQUOT].contains(error.code) { throw payload.unsynchronized(error) }
      return false
    }
    do throws(SystemError) {
      if let modified = attributes.modified { try payload.setModified(modified) }
      var mode = existingMode
      if mode == nil { mode = try newFileMode() }
      try spool.move(to: path, mode: mode ?? 0o600, replacing: attributes.existing == .overwrite)
    } catch {
      if error.code == EEXIST, attributes.existing == .refuse { throw alreadyThere }
      // What hinders a move need not hinder a copy, which says more exactly what is wrong if it does.
      return false
    }
    do throws(SystemError) { try synchronizeDirectory() } catch { throw failure(error) }
    return true
  }

  /// Brings the new name to the disk. Some file systems can't, and a folder that may only be written in can't be opened for it.
  private func synchronizeDirectory() throws(SystemError) {
    do throws(SystemError) {
      try Descriptor.open(directory, O_RDONLY).synchronize()
    } catch {
      guard [EACCES, EINVAL, EOPNOTSUPP, EBADF].contains(error.code) else { throw error }
    }
  }

  /// The permission bits that a new file gets, which the system tells only of a file.
  private func newFileMode() throws(SystemError) -> mode_t {
    let name = temporaryName()
    defer { unlink(name) }
    return try Descriptor.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o666).status().st_mode & 0o7777
  }

  private func temporaryName() -> String { "\(directory)/.sluice-\(UInt64.random(in: .min ... .max))" }

  private func copy(
    _ payload: Payload, _ attributes: Attributes, pace: Pace?, _ meter: Meter, _ isCancelled: CancelFlag
  ) throws(Failure) {
    let temporary = temporaryName()
    do throws(Failure) {
      let file: Descriptor
      do throws(SystemError) {
        file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o666)
      } catch {
        throw directoryFailure(error)
      }
      try copy(payload, to: file, pace, meter, isCancelled)
      do throws(SystemError) {
        try finish(file, attributes)
        try place(temporary, attributes.existing)
      } catch {
        if error.code == EEXIST, attributes.existing == .refuse { throw alreadyThere }
        throw failure(error)
      }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private func copy(_ payload: Payload, to file: Descriptor, _ pace: Pace?, _ meter: Meter, _ isCancelled: CancelFlag) throws(Failure) {
    var pace = pace
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pace?.pieceSize ?? 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    while offset < payload.length {
      if isCancelled.isSet { throw .interrupted }
      let count = try payload.read(into: buffer, at: offset)
      if let delay = pace?.delay(of: count), delay > .zero { usleep(UInt32(min(delay.nanoseconds / 1000, 1_000_000))) }
      do throws(SystemError) {
        try file.writeAll(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      } catch {
        throw failure(error)
      }
      offset += Int64(count)
      meter.setSent(offset)
    }
    try payload.checkUnchanged()
  }

  private func finish(_ file: Descriptor, _ attributes: Attributes) throws(SystemError) {
    if let existingMode { _ = fchmod(file.raw, existingMode) }
    if let modified = attributes.modified { try file.setModified(modified) }
    try file.synchronize()
    try file.close()
  }

  private func place(_ temporary: String, _ existing: Existing) throws(SystemError) {
    if existing == .refuse {
      // A link is made or not, with nothing between: no race with another writer.
      if link(temporary, path) == 0 {
        unlink(temporary)
      } else {
        guard errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK else { throw SystemError("link", errno) }
        // A file system without hard links: the name is taken first, then replaced.
        try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o666).close()
        guard rename(temporary, path) == 0 else { throw SystemError("rename", errno) }
      }
    } else {
      guard rename(temporary, path) == 0 else { throw SystemError("rename", errno) }
    }
    try synchronizeDirectory()
  }

  /// The failure of not being able to make a file in the directory.
  func directoryFailure(_ error: SystemError) -> Failure {
    let isForbidden = error.code == EACCES || error.code == EPERM
    return Failure(
      isForbidden ? .auth : .rejected, "cannot write in \(directory): \(error.words)",
      hint: error.code == ENOENT ? "make it first: sluice mkdir \(directory)" : nil)
  }

  private func failure(_ error: SystemError) -> Failure {
    Failure(.rejected, "cannot write \(path): \(error.words)")
  }
}

import BytePath

/// The place of a local file: the link at it followed, its directory and what is there now.
struct LocalTarget: Sendable {
  let path: String
  let directory: String
  /// What the file that is there is to hand on; nil if none is.
  private let existing: FileAccess?

  /// - Throws: `rejected` if something other than a regular file is there, or if another user may have left it there as a trap.
  init(_ path: String) throws(Failure) {
    let status = fileStatus(path)
    if let status, !status.isRegularFile {
      let what = status.isDirectory ? "a directory" : "no regular file"
      throw Failure(.rejected, "\(path) is \(what)", hint: status.isDirectory ? "add the name of the file: \(path)/NAME" : nil)
    }
    // As with a shell's `>`, what a link names is written, and the link stays.
    let place = try FilePlace(path)
    guard status?.st_ino == place.status?.st_ino else { throw Failure(.rejected, "\(path) leads to a file that has no name") }
    try place.checkOwner()
    self.path = place.path
    directory = place.folder
    existing = place.status.map { FileAccess(at: place.path, $0) }
  }

  static func isDirectory(_ path: String) -> Bool { fileStatus(path)?.isDirectory == true }

  /// Lets a spool become the file. Blocks. Returns false if it can't, and a copy is needed.
  func move(_ spool: Spool, _ payload: Payload, _ attributes: Attributes, _ condition: Condition) throws(Failure) -> Bool {
    do throws(SystemError) { try payload.synchronize() } catch {
      // The system forgets what it could not write once it has said so: what a copy would read may not be what was written.
      if [EIO, ENOSPC, EDQUOT].contains(error.code) { throw payload.unsynchronized(error) }
      return false
    }
    do throws(SystemError) {
      if let modified = attributes.modified { try payload.setModified(modified) }
      var access = existing
      if access == nil { access = try newFileAccess() }
      guard let access else { return false }
      try spool.move(to: path, access: access, replacing: condition == .any)
    } catch {
      if condition == .absent, let failure = refusal(error) { throw failure }
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

  /// What a new file gets here, which the system tells only of a file.
  private func newFileAccess() throws(SystemError) -> FileAccess {
    let name = TemporaryName.beside(path)
    defer { unlink(name) }
    return try FileAccess(of: Descriptor.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o666))
  }

  /// Writes the payload to a file of its own beside the target, and brings it to the disk. Blocks.
  func copy(_ upload: Upload, to temporary: String, pace: Pace?, _ isCancelled: CancelFlag) throws(Failure) {
    let file: Descriptor
    do throws(SystemError) {
      // Nobody may read beforehand what he may not read in the end.
      let mode: mode_t = existing == nil ? 0o666 : 0o600
      file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
    } catch {
      throw directoryFailure(error)
    }
    try copy(upload.payload, to: file, pace, upload.meter, isCancelled)
    do throws(SystemError) { try finish(file, upload.attributes) } catch { throw failure(error) }
  }

  /// Gives the name to the file that is at `temporary`. Blocks.
  ///
  /// - Throws: `exists` if another has it, which is not to be replaced; `rejected`.
  func take(_ temporary: String, _ condition: Condition) throws(Failure) {
    do throws(SystemError) {
      if condition == .absent {
        try renameWithoutReplacing(temporary, to: path)
      } else {
        guard rename(temporary, path) == 0 else { throw SystemError("rename", errno) }
      }
      try synchronizeDirectory()
    } catch {
      if condition == .absent, let failure = refusal(error) { throw failure }
      throw failure(error)
    }
  }

  private func copy(_ payload: Payload, to file: Descriptor, _ pace: Pace?, _ meter: Meter, _ isCancelled: CancelFlag) throws(Failure) {
    var pace = pace
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pace?.pieceSize ?? 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    var hash = payload.sendingHash(of: 0..<payload.length)
    while offset < payload.length {
      if isCancelled.isSet { throw .interrupted }
      let count = try payload.read(into: buffer, at: offset)
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      let moment = pace?.moment(of: count)
      while let moment, moment > .now, !isCancelled.isSet {
        usleep(UInt32(max(0, min(ContinuousClock.now.duration(to: moment).nanoseconds / 1000, 200_000))) + 1)
      }
      do throws(SystemError) {
        try file.writeAll(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      } catch {
        throw failure(error)
      }
      offset += Int64(count)
      meter.setSent(offset)
    }
    try hash.end()
    try payload.checkCopied()
  }

  private func finish(_ file: Descriptor, _ attributes: Attributes) throws(SystemError) {
    try existing?.apply(to: file)
    if let modified = attributes.modified { try file.setModified(modified) }
    try file.synchronize()
    try file.close()
  }

  /// The failure of not being able to make a file in the directory.
  func directoryFailure(_ error: SystemError) -> Failure {
    let isForbidden = error.code == EACCES || error.code == EPERM
    return Failure(
      isForbidden ? .auth : .rejected, "cannot write in \(directory): \(error.words)",
      hint: error.code == ENOENT ? "make it first: sluice mkdir \(directory)" : nil)
  }

  /// The failure of a name that may not be taken from another file; nil for any other error.
  private func refusal(_ error: SystemError) -> Failure? {
    switch error.code {
    case EEXIST: .alreadyThere(path)
    case EOPNOTSUPP:
      Failure(
        .rejected, "the file system of \(directory) cannot promise that nothing is replaced",
        hint: "leave out --no-clobber, or put it elsewhere")
    default: nil
    }
  }

  private func failure(_ error: SystemError) -> Failure {
    Failure(.rejected, "cannot write \(path): \(error.words)")
  }
}

/// The folder of the spools: mode 0700, of the user alone, and not reached through a link at its end.
///
/// It holds, for a spool ID, `ID.data` (the object) and, once the input has ended well, `ID.json` (the job); whatever else is in it is left alone. The rename of `ID.json` into
/// place is the one moment at which a spool becomes something to be kept. A run holds a lock on its `ID.data` that dies with it, so data
/// without a job and without a lock is what a dead run left, and is removed by the next one.
public final class SpoolDirectory: Sendable {
  /// Where it is, for messages.
  public let path: String
  /// True if it is there only as long as it has a spool.
  public let isTransient: Bool
  let descriptor: Descriptor

  /// Opens the folder, and makes it first if it is missing.
  ///
  /// - Parameter path: the folder; its parent must exist.
  /// - Throws: `spool` if it can't be made or opened, or if another user owns it or could write in it.
  public init(_ path: String) throws(Failure) {
    self.path = path
    isTransient = path.hasSuffix("/\(SpoolDirectory.transientName)")
    descriptor = try SpoolDirectory.opened(path, isTransient: isTransient)
    do throws(Failure) { try SpoolDirectory.checkOwner(of: descriptor, path) } catch {
      // On some file systems and servers everything seems to be another user's, also what was made just now.
      removeIfTransient()
      throw error
    }
  }

  private static func checkOwner(of descriptor: Descriptor, _ path: String) throws(Failure) {
    let status: stat
    do throws(SystemError) { status = try descriptor.status() } catch {
      throw Failure(.spool, "cannot use the spool folder \(path): \(error.words)")
    }
    let advice = "name a folder of your own with --spool-dir"
    guard status.st_uid == geteuid() else {
      throw Failure(.spool, "the spool folder \(path) belongs to another user (uid \(status.st_uid))", hint: advice)
    }
    guard status.st_mode & 0o022 == 0 else {
      throw Failure(.spool, "others can write in the spool folder \(path)", hint: "chmod 700 \(path), or \(advice)")
    }
  }

  private static func opened(_ path: String, isTransient: Bool) throws(Failure) -> Descriptor {
    while true {
      if mkdir(path, 0o700) != 0, errno != EEXIST {
        let words = SystemError("mkdir", errno).words
        throw Failure(.spool, "cannot make the spool folder \(path): \(words)", hint: "name another one with --spool-dir")
      }
      do throws(SystemError) {
        return try Descriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      } catch {
        // Another run has taken its last spool out just now.
        if error.code == ENOENT, isTransient { continue }
        let reason = error.code == ELOOP || error.code == ENOTDIR ? "it is a link or no folder" : error.words
        throw Failure(.spool, "cannot use the spool folder \(path): \(reason)", hint: "name another one with --spool-dir")
      }
    }
  }

  /// The spool folder for an object that becomes a file in `folder`: on the same file system, so that it can be moved there.
  ///
  /// - Throws: as `init`.
  public static func beside(_ folder: String) throws(Failure) -> SpoolDirectory {
    try SpoolDirectory("\(folder)/\(transientName)")
  }

  private static let transientName = ".sluice-\(geteuid())"

  /// Takes away the folder of spools beside the files of `folder`, with what runs left there that died, unless there is something else in it.
  public static func tidy(beside folder: String) {
    guard access("\(folder)/\(transientName)", F_OK) == 0, let directory = try? beside(folder) else { return }
    directory.sweep()
    directory.removeIfTransient()
  }

  func removeIfTransient() {
    // It stays, of course, if something is in it.
    if isTransient { rmdir(path) }
  }

  /// Bytes that an ordinary user can still write there; nil if the system does not tell.
  public var freeBytes: Int64? {
    var status = statvfs()
    guard fstatvfs(descriptor.raw, &status) == 0 else { return nil }
    // Network file systems and FUSE say what they like.
    return Int64(clamping: status.f_bavail).multipliedSaturated(by: Int64(clamping: status.f_frsize))
  }

  /// Removes what runs left that died before the end of their input. Best effort: a later run tries again.
  public func sweep() {
    guard let lock = try? lockDirectory(), let names = (try? self.names()).map({ Set($0) }) else { return }
    // Whatever else lies in the folder is not ours.
    for id in Set(names.compactMap(SpoolID.of)) {
      // A held spool is not even locked, because another sluice may want to send it now.
      let isHeld = names.isSuperset(of: ["\(id).data", "\(id).json"]) && !names.contains("\(id).json.new")
      if !isHeld { sweep(id) }
    }
    withExtendedLifetime(lock) {}
  }

  private func sweep(_ id: String) {
    do throws(SystemError) {
      let data = try descriptor.openChild("\(id).data", O_RDWR | O_NOFOLLOW)
      // Whoever holds the lock is writing the job, or about to.
      guard flock(data.raw, LOCK_EX | LOCK_NB) == 0 else { return }
      remove("\(id).json.new")
      // Looked for now that nobody can write one: a run may have written its job and died since the names were listed.
      guard faccessat(descriptor.raw, "\(id).json", F_OK, 0) != 0, errno == ENOENT, !mayGoOn(id) else { return }
      for ending in ["fetch.new", "fetch", "data"] { remove("\(id).\(ending)") }
    } catch {
      guard error.code == ENOENT else { return }
      for ending in ["json.new", "json", "place.new", "fetch.new", "fetch"] { remove("\(id).\(ending)") }
    }
  }

  /// The IDs of the spools that are complete, oldest first: held ones, and those that a running sluice is sending.
  ///
  /// - Throws: `spool` if the folder can't be read.
  public func completeIDs() throws(Failure) -> [String] {
    let names = Set(try names())
    // A run that dies between the two leaves a job whose data is gone, and that is nothing to be sent.
    return names.filter { $0.hasSuffix(".json") }.compactMap(SpoolID.of).filter { names.contains("\($0).data") }.sorted()
  }

  /// True if there is a complete spool of this ID.
  public func has(_ id: String) -> Bool { faccessat(descriptor.raw, "\(id).json", F_OK, 0) == 0 }

  /// Held while a spool is made or unfinished ones are removed, so that a new spool is not taken for a dead one before it has its lock.
  func lockDirectory() throws(SystemError) -> Descriptor {
    let lock = try descriptor.openChild(".", O_RDONLY | O_DIRECTORY)
    while flock(lock.raw, LOCK_EX) != 0 {
      guard errno == EINTR else { throw SystemError("flock", errno) }
    }
    return lock
  }

  func remove(_ name: String) {
    _ = unlinkat(descriptor.raw, name, 0)
  }

  /// As of `Descriptor`, in this folder.
  func write(_ bytes: [UInt8], to name: String, isDurable: Bool) throws(SystemError) {
    try descriptor.write(bytes, to: name, isDurable: isDurable)
  }

  /// The job of a spool, read without a lock: whoever changes it puts another in its place. Nil if there is none.
  ///
  /// - Throws: `spool` if it can't be read, or has more than a megabyte.
  public func job(of id: String) throws(Failure) -> [UInt8]? {
    guard SpoolID.isOne(id) else { return nil }
    do throws(SystemError) {
      return try descriptor.openChild("\(id).json", O_RDONLY | O_NOFOLLOW).contents(limit: 1 << 20)
    } catch {
      if error.code == ENOENT { return nil }
      throw Failure(.spool, "cannot read the job of the spool \(id) in \(path): \(error.words)")
    }
  }

  func names() throws(Failure) -> [String] {
    do throws(SystemError) { return try namesInDirectory(path) } catch {
      throw Failure(.spool, "cannot read the spool folder \(path): \(error.words)")
    }
  }
}

extension Descriptor {
  /// Gives a small file in the folder that this is its content in one step: whole or not at all.
  ///
  /// - Parameter isDurable: whether the file is on the disk when this returns: its bytes first, then its name. Blocks.
  func write(_ bytes: [UInt8], to name: String, isDurable: Bool) throws(SystemError) {
    do throws(SystemError) {
      let file = try openChild("\(name).new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
      try file.writeAll(bytes)
      if isDurable { try file.synchronize() }
      try file.close()
      guard renameat(raw, "\(name).new", raw, name) == 0 else { throw SystemError("rename", errno) }
    } catch {
      _ = unlinkat(raw, "\(name).new", 0)
      throw error
    }
    guard isDurable else { return }
    do throws(SystemError) { try synchronize() } catch {
      // Some file systems can't do that to a folder.
      guard [EINVAL, EOPNOTSUPP, EBADF].contains(error.code) else { throw error }
    }
  }
}

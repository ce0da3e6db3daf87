import Synchronization

/// One spooled object: its data file, locked by this process, and perhaps its job.
///
/// States: filling (data alone, locked) → complete (data and job) → gone, or held (data and job, unlocked once the process has ended).
public final class Spool: Sendable {
  /// 26 characters that sort by time: a ULID (github.com/ulid/spec).
  public let id: String
  /// The folder it is in.
  public let directory: SpoolDirectory
  let data: Descriptor
  private let moved = Atomic(false)

  /// True if the data has become a file elsewhere and is here no more.
  public var isMoved: Bool { moved.load(ordering: .relaxed) }

  /// An ID for something that is not spooled.
  public static func newID() -> String { SpoolID.make() }

  /// When the spool of this ID was made, in milliseconds since 1970; nil if the text is no ID.
  public static func milliseconds(of id: String) -> Int64? { SpoolID.milliseconds(of: id) }

  private init(id: String, data: Descriptor, directory: SpoolDirectory) {
    self.id = id
    self.data = data
    self.directory = directory
  }

  /// Makes an empty spool, mode 0600, and removes what dead runs left.
  ///
  /// - Parameter directory: opens the folder; is asked again if another run removes it just then.
  /// - Throws: `spool`.
  static func create(in directory: @autoclosure () throws(Failure) -> SpoolDirectory) throws(Failure) -> Spool {
    while true {
      let directory = try directory()
      directory.sweep()
      if let spool = try create(in: directory) { return spool }
    }
  }

  /// Returns nil if the folder is one that its last spool takes along, and is gone.
  private static func create(in directory: SpoolDirectory) throws(Failure) -> Spool? {
    let id = SpoolID.make()
    do throws(SystemError) {
      let directoryLock = try directory.lockDirectory()
      let data = try directory.descriptor.openChild("\(id).data", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
      do throws(SystemError) { try data.lock() } catch {
        directory.remove("\(id).data")
        throw error
      }
      try directoryLock.close()
      return Spool(id: id, data: data, directory: directory)
    } catch {
      if error.code == ENOENT, directory.isTransient { return nil }
      throw Failure(.spool, "cannot make a spool in \(directory.path): \(error.words)", hint: "name another folder with --spool-dir")
    }
  }

  /// Opens a complete spool and locks it; returns nil if there is none of this ID, or none any more.
  ///
  /// - Throws: `spool` if it can't be opened, or, and that passes (`isRetryable`), another process is using it.
  public static func open(_ id: String, in directory: SpoolDirectory) throws(Failure) -> Spool? {
    guard SpoolID.isOne(id) else { return nil }
    do throws(SystemError) {
      let data = try directory.descriptor.openChild("\(id).data", O_RDWR | O_NOFOLLOW)
      try data.lock()
      // Whoever had the lock until now may have sent the object and removed it, or moved it to its place.
      guard try directory.descriptor.holds(data, as: "\(id).data") else { return nil }
      return Spool(id: id, data: data, directory: directory)
    } catch {
      switch error.code {
      case ENOENT: return nil
      case EWOULDBLOCK: throw Failure(.spool, "the spool \(id) is in use by another sluice", hint: "wait for it to end", retryable: true)
      default: throw Failure(.spool, "cannot open the spool \(id) in \(directory.path): \(error.words)")
      }
    }
  }

  /// Asks whether the disk has room for an object of this length.
  ///
  /// - Throws: `spool`, with what it needs and what is free.
  func checkRoom(for bytes: Int64) throws(Failure) {
    guard let free = directory.freeBytes, free < bytes else { return }
    throw Failure(
      .spool, "the spool in \(directory.path) needs \(bytes) bytes, and \(free) are free",
      hint: "name a folder with more space with --spool-dir")
  }

  /// Adds bytes to the data.
  ///
  /// - Throws: `spool`, with what is written and what is free when the disk is full.
  func append(_ bytes: UnsafeRawBufferPointer, after written: Int64) throws(Failure) {
    do throws(SystemError) { try data.writeAll(bytes) } catch { throw unwritable(error, written + Int64(bytes.count)) }
  }

  /// Writes bytes from `offset` on.
  ///
  /// - Throws: as `append`.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Failure) {
    do throws(SystemError) { try data.writeAll(bytes, at: offset) } catch { throw unwritable(error, offset + Int64(bytes.count)) }
  }

  /// Reads at `offset`; 0 is the end.
  ///
  /// - Throws: `spool`.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Failure) -> Int {
    do throws(SystemError) { return try data.read(into: buffer, at: offset) } catch {
      throw Failure(.spool, "cannot read the spool \(id) in \(directory.path): \(error.words)")
    }
  }

  private func unwritable(_ error: SystemError, _ needed: Int64) -> Failure {
    var message = "cannot write the spool in \(directory.path): \(error.words)"
    if error.code == ENOSPC || error.code == EDQUOT || error.code == EFBIG {
      message += "; it needs more than \(needed) bytes"
      if let free = directory.freeBytes { message += " and \(free) more are free" }
    }
    return Failure(.spool, message, hint: "name a folder with more space with --spool-dir")
  }

  /// The data, opened for reading alone and without the lock.
  func reopened() throws(SystemError) -> Descriptor {
    try directory.descriptor.openChild("\(id).data", O_RDONLY | O_NOFOLLOW)
  }

  /// Writes the job beside the data, whole or not at all. With it the spool outlives the process.
  ///
  /// - Parameter isDurable: whether it is to outlive a loss of power too. Its bytes are then on the disk before it has its name, as some file
  ///   systems would keep the name and lose the bytes, and the name is before this returns. The data should be there already. Blocks.
  /// - Throws: `spool`; the job is what it was before.
  public func keep(job: [UInt8], isDurable: Bool) throws(Failure) {
    do throws(SystemError) {
      try directory.write(job, to: "\(id).json", isDurable: isDurable)
    } catch {
      throw Failure(.spool, "cannot write the job of the spool \(id) in \(directory.path): \(error.words)")
    }
  }

  /// Brings the data to the disk, so that it outlives a loss of power. Blocks.
  ///
  /// - Throws: `spool` if the disk does not take it: then it lasts as long as the system runs, if at all.
  public func synchronizeData() throws(Failure) {
    do throws(SystemError) { try data.synchronize() } catch {
      throw Failure(
        .spool, "cannot bring the spool \(id) in \(directory.path) to the disk: \(error.words)",
        hint: "copy it elsewhere, or send it, before the system stops")
    }
  }

  /// Makes the data the file at `path`, in one step and without a copy.
  ///
  /// - Parameters:
  ///   - access: what the file gets of owner, group and rights.
  ///   - replacing: whether a file that is there is replaced; otherwise that is the error `EEXIST`.
  /// - Throws: `EXDEV` if `path` is on another file system, `EOPNOTSUPP` if nothing may be replaced and that can't be guaranteed; whatever is
  ///   thrown, the spool is what it was.
  public func move(to path: String, access: FileAccess, replacing: Bool) throws(SystemError) {
    let before = try FileAccess(of: data)
    do throws(SystemError) {
      try access.apply(to: data)
      if replacing {
        guard renameat(directory.descriptor.raw, "\(id).data", AT_FDCWD, path) == 0 else { throw SystemError("rename", errno) }
      } else {
        try renameWithoutReplacing("\(id).data", in: directory.descriptor.raw, to: path)
      }
    } catch {
      try? before.apply(to: data)
      throw error
    }
    moved.store(true, ordering: .relaxed)
  }

  /// Removes data and job, the job first: data alone is swept by the next run if this one is killed here.
  public func remove() {
    directory.remove("\(id).json")
    directory.remove("\(id).data")
    directory.removeIfTransient()
  }
}

extension Descriptor {
  /// Reads a small file from here to its end. Blocks.
  ///
  /// - Throws: `EFBIG` if there are more than `limit` bytes.
  public func contents(limit: Int) throws(SystemError) -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit + 1, alignment: 1)
    defer { buffer.deallocate() }
    var count = 0
    while count <= limit {
      let more = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
      if more == 0 { return Array(buffer[..<count]) }
      count += more
    }
    throw SystemError("read", EFBIG)
  }
}

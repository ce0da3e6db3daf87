import Crypto

/// The folder `.names` in a spool folder: what runs that share the spool folder must know of each other's objects. It is there only while there
/// is something in it: a run that succeeds alone leaves nothing.
///
/// For the name of an object there may be two files, found by a hash of the name: `HASH.lock`, which has two locks that die with their
/// process, and `HASH.json`, the record of the name. `counter` has the last number that was given to a run. Everything but the wait for an
/// upload is done under the lock of the spool folder, which nobody holds for long; so a file is never removed while another run opens it.
public struct NameFolder: Sendable {
  private static let name = ".names"
  private static let counter = "counter"
  /// More names than this are not looked at when the folder might be empty.
  private static let manyNames = 64

  private let directory: SpoolDirectory

  public init(in directory: SpoolDirectory) { self.directory = directory }

  /// Calls `body` with the folder, under the lock of the spool folder.
  fileprivate func locked<Result>(_ body: (Descriptor) throws(SystemError) -> Result) throws(SystemError) -> Result {
    let lock = try directory.lockDirectory()
    if mkdirat(directory.descriptor.raw, NameFolder.name, 0o700) != 0, errno != EEXIST { throw SystemError("mkdir", errno) }
    let result = try body(try directory.descriptor.openChild(NameFolder.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
    try lock.close()
    return result
  }

  /// A number that is higher than every one before.
  ///
  /// - Parameter last: the last one that is known otherwise; asked if the counter is not there.
  public func nextNumber(after last: () -> Int64) throws(SystemError) -> Int64 {
    try locked { (folder) throws(SystemError) in
      let file = try folder.openChild(NameFolder.counter, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
      let text = String(decoding: try file.contents(limit: 64), as: UTF8.self)
      let (next, isTooLarge) = (Int64(text) ?? last()).addingReportingOverflow(1)
      guard !isTooLarge, lseek(file.raw, 0, SEEK_SET) == 0 else { throw SystemError("lseek", EOVERFLOW) }
      // Never shorter than what it is written over.
      try file.writeAll(String(next))
      try file.close()
      return next
    }
  }

  /// Brings the counter to the disk, so that a number which is there in a job is never given again. Blocks.
  public func synchronize() throws(SystemError) {
    try locked { (folder) throws(SystemError) in
      try folder.openChild(NameFolder.counter, O_RDONLY | O_NOFOLLOW).synchronize()
      try folder.synchronize()
    }
  }

  /// The hash that stands for a name.
  public static func hash(of name: String) -> String { Checksum(.sha256, of: Array(name.utf8)).bytes.prefix(16).hex }

  /// Opens what there is of a name, and says that somebody has to do with it until that is let go.
  public func open(_ hash: String) throws(SystemError) -> NameFile {
    try locked { (folder) throws(SystemError) in
      let lock = try folder.openChild("\(hash).lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
      guard try lock.lockRange(NameFile.interest, Int16(F_RDLCK)) else { throw SystemError("fcntl", EAGAIN) }
      return NameFile(hash, in: self, lock)
    }
  }

  /// Removes what nobody needs, and the folder if that is all. Called under the lock.
  fileprivate func tidy(_ folder: Descriptor) {
    guard let names = try? namesInDirectory("\(directory.path)/\(NameFolder.name)", atMost: NameFolder.manyNames),
      names.count < NameFolder.manyNames
    else { return }
    var rest = names.filter { $0 != NameFolder.counter }
    rest.removeAll { name in
      // Half a record, or the lock of a run that died.
      let isDead = name.hasSuffix(".new") || name.hasSuffix(".lock") && isUnlocked(name, in: folder)
      return isDead && unlinkat(folder.raw, name, 0) == 0
    }
    guard rest.isEmpty else { return }
    _ = unlinkat(folder.raw, NameFolder.counter, 0)
    _ = unlinkat(directory.descriptor.raw, NameFolder.name, AT_REMOVEDIR)
  }

  private func isUnlocked(_ name: String, in folder: Descriptor) -> Bool {
    guard let file = try? folder.openChild(name, O_RDWR | O_NOFOLLOW) else { return false }
    return (try? file.lockRange(NameFile.interest, Int16(F_WRLCK))) == true
  }
}

/// One name, as a run sees it that has to do with it.
public final class NameFile: Sendable {
  /// The ranges of the lock file: who uploads to the name, alone, and who has to do with it, together.
  fileprivate static let (upload, interest) = (Int64(0), Int64(1))

  public let hash: String
  private let folder: NameFolder
  private let lock: Descriptor

  fileprivate init(_ hash: String, in folder: NameFolder, _ lock: Descriptor) {
    self.hash = hash
    self.folder = folder
    self.lock = lock
  }

  /// Takes the right to upload to the name, which one alone has. Returns false if somebody has it.
  public func beginUpload() throws(SystemError) -> Bool { try lock.lockRange(NameFile.upload, Int16(F_WRLCK)) }

  public func endUpload() { _ = try? lock.lockRange(NameFile.upload, Int16(F_UNLCK)) }

  /// The record of the name; nil if there is none.
  public func record() throws(SystemError) -> [UInt8]? {
    try folder.locked { (folder) throws(SystemError) in try read(folder) }
  }

  /// Changes the record in one step.
  ///
  /// - Parameters:
  ///   - isDurable: whether it is on the disk when this returns.
  ///   - body: gets the record and whether nobody else has to do with the name; gives the new record, nil for none.
  public func change(isDurable: Bool, _ body: ([UInt8]?, _ isAlone: Bool) -> [UInt8]?) throws(SystemError) {
    try folder.locked { (folder) throws(SystemError) in
      let record = try read(folder)
      let changed = body(record, isAlone)
      guard let changed else {
        if record != nil { _ = unlinkat(folder.raw, "\(hash).json", 0) }
        return
      }
      guard changed != record || isDurable else { return }
      try folder.write(changed, to: "\(hash).json", isDurable: isDurable)
    }
  }

  /// Has to do with the name no more.
  ///
  /// - Parameter isNeeded: asked, if nobody else has to do with it either, whether its record is needed still.
  public func leave(unless isNeeded: ([UInt8]) -> Bool) {
    _ = try? folder.locked { (folder) throws(SystemError) in
      if isAlone {
        _ = unlinkat(folder.raw, "\(hash).lock", 0)
        if let record = try read(folder), !isNeeded(record) { _ = unlinkat(folder.raw, "\(hash).json", 0) }
        self.folder.tidy(folder)
      }
      try lock.close()
    }
  }

  /// Asked under the lock of the folder alone, since for a moment nobody else could join.
  private var isAlone: Bool {
    guard (try? lock.lockRange(NameFile.interest, Int16(F_WRLCK))) == true else { return false }
    _ = try? lock.lockRange(NameFile.interest, Int16(F_RDLCK))
    return true
  }

  private func read(_ folder: Descriptor) throws(SystemError) -> [UInt8]? {
    do throws(SystemError) {
      return try folder.openChild("\(hash).json", O_RDONLY | O_NOFOLLOW).contents(limit: 16 << 20)
    } catch {
      guard error.code == ENOENT else { throw error }
      return nil
    }
  }
}

extension Descriptor {
  /// Locks one byte of the file, or unlocks it. Such a lock is of the open file and not of the process (fcntl(2), open file description locks),
  /// so two threads exclude each other as two processes do, and it ends with the descriptor.
  ///
  /// - Parameter kind: `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
  /// - Returns: false if somebody else has a lock that excludes it.
  fileprivate func lockRange(_ offset: Int64, _ kind: Int16) throws(SystemError) -> Bool {
    #if canImport(Darwin)
      let setLock: CInt = 90
    #else
      let setLock: CInt = 37  // F_OFD_SETLK of <fcntl.h>, which Glibc shows under _GNU_SOURCE alone
    #endif
    var range = flock()
    range.l_type = kind
    range.l_whence = Int16(SEEK_SET)
    range.l_start = off_t(offset)
    range.l_len = 1
    while fcntl(raw, setLock, &range) != 0 {
      switch errno {
      case EINTR: continue
      case EAGAIN, EACCES: return false
      default: throw SystemError("fcntl", errno)
      }
    }
    return true
  }
}

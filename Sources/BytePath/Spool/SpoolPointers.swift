/// A spool folder also knows of spools in other folders: `ID.place` holds the path of the folder that has the spool ID. So what is held beside
/// a file is found without knowing the file.
extension SpoolDirectory {
  private static let suffix = ".place"

  /// Notes where a spool of another folder is.
  ///
  /// - Parameter isDurable: as of `Spool.keep`.
  /// - Throws: `spool`.
  public func point(to spool: Spool, isDurable: Bool) throws(Failure) {
    do throws(SystemError) {
      guard let place = realpath(spool.directory.path, nil) else { throw SystemError("realpath", errno) }
      defer { free(place) }
      // With the lock nobody takes what is half written for what a dead run left.
      let lock = try lockDirectory()
      try write(Array(String(cString: place).utf8), to: spool.id + SpoolDirectory.suffix, isDurable: isDurable)
      try lock.close()
    } catch {
      throw Failure(.spool, "cannot note in \(path) where the spool \(spool.id) is: \(error.words)")
    }
  }

  /// Forgets where a spool of another folder was.
  public func forget(_ id: String) {
    remove(id + SpoolDirectory.suffix)
  }

  /// The folder that has the spool, if it is another one than this; nil if nothing is noted, or if it is there no more.
  public func other(having id: String) -> SpoolDirectory? {
    guard SpoolID.isOne(id),
      let bytes = try? descriptor.openChild(id + SpoolDirectory.suffix, O_RDONLY | O_NOFOLLOW).contents(limit: 8192)
    else { return nil }
    let place = String(decoding: bytes, as: UTF8.self)
    // Not made anew: a folder that is missing has no spool.
    if access("\(place)/\(id).json", F_OK) == 0, let directory = try? SpoolDirectory(place) { return directory }
    // A disk that is not mounted now may be there again.
    if access(String(place[..<(place.lastIndex(of: "/") ?? place.startIndex)]) + "/", F_OK) == 0 { forget(id) }
    return nil
  }

  /// The IDs of spools in other folders, oldest first.
  ///
  /// - Throws: `spool` if the folder can't be read.
  public func idsElsewhere() throws(Failure) -> [String] {
    try names().filter { $0.hasSuffix(SpoolDirectory.suffix) }.compactMap(SpoolID.of).sorted()
  }
}

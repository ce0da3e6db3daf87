public import BytePath

/// A file of this machine. It is brought to the disk before it gets its name.
public struct LocalFile: BuiltInStore, RenamingStore, DirectoryStore, AdoptingStore {
  public static let kind = EndpointKind(name: "file", title: "a local file", example: "a local path")

  private let rateLimit: Int64?

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    rateLimit = context.http.rateLimit
  }

  public func objectPath(_ text: String) throws(Failure) -> String {
    guard !text.isEmpty, !text.hasSuffix("/"), text != ".", text != "..", !text.hasSuffix("/."), !text.hasSuffix("/..") else {
      throw Failure(.usage, "\(text.isEmpty ? "the destination file:" : text) names no file", hint: "add the name of the file")
    }
    return text
  }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    guard !text.isEmpty else { throw Failure(.usage, "the destination file: names no directory") }
    return text
  }

  public func identity(of path: String) -> String? { LocalFile.identity(ofFile: path) }

  /// The path without links, from the root on; as it is if that can't be told.
  public static func identity(ofFile path: String) -> String {
    if let whole = LocalFile.resolved(path) { return whole }
    let parent = TemporaryName.folder(of: path)
    return LocalFile.resolved(parent.isEmpty ? "." : parent).map { "\($0)/\(path.dropFirst(parent.count))" } ?? path
  }

  private static func resolved(_ path: String) -> String? {
    guard let text = realpath(path, nil) else { return nil }
    defer { free(text) }
    return String(cString: text)
  }

  public func place(of path: String) throws(Failure) -> String { try LocalTarget(path).path }

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    var traits = Traits()
    traits.renames = .ontoAnything
    traits.readsToVerify = true
    return traits
  }

  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let target = try LocalTarget(path)
    guard access(target.directory, W_OK | X_OK) == 0 else { throw target.directoryFailure(SystemError("access", errno)) }
  }

  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    guard let status = fileStatus(path) else {
      // A name that is too long is that of nothing, as `.sha256` behind one that fits.
      guard [ENOENT, ENOTDIR, ENAMETOOLONG].contains(errno) else { return .untold(LocalFile.unreadable(path, SystemError("stat", errno))) }
      return .nothing
    }
    guard status.isRegularFile || status.isDirectory else {
      return .untold(Failure(.rejected, "\(path) is no regular file", hint: "cat \(path) reads what comes of it"))
    }
    return .stored(Stored(path, status))
  }

  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let target = try LocalTarget(upload.path)
    try await onThread { (isCancelled) throws(Failure) in
      try target.copy(upload, to: path, pace: rateLimit.map { Pace(bytesPerSecond: $0) }, isCancelled)
    }
    return Receipt()
  }

  public func spoolDirectory(for path: String) throws(Failure) -> SpoolDirectory? {
    try SpoolDirectory.beside(LocalTarget(path).directory)
  }

  public func adopt(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Bool {
    guard let spool = upload.payload.spool, rateLimit == nil else { return false }
    let target = try LocalTarget(upload.path)
    return try await onThread { () throws(Failure) in
      defer { SpoolDirectory.tidy(beside: target.directory) }
      return try target.move(spool, upload.payload, upload.attributes, condition)
    }
  }

  public func rename(_ path: String, to target: String, _ condition: Condition) async throws(Failure) -> Renamed {
    let place = try LocalTarget(target)
    try await onThread { () throws(Failure) in
      try place.take(path, condition)
      SpoolDirectory.tidy(beside: place.directory)
    }
    return .done(Receipt())
  }

  public func remove(_ path: String) async throws(Failure) {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw Failure(.rejected, "cannot remove \(path): \(SystemError("unlink", errno).words)")
    }
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    var made = path.hasPrefix("/") ? "/" : ""
    for segment in path.split(separator: "/") {
      made += made.isEmpty || made.hasSuffix("/") ? String(segment) : "/\(segment)"
      // EISDIR and EROFS may be said of an existing directory; what counts is whether one is there in the end.
      if mkdir(made, 0o777) != 0, errno != EEXIST {
        let error = SystemError("mkdir", errno)
        guard LocalTarget.isDirectory(made) else { throw Failure(.rejected, "cannot make the directory \(made): \(error.words)") }
      }
    }
    guard LocalTarget.isDirectory(path) else { throw Failure(.rejected, "cannot make the directory \(path): there is a file") }
    return Receipt()
  }

  /// A file is read as fast in one go.
  public func readsInParts(_ path: String) -> Bool { false }

  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    let finding = try await stat(path, fresh: true)
    guard let found = finding.stored else { return finding }
    guard found.isDirectory != true else { return .untold(.directory(path)) }
    guard version == nil || version == found.version else { return .untold(.replaced(path)) }
    return try await onThread { (isCancelled) throws(Failure) in
      let isSame: Bool
      do throws(SystemError) { isSame = try LocalFile.read(found, range, into: sink, isCancelled) } catch {
        throw LocalFile.unreadable(path, error)
      }
      return isSame ? .stored(found) : .untold(.replaced(path))
    }
  }

  /// - Parameter range: in bytes; nil for all up to the end, wherever that is.
  /// - Returns: false if the file is another one, or has changed meanwhile.
  private static func read(
    _ found: Stored, _ range: Range<Int64>?, into sink: any ByteSink, _ isCancelled: CancelFlag
  ) throws(SystemError) -> Bool {
    // What has become a pipe meanwhile would keep it waiting.
    let file = try Descriptor.open(found.path, O_RDONLY | O_NONBLOCK)
    guard Stored(found.path, try file.status()).version == found.version else { return false }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    let size = found.size ?? 0
    var offset = range?.lowerBound ?? 0
    let end = range?.upperBound ?? .max
    while offset < end, !isCancelled.isSet {
      let wanted = Int(min(Int64(buffer.count), end - offset))
      let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
      guard count > 0 else { break }
      // As of the files of /proc, which have a size of 0.
      guard offset.addingSaturated(Int64(count)) <= size else { return false }
      guard sink.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return true }
      sink.waitUntilReady()
      offset += Int64(count)
    }
    if isCancelled.isSet { throw SystemError("read", ECANCELED) }
    guard offset == range?.upperBound ?? size else { return false }
    return Stored(found.path, try file.status()).version == found.version
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    let names: [String]
    do throws(SystemError) { names = try namesInDirectory(directory) } catch {
      if error.code == ENOENT || error.code == ENOTDIR && fileStatus(directory) == nil { return nil }
      if error.code == ENOTDIR { throw Failure(.rejected, "\(directory) is a file, not a directory") }
      throw LocalFile.unreadable(directory, error)
    }
    let start = directory.hasSuffix("/") ? directory : directory + "/"
    return Listing(names.compactMap { LocalFile.member(start + $0) })
  }

  /// Nil if it has gone meanwhile. Of a link to nowhere, of what may not be looked at, and of a name that is not UTF-8, so that no text leads
  /// there, no more is known than that it is there.
  private static func member(_ path: String) -> Stored? {
    if let status = fileStatus(path) { return Stored(path, status) }
    guard errno == ENOENT else { return Stored(path, isDirectory: nil) }
    var first: CChar = 0
    return readlink(path, &first, 1) >= 0 || path.unicodeScalars.contains("\u{fffd}") ? Stored(path, isDirectory: nil) : nil
  }

  private static func unreadable(_ path: String, _ error: SystemError) -> Failure {
    guard error.code != ECANCELED else { return .interrupted }
    return Failure(error.code == EACCES ? .auth : .server, "cannot read \(path): \(error.words)")
  }
}

extension Stored {
  /// A file that is replaced is another one, and one that is written to has another time.
  fileprivate init(_ path: String, _ status: stat) {
    self.init(path, isDirectory: status.isDirectory, size: status.isDirectory ? nil : Int64(status.st_size))
    modified = status.modifiedMilliseconds
    let changed = status.modification
    version = "\(status.st_dev):\(status.st_ino):\(status.st_size):\(changed.tv_sec).\(changed.tv_nsec)"
  }
}

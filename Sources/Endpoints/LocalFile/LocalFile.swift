public import BytePath

/// A file of this machine: written beside the target, brought to the disk, renamed. So it is whole or absent, and what was there before stays
/// until then.
public struct LocalFile: BuiltInEndpoint {
  public static let kind = EndpointKind(name: "file", schemes: [])

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

  /// The path without links, from the root on.
  public func identity(of path: String) -> String? {
    if let whole = LocalFile.resolved(path) { return whole }
    let name = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
    let parent = path.dropLast(name.count)
    return LocalFile.resolved(parent.isEmpty ? "." : String(parent)).map { "\($0)/\(name)" } ?? path
  }

  private static func resolved(_ path: String) -> String? {
    guard let text = realpath(path, nil) else { return nil }
    defer { free(text) }
    return String(cString: text)
  }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    guard !text.isEmpty else { throw Failure(.usage, "the destination file: names no directory") }
    return text
  }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let target = try LocalTarget(path)
    try target.checkExisting(attributes.existing)
    guard access(target.directory, W_OK | X_OK) == 0 else {
      throw target.directoryFailure(SystemError("access", errno))
    }
  }

  public func spoolDirectory(for path: String) throws(Failure) -> SpoolDirectory? {
    try SpoolDirectory.beside(LocalTarget(path).directory)
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let target = try LocalTarget(upload.path)
    try target.checkExisting(upload.attributes.existing)
    // A copy that an attempt before this one began does not go on.
    try await abandon(upload)
    try await onThread { (isCancelled) throws(Failure) in
      try target.write(upload, pace: rateLimit.map { Pace(bytesPerSecond: $0) }, isCancelled)
      SpoolDirectory.tidy(beside: target.directory)
    }
    return Receipt()
  }

  public func abandon(_ upload: Upload) async throws(Failure) {
    guard let temporary = upload.checkpoint.text else { return }
    try LocalTarget(upload.path).remove(temporary: temporary)
    upload.checkpoint.set(nil)
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

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    let stored: Payload
    do throws(Failure) { stored = try await fill(FillPlan(input: .path(path)), into: noSpool(), Meter()) } catch {
      throw Failure(.server, "\(path) cannot be read after it was written: \(error.message)")
    }
    guard stored.length == payload.length else {
      throw .mismatch("\(path) has \(stored.length) bytes instead of \(payload.length)")
    }
    guard try await stored.digest(.sha256) == payload.digest(.sha256) else {
      throw .mismatch("\(path) does not hold what was written")
    }
    return .sizeAndHash
  }

  private func noSpool() throws(Failure) -> SpoolDirectory {
    throw Failure(.rejected, "it is no regular file")
  }
}

public import BytePath

/// SiYuan: `POST /api/file/putFile` and the calls around it (kernel/api/file.go). Success is `code` 0.
///
/// The kernel writes to a temporary file and renames it, so an upload is whole or absent by itself. It takes one upload at a time, and holds
/// the others at the door, so uploads to one server are made one after the other and the answer is waited for with patience.
public struct SiYuan: BuiltInEndpoint {
  public static let kind = EndpointKind(
    name: "siyuan", title: "SiYuan", example: "siyuan+http://HOST:PORT/data/…",
    schemes: [("siyuan+http", false), ("siyuan+https", true), ("siyuan", true)], tokenVariable: "SIYUAN_TOKEN",
    destination: SiYuan.destination, takesDirectoryTime: true)

  /// The kernel listens on 6806, and shows what is in `data/assets` below `/assets`.
  private static func destination(of page: BaseURL, _ path: String) -> String? {
    guard page.port == 6806 else { return nil }
    return "siyuan+\(page.origin)\(URLText.encoded(path.hasPrefix("/assets/") ? "/data" + path : path))"
  }

  /// The kernel reads a whole upload into memory; from here on that is worth a word.
  private static let largeSize: Int64 = 512 << 20

  private let api: SiYuanAPI
  private let warn: @Sendable (String) -> Void

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    api = try SiYuanAPI(remote, context)
    warn = context.warn
  }

  public var exclusionKey: String? { "siyuan \(api.origin)" }

  public func close() async { await api.close() }

  public func objectPath(_ text: String) throws(Failure) -> String {
    let path = try directoryPath(text)
    guard !path.isEmpty, !text.hasSuffix("/") else {
      throw Failure(.usage, "\(text) names a directory", hint: "add the name of the object: data/assets/NAME")
    }
    return path
  }

  /// Relative to the workspace. What the kernel would change silently is refused.
  public func directoryPath(_ text: String) throws(Failure) -> String {
    let segments = text.split(separator: "/", omittingEmptySubsequences: true)
    if segments.contains(where: { $0 == "." || $0 == ".." }) {
      throw Failure(.usage, "the path \(text) has a . or .. in it", hint: "write the path out")
    }
    if text.last?.isWhitespace == true || segments.first?.first?.isWhitespace == true {
      throw Failure(.rejected, "SiYuan cannot hold a path with a blank at its ends: \"\(text)\"", hint: "choose another name")
    }
    return segments.joined(separator: "/")
  }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    warnOfPlace(path)
    try checkTime(attributes.modified)
    try await api.checkVersion()
    try await api.checkAccess(for: path)
    switch try await api.entry(path) {
    case .folder: throw Failure(.rejected, "\(path) is a directory", hint: "add the name of the object: \(path)/NAME")
    case .file:
      if attributes.existing == .refuse { throw Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it") }
    case .missing:
      // The kernel asks this of new names alone.
      try SiYuanName.check(path)
      try await checkFolders(above: path)
    }
  }

  /// The nearest that is there must be a folder; the kernel makes the others.
  private func checkFolders(above path: String) async throws(Failure) {
    var folder = parent(of: path)
    while !folder.isEmpty {
      switch try await api.entry(folder) {
      case .folder: return
      case .file: throw Failure(.rejected, "\(folder) is a file, not a directory")
      case .missing: folder = parent(of: folder)
      }
    }
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let (payload, path, attributes, meter) = (upload.payload, upload.path, upload.attributes, upload.meter)
    if payload.length > SiYuan.largeSize {
      warn("the object has \(payload.length) bytes, and SiYuan reads a whole upload into memory")
    }
    let modified = attributes.modified ?? millisecondsNow()
    try checkTime(modified)
    if attributes.existing == .refuse, case .file = try await api.entry(path) {
      throw Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it")
    }
    var form = Multipart()
    form.addField("path", path)
    form.addField("isDir", "false")
    form.addField("modTime", String(modified))
    let body = form.body(
      file: path.split(separator: "/").last.map(String.init) ?? path, type: attributes.contentType ?? "application/octet-stream", payload,
      meter)
    let answer = try await api.putFile(form, body, path)
    return Receipt(httpStatus: answer.status, response: answer.report, flaw: answer.flaw)
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    warnOfPlace(path)
    try checkTime(modified)
    if case .missing = try await api.entry(path) { try SiYuanName.check(path) }
    var form = Multipart()
    form.addField("path", path)
    form.addField("isDir", "true")
    if let modified { form.addField("modTime", String(modified)) }
    let answer = try await api.putFile(form, form.body(), path)
    return Receipt(httpStatus: answer.status, response: answer.report, flaw: answer.flaw)
  }

  /// Compares size and hash. A wrong size is noticed, where the kernel tells it, before it has to read the file.
  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    let missing = Failure.mismatch("\(path) is not there after the upload")
    let sha256 = try await payload.digest(.sha256)
    if path.hasPrefix("data/assets/"), case .file = try await api.entry(path) {
      if let size = try await api.assetSize(path), size != payload.length { throw difference(path, size, payload) }
      // Another answer than the file itself proves nothing, so only a good one counts.
      if let stored = try await api.asset(path, limit: payload.length), stored.size == payload.length, stored.sha256 == sha256 {
        return .sizeAndHash
      }
    }
    guard let stored = try await api.file(path, limit: payload.length) else { throw missing }
    guard stored.size == payload.length, stored.sha256 == sha256 else { throw difference(path, stored.size, payload) }
    return .sizeAndHash
  }

  private func difference(_ path: String, _ size: Int64, _ payload: Payload) -> Failure {
    let what =
      if size == payload.length {
        "other bytes on the server than were sent"
      } else if size > payload.length {
        "more than the \(payload.length) bytes that were sent on the server"
      } else {
        "\(size) bytes on the server instead of \(payload.length)"
      }
    return .mismatch("\(path) has \(what)")
  }

  /// The kernel counts nanoseconds in 64 bits, and makes another time of what is longer: 1915 of 2500.
  private func checkTime(_ milliseconds: Int64?) throws(Failure) {
    let latest = Int64.max / 1_000_000
    guard let milliseconds, !(-latest...latest).contains(milliseconds) else { return }
    throw Failure(
      .rejected, "SiYuan cannot hold a time before 1678 or after 2262: \(milliseconds) ms", hint: "give another time with --mtime")
  }

  /// The kernel protects nothing in its workspace, its own configuration included.
  private func warnOfPlace(_ path: String) {
    guard !["data", "temp"].contains(path.prefix { $0 != "/" }) else { return }
    warn("\(path) is outside data/ and temp/, where SiYuan keeps its own files")
  }

  private func parent(of path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
  }
}

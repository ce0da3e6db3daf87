public import BytePath

/// SiYuan: `POST /api/file/putFile` and the calls around it (kernel/api/file.go). Success is `code` 0.
///
/// The kernel writes to a temporary file and renames it, so an upload is whole or absent by itself. It takes one upload at a time, and holds
/// the others at the door, so uploads to one server are made one after the other and the answer is waited for with patience.
public struct SiYuan: BuiltInStore, RemovingStore, DirectoryStore {
  public static let kind = EndpointKind(
    name: "siyuan", title: "SiYuan", example: "siyuan+http://HOST:PORT/data/…",
    schemes: [("siyuan+http", false), ("siyuan+https", true), ("siyuan", true)], options: [SiYuanAssets.option],
    tokenVariable: "SIYUAN_TOKEN",
    destination: SiYuan.destination, takesDirectoryTime: true)

  /// The kernel listens on 6806, and shows what is in `data/assets` below `/assets`.
  private static func destination(of page: BaseURL, _ path: String) -> String? {
    guard page.port == 6806 else { return nil }
    return "siyuan+\(page.origin)\(URLText.encoded(path.hasPrefix("/assets/") ? "/data" + path : path))"
  }

  /// The kernel reads a whole upload into memory; from here on that is worth a word.
  private static let largeSize: Int64 = 512 << 20

  let api: SiYuanAPI
  let assets = SiYuanAssets()
  private let warn: @Sendable (String) -> Void

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    api = try SiYuanAPI(remote, context)
    warn = context.warn
  }

  public var serialKey: String? { "siyuan \(api.origin)" }

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

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    var traits = Traits()
    traits.publishesAtomically = true
    traits.readsToVerify = true
    return traits
  }

  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {
    if attributes.has(SiYuanAssets.option.key) { assets.expect(path) } else { warnOfPlace(path) }
    try checkTime(attributes.modified)
    try await api.checkVersion()
    try await api.checkAccess(for: path)
  }

  /// The kernel asks for its rules of new names alone, and makes the folders above.
  public func probeNew(_ path: String) async throws(Failure) {
    if !assets.has(path) { try SiYuanName.check(path) }
    var folder = TemporaryName.folder(of: path).dropLast()
    while !folder.isEmpty {
      switch try await api.entry(String(folder)) {
      case .folder: return
      case .file: throw Failure(.rejected, "\(folder) is a file, not a directory")
      case .missing: folder = TemporaryName.folder(of: String(folder)).dropLast()
      }
    }
  }

  /// The kernel can't be told to replace nothing.
  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let (payload, attributes) = (upload.payload, upload.attributes)
    if payload.length > SiYuan.largeSize {
      warn("the object has \(payload.length) bytes, and SiYuan reads a whole upload into memory")
    }
    if attributes.has(SiYuanAssets.option.key) { return try await putAsset(upload, at: path) }
    let modified = attributes.modified ?? millisecondsNow()
    try checkTime(modified)
    var form = Multipart()
    form.addField("path", path)
    form.addField("isDir", "false")
    form.addField("modTime", String(modified))
    let name = String(path.dropFirst(TemporaryName.folder(of: path).count))
    let body = form.body(file: name, as: "file", type: attributes.contentType, payload, upload.meter)
    return Receipt(try await api.upload(form, body, by: "/api/file/putFile", path))
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    warnOfPlace(path)
    try checkTime(modified)
    if case .missing = try await api.entry(path) { try SiYuanName.check(path) }
    var form = Multipart()
    form.addField("path", path)
    form.addField("isDir", "true")
    if let modified { form.addField("modTime", String(modified)) }
    return Receipt(try await api.upload(form, form.body(), by: "/api/file/putFile", path))
  }

  /// A directory would go with all that is in it. Kernels before April 2026 take an empty path for the whole workspace.
  public func remove(_ path: String) async throws(Failure) {
    guard try objectPath(path) == path else { throw Failure(.usage, "\(path) is not written as SiYuan writes a path") }
    switch try await api.entry(path) {
    case .missing: return
    case .folder: throw Failure(.rejected, "\(path) is a directory")
    case .file: try await api.remove(path)
    }
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
}

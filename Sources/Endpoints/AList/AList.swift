public import BytePath

/// AList and OpenList: `PUT /api/fs/put` and the calls around it.
///
/// All of `/api` answers HTTP 200; only `code` in the body says whether the call worked (server/common/common.go of both).
/// The server's put is not whole or absent by itself; `AListPublication` makes it so where it can.
public struct AList: BuiltInEndpoint {
  public static let kind = EndpointKind(
    name: "alist", title: "AList and OpenList", example: "alist+http://HOST:PORT/PATH",
    schemes: [("alist+http", false), ("alist+https", true), ("alist", true)],
    options: [
      StoreOption("as-task", "let the server bring the object to its storage after it has it"),
      StoreOption("wait", "wait until the task has ended", needs: "as-task"),
      .direct,
      StoreOption("chunked", "send the object in chunks, of this size if one is given") { (value) throws(Failure) in
        guard value.isEmpty || SizeText.bytes(value).map({ $0 >= 1 << 20 }) == true else {
          throw Failure(.usage, "-o chunked takes a size from 1M on, or none")
        }
      },
    ],
    tokenVariable: "ALIST_TOKEN", destination: AList.destination)

  /// The servers listen on 5244 unless told otherwise; their pages show files below `/`, and send them from `/d` and `/p`
  /// (server/router.go).
  private static func destination(of page: BaseURL, _ path: String) -> String? {
    guard page.port == 5244 else { return nil }
    let prefix = ["/d/", "/p/", "/dav/"].first { path.hasPrefix($0) }
    return "alist+\(page.origin)\(URLText.encoded(prefix.map { "/" + path.dropFirst($0.count) } ?? path))"
  }

  private let api: AListAPI
  private let warn: @Sendable (String) -> Void

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    api = try AListAPI(remote, context)
    warn = context.warn
  }

  public func close() async { await api.close() }

  public func objectPath(_ text: String) throws(Failure) -> String {
    let path = try directoryPath(text)
    guard path != "/", !text.hasSuffix("/") else {
      throw Failure(.usage, "\(path) names a directory", hint: "add the name of the object: \(path == "/" ? "" : path)/NAME")
    }
    return path
  }

  /// Paths that the server would change, or take for another one, are refused (server/middlewares/fsup.go, pkg/utils/path.go).
  public func directoryPath(_ text: String) throws(Failure) -> String {
    let segments = text.split(separator: "/", omittingEmptySubsequences: true)
    if segments.contains(where: { $0 == "." || $0 == ".." }) {
      throw Failure(.usage, "the path \(text) has a . or .. in it", hint: "write the path out")
    }
    if text.contains("\\") {
      throw Failure(.rejected, "AList cannot hold a name with a backslash: \(text)", hint: "choose another name")
    }
    if let name = segments.last, name.utf8.count > 255 { warn("the name is longer than 255 bytes, which many storages refuse") }
    return "/" + segments.joined(separator: "/")
  }

  public func checkOptions(_ options: [String: String]) throws(Failure) {
    if options["as-task"] != nil, let other = ["chunked", "direct"].first(where: { options[$0] != nil }) {
      throw Failure(
        .usage, "as-task and \(other) contradict each other", hint: "a task takes the object in one piece, and stores it its own way")
    }
  }

  public func checkUse(_ use: Use, _ options: [String: String]) throws(Failure) {
    guard options["as-task"] != nil else { return }
    if use.isInParts {
      throw Failure(.usage, "as-task does not go with --part-size", hint: "a set is complete when its parts are, and a task is not")
    }
    if use.verifies, options["wait"] == nil {
      throw Failure(.usage, "--verify with as-task needs -o wait", hint: "before the task ends there is nothing to verify")
    }
  }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let user = try await api.user()
    if attributes.has("as-task"), user.isGuest {
      throw Failure(.auth, "a guest cannot use -o as-task, as it may not ask for its tasks", hint: "set ALIST_TOKEN")
    }
    try await api.find(path).entry?.refuse(path, attributes.existing)
    try await api.checkUpload(to: path, user)
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    do throws(Failure) { return try await AListPut(api: api, upload: upload, warn: warn).receipt() } catch {
      var failure = error
      // The attempt that ends a run need not be the one that left something.
      failure.left += AListMemory(checkpoint: upload.checkpoint, path: upload.path).left.filter { !failure.left.contains($0) }
      throw failure
    }
  }

  /// Those that the drive behind the path takes a file by.
  public func wantedHashes(for path: String) async -> Set<HashAlgorithm> {
    await Set(AListDrive.hashesThatHelp((try? api.driver(of: AList.parent(of: path))) ?? nil))
  }

  public func abandon(_ upload: Upload) async throws(Failure) {
    try await AListMemory(checkpoint: upload.checkpoint, path: upload.path).discard(length: upload.payload.length, with: api)
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    let reply = try await api.call("/api/fs/mkdir", ["path": .string(path)])
    try AListCode.check(reply, path)
    return Receipt(httpStatus: reply.answer.status, response: reply.answer.report)
  }

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    try await api.compare(path, with: payload)
  }

  /// The folder that holds `path`.
  static func parent(of path: String) -> String {
    let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    return parent.isEmpty ? "/" : String(parent)
  }

  /// The last part of `path`.
  static func name(of path: String) -> String {
    String(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...])
  }
}

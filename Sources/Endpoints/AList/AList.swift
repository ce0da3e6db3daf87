public import BytePath

/// AList and OpenList: `PUT /api/fs/put` and the calls around it.
///
/// All of `/api` answers HTTP 200; only `code` in the body says whether the call worked (server/common/common.go of both).
public struct AList: BuiltInEndpoint {
  public static let kind = EndpointKind(
    name: "alist", schemes: [("alist+http", false), ("alist+https", true), ("alist", true)], options: ["as-task", "wait"],
    tokenVariable: "ALIST_TOKEN")

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

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let user = try await api.user()
    if attributes.has("as-task"), user.isGuest {
      throw Failure(.auth, "a guest cannot use -o as-task, as it may not ask for its tasks", hint: "set ALIST_TOKEN")
    }
    if let existing = try await api.entry(path) { try refuse(existing, path, attributes.existing) }
    guard try await api.mayWrite(to: parent(of: path), user) else {
      throw Failure(.auth, "no permission to upload to \(parent(of: path)); the token is of user \"\(user.name)\"")
    }
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let (payload, path, attributes, meter) = (upload.payload, upload.path, upload.attributes, upload.meter)
    let existing = try await entryBeforePut(path)
    // What a broken connection left of an attempt before this one is no object to be kept.
    let isOwnRest = existing != nil && api.hasBegun(path)
    if let existing { try refuse(existing, path, isOwnRest ? .overwrite : attributes.existing) } else { api.begin(path) }
    let isTask = attributes.has("as-task") && payload.length > 0
    if attributes.has("as-task"), !isTask { warn("an empty object is not sent as a task, which OpenList always fails") }
    let tasks = AListTask(api, path, meter)
    if isTask, let task = try await tasks.begunEarlier() {
      return Receipt(task: try await tasks.follow(task, untilEnd: attributes.has("wait")))
    }
    // The server puts the header through Go's `url.PathUnescape` once.
    var headers: [(name: String, value: String)] = [("File-Path", URLText.encoded(path))]
    if let type = attributes.contentType { headers.append(("Content-Type", type)) }
    if let modified = attributes.modified { headers.append(("Last-Modified", String(modified))) }
    // The server then guards against what appeared since the look: a put onto a folder can delete it with all that is in it.
    if existing == nil || (attributes.existing == .refuse && !isOwnRest) { headers.append(("Overwrite", "false")) }
    if isTask { headers.append(("As-Task", "true")) }
    for (name, value) in try await hashes(of: payload, for: path) { headers.append((name, value)) }

    var request = HTTPRequest(method: .put, url: "", headers: headers, body: HTTPBody(payload: payload, meter: meter), isUpload: true)
    request.url = api.url("/api/fs/put")
    let reply: AListReply
    do throws(Failure) { reply = try await api.reply(to: request) } catch {
      throw withWarningOfRest(error, path, wasSent: meter.sent > 0 && !isTask)
    }
    try AListCode.checkPut(reply, path, mayRetryExisting: attributes.existing == .overwrite)
    guard reply.answer.isAfterWholeBody else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(api.origin) reports success before it had the whole object", retryable: true))
    }
    var receipt = Receipt(httpStatus: reply.answer.status, response: reply.answer.report)
    if isTask {
      guard let task = reply.data?["task"], task["id"]?.string != nil else {
        throw reply.answer.withEvidence(Failure(.protocol, "the server did not say which task it made of the upload"))
      }
      receipt.task = try await tasks.follow(task, untilEnd: attributes.has("wait"))
    }
    return receipt
  }

  /// Those that the drive behind the path takes a file by.
  public func wantedHashes(for path: String) async -> Set<HashAlgorithm> {
    await Set(AListDrive.hashesThatHelp((try? api.provider(of: parent(of: path))) ?? nil))
  }

  public func makeDirectory(_ path: String) async throws(Failure) -> Receipt {
    let reply = try await api.call("/api/fs/mkdir", ["path": path])
    try AListCode.check(reply, path)
    return Receipt(httpStatus: reply.answer.status, response: reply.answer.report)
  }

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    // The listing is refreshed first, because both servers may answer from a cache that holds the declared size or the old object.
    _ = try await api.call("/api/fs/list", ["path": parent(of: path)], refreshing: true)
    guard let entry = try await api.entry(path), !entry.isFolder else {
      throw Failure(.server, "\(path) is not there after the upload", retryable: true)
    }
    guard entry.size == payload.length else {
      throw Failure(.server, "\(path) has \(entry.size) bytes on the server instead of \(payload.length)", retryable: true)
    }
    var verification = Verification.size
    for algorithm in HashAlgorithm.allCases {
      guard let theirs = entry.hashes[algorithm] else { continue }
      let ours = try await payload.digest(algorithm)
      guard theirs.lowercased() == ours else {
        throw Failure(.server, "\(path) has the \(algorithm.rawValue) \(theirs) on the server instead of \(ours)", retryable: true)
      }
      verification = .sizeAndHash
    }
    return verification
  }

  private func parent(of path: String) -> String {
    let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    return parent.isEmpty ? "/" : String(parent)
  }

  /// What is at `path`; nil if nothing is, or if that can't be told and only a guarded put is safe.
  private func entryBeforePut(_ path: String) async throws(Failure) -> AListEntry? {
    do throws(Failure) {
      return try await api.entry(path)
    } catch {
      guard error.kind == .rejected || (error.kind == .server && error.httpStatus == 200) else { throw error }
      return nil
    }
  }

  /// Local storage writes to the final name at once, and drives that cannot overwrite move the old object aside (internal/op/fs.go).
  private func withWarningOfRest(_ failure: Failure, _ path: String, wasSent: Bool) -> Failure {
    var failure = failure
    if wasSent, [.unreachable, .timeout].contains(failure.kind), failure.hint == nil {
      failure.hint =
        "what is at \(path) now may be cut; the object before it may be there as \(path).alist_to_delete or .openlist_to_delete"
    }
    return failure
  }

  private func refuse(_ entry: AListEntry, _ path: String, _ existing: Existing) throws(Failure) {
    if entry.isFolder {
      throw Failure(
        .rejected, "\(path) is a folder, which an upload to its name could delete with all that is in it",
        hint: "add the name of the object: \(path)/NAME")
    }
    if existing == .refuse { throw Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it") }
  }

  /// Hash headers spare some drives the second way of the bytes, from the server to the drive: those that can take a file by its hash. The
  /// server itself checks none, so they are sent where such a drive is alone.
  private func hashes(of payload: Payload, for path: String) async throws(Failure) -> [(name: String, value: String)] {
    guard payload.length > 0 else { return [] }
    var headers: [(name: String, value: String)] = []
    for algorithm in AListDrive.hashesThatHelp(try await api.provider(of: parent(of: path))) {
      let value = try await payload.digest(algorithm)
      headers.append((algorithm.headerName, value))
    }
    return headers
  }
}

extension HashAlgorithm {
  fileprivate var headerName: String {
    switch self {
    case .md5: "X-File-Md5"
    case .sha1: "X-File-Sha1"
    case .sha256: "X-File-Sha256"
    }
  }
}

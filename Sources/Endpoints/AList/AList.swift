public import BytePath

/// AList and OpenList: `PUT /api/fs/put` and the calls around it.
///
/// All of `/api` answers HTTP 200; only `code` in the body says whether the call worked (server/common/common.go of both).
public struct AList: BuiltInStore, RenamingStore, DirectoryStore {
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

  let api: AListAPI
  let places: AListPlaces
  private let folders: AListFolders
  private let tasks: AListTasks
  private let warn: @Sendable (String) -> Void

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    api = try AListAPI(remote, context)
    places = AListPlaces(api)
    folders = AListFolders(api)
    tasks = AListTasks(api)
    warn = context.warn
  }

  public func close() async { await api.close() }

  public func objectPath(_ text: String) throws(Failure) -> String {
    warnOfLength(text)
    return try AList.objectPath(text)
  }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    warnOfLength(text)
    return try AList.directoryPath(text)
  }

  private func warnOfLength(_ text: String) {
    if let name = text.split(separator: "/").last, name.utf8.count > 255 {
      warn("the name is longer than 255 bytes, which many storages refuse")
    }
  }

  static func objectPath(_ text: String) throws(Failure) -> String {
    let path = try directoryPath(text)
    guard path != "/", !text.hasSuffix("/") else {
      throw Failure(.usage, "\(path) names a directory", hint: "add the name of the object: \(path == "/" ? "" : path)/NAME")
    }
    return path
  }

  /// Paths that the server would change, or take for another one, are refused (server/middlewares/fsup.go, pkg/utils/path.go).
  private static func directoryPath(_ text: String) throws(Failure) -> String {
    let segments = text.split(separator: "/", omittingEmptySubsequences: true)
    if segments.contains(where: { $0 == "." || $0 == ".." }) {
      throw Failure(.usage, "the path \(text) has a . or .. in it", hint: "write the path out")
    }
    if text.contains("\\") {
      throw Failure(.rejected, "AList cannot hold a name with a backslash: \(text)", hint: "choose another name")
    }
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
    if use.hasSum, options["wait"] == nil {
      throw Failure(.usage, "--sum with as-task needs -o wait", hint: "before the task ends there is nothing that it would be of")
    }
  }

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    let isTask = attributes.has("as-task")
    // AList refuses to rename to a name with two dots in it (server/handles/fsmanage.go).
    let mayStage = !isTask && !attributes.has("direct") && !AList.name(of: path).contains("..")
    let folder = try await folders.facts(for: path, asksRename: mayStage)
    if let look = folder.look { folders.note(look, at: path) }
    var traits = Traits()
    traits.publishesAtomically = !folder.drive.writesInPlace
    if mayStage, folder.mayRename == true { traits.renames = folder.drive.renamesOver ? .ontoAnything : .ontoNothing }
    // A put onto a folder can delete it with all that is in it (internal/op/fs.go, Put).
    traits.guardsNewNames = true
    traits.wantedHashes = Set(folder.drive.hashesThatHelp)
    // Drives that cannot overwrite have the older object moved aside (internal/op/fs.go, Put).
    traits.asideEndings = [".alist_to_delete", ".openlist_to_delete"]
    return traits
  }

  /// Asks whether the server would take an upload, by a form without a file: that goes through the same doors as a put (FsUp in
  /// server/middlewares/fsup.go, FsForm in server/handles/fsup.go), and then is refused for the lack of it. A listing does not tell, as what holds
  /// for a folder that is not there yet need not hold for those above it, and a user's own root may be missing, too.
  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {
    if attributes.has("as-task"), try await api.user().isGuest {
      throw Failure(.auth, "a guest cannot use -o as-task, as it may not ask for its tasks", hint: "set ALIST_TOKEN")
    }
    let reply: AListReply
    do throws(Failure) {
      reply = try await api.reply(
        to: HTTPRequest(method: .put, url: api.url("/api/fs/form"), headers: [("File-Path", URLText.encoded(path))]))
    } catch {
      // A proxy may let only those calls pass that it knows.
      guard error.httpStatus == nil || error.isRetryable else { return }
      throw error
    }
    switch reply.code {
    case 403:
      let user = (try? await api.user()).map { "; the token is of user \"\($0.name)\"" } ?? ""
      throw reply.answer.withEvidence(
        Failure(.auth, "no permission to upload to \(AList.parent(of: path)): \(reply.message) (403)\(user)"))
    case 400..<500: try AListCode.check(reply, path)
    default: break
    }
  }

  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    if fresh {
      if let stored = try await listed(path) { return .stored(stored) }
    } else if let known = folders.takeLook(at: path) {
      return known
    }
    return try await api.look(at: path).finding
  }

  /// Has the server look at a folder anew, and returns what that tells of an object; nil if it does not. Both servers may answer from a cache
  /// that holds the declared size or the older object. What a listing does not show may be hidden, or on another page.
  private func listed(_ path: String) async throws(Failure) -> Stored? {
    let reply = try await api.list(AList.parent(of: path), page: 1, refreshing: true)
    guard reply.code == 200 else { return nil }
    return (try? reply.entries(in: AList.parent(of: path)))?.first { $0.path.utf8.elementsEqual(path.utf8) }
  }

  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let isTask = upload.attributes.has("as-task")
    if isTask, upload.payload.length > 0 { return try await putAsTask(upload, at: path, condition) }
    if isTask { warn("an empty object is not sent as a task, which OpenList always fails") }
    return Receipt(try await send(upload, to: path, condition).answer)
  }

  /// The server takes the whole object before it touches what is there, so a cut connection harms nothing.
  private func putAsTask(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let waits = upload.attributes.has("wait")
    if let task = try await tasks.begunEarlier(path, upload.meter) {
      return Receipt(task: try await tasks.follow(task, of: path, untilEnd: waits, upload.meter))
    }
    let reply = try await send(upload, to: path, condition, asTask: true)
    var receipt = Receipt(reply.answer)
    if receipt.isEarly { return receipt }
    guard let task = reply.data?["task"], task["id"]?.string != nil else {
      throw reply.answer.withEvidence(Failure(.protocol, "the server did not say which task it made of the upload"))
    }
    // Before the task ends there is nothing to look for.
    if !waits { receipt.flaw = nil }
    receipt.task = try await tasks.follow(task, of: path, untilEnd: waits, upload.meter)
    return receipt
  }

  private func send(_ upload: Upload, to path: String, _ condition: Condition, asTask: Bool = false) async throws(Failure) -> AListReply {
    var headers = try await headers(of: upload, to: path, condition)
    if asTask { headers.append(("As-Task", "true")) }
    let body = HTTPBody(payload: upload.payload, meter: upload.meter)
    let request = HTTPRequest(method: .put, url: api.url("/api/fs/put"), headers: headers, body: body, isUpload: true)
    let reply: AListReply
    do throws(Failure) { reply = try await api.reply(to: request) } catch {
      guard error.httpStatus == 413, (try? await api.largestChunk()) != nil else { throw error }
      var failure = error
      failure.hint = "send it in pieces: -o chunked=1M\(asTask ? " in place of -o as-task" : "")"
      throw failure
    }
    try AListCode.checkExisting(reply, upload.path)
    return reply
  }

  /// Those that tell of an object and what to do with one that is there.
  func headers(of upload: Upload, to path: String, _ condition: Condition) async throws(Failure) -> [(name: String, value: String)] {
    // The server puts the header through Go's `url.PathUnescape` once.
    var headers: [(name: String, value: String)] = [("File-Path", URLText.encoded(path))]
    if let type = upload.attributes.contentType { headers.append(("Content-Type", type)) }
    if let modified = upload.attributes.modified { headers.append(("Last-Modified", String(modified))) }
    if condition == .absent { headers.append(("Overwrite", "false")) }
    guard upload.payload.length > 0 else { return headers }
    // Hash headers spare some drives the second way of the bytes, from the server to the drive: those that can take a file by its hash. The
    // server itself checks none, so they are sent where such a drive is alone.
    for algorithm in try await folders.facts(for: path, asksRename: false).drive.hashesThatHelp {
      headers.append((algorithm.headerName, try await upload.payload.digest(algorithm).hex))
    }
    return headers
  }

  public func temporaryName(beside path: String) -> String { TemporaryName.beside(path) }

  public func rename(_ path: String, to target: String, _ condition: Condition) async throws(Failure) -> Renamed {
    let reply = try await api.rename(path, to: AList.name(of: target), overwriting: condition == .any)
    // Before this the server had only said that it knows the call and allows it.
    if reply.code != 200, AListCode.saysNotImplemented(reply.message) {
      folders.forbidRenames(in: AList.parent(of: path))
      return .impossible(
        reply.answer.withEvidence(Failure(.rejected, "the storage cannot rename \(path): \(reply.message) (\(reply.code))")))
    }
    try AListCode.checkExisting(reply, target)
    return .done(Receipt(reply.answer))
  }

  /// The call itself would remove a whole folder, too, and takes nothing that the server does not remember for a success.
  public func remove(_ path: String) async throws(Failure) {
    let folder = AList.parent(of: path)
    if path.contains(TemporaryName.mark) {
      _ = try await api.list(folder, page: 1, of: 1, refreshing: true)
    } else if try await stat(path, fresh: true).stored?.isDirectory == true {
      throw Failure(.rejected, "\(path) is a directory", hint: "name an object")
    }
    let body: JSONValue = ["dir": .string(folder), "names": JSONValue([AList.name(of: path)])]
    try AListCode.check(try await api.call("/api/fs/remove", body), path)
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    let reply = try await api.call("/api/fs/mkdir", ["path": .string(path)])
    try AListCode.check(reply, path)
    return Receipt(reply.answer)
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

extension HashAlgorithm {
  fileprivate var headerName: String {
    switch self {
    case .md5: "X-File-Md5"
    case .sha1: "X-File-Sha1"
    case .sha256: "X-File-Sha256"
    }
  }
}

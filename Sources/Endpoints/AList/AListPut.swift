import BytePath

/// One attempt to put an object: under a temporary name that is renamed when the object is whole, where the server and the drive behind it
/// allow that, otherwise under its own name.
struct AListPut {
  let api: AListAPI
  let upload: Upload
  let warn: @Sendable (String) -> Void

  private var path: String { upload.path }
  private var attributes: Attributes { upload.attributes }

  func receipt() async throws(Failure) -> Receipt {
    let found = try await api.find(path)
    let existing = found.entry
    // What a broken connection left of an attempt before this one is no object to be kept. But it can't be told from what somebody else has
    // put there meanwhile, so that who wants to replace nothing is told of it.
    let isOwnRest = existing != nil && api.hasBegun(path) && attributes.existing == .overwrite
    try existing?.refuse(path, attributes.existing)
    let isTask = attributes.has("as-task") && upload.payload.length > 0
    if attributes.has("as-task"), !isTask { warn("an empty object is not sent as a task, which OpenList always fails") }
    if !isTask, !attributes.has("direct"), !isOwnRest, found.isTold {
      let publication = AListPublication(put: self, old: existing)
      if try await publication.isPossible() { return try await publication.receipt() }
    }
    if existing == nil { api.begin(path) }
    // The server then guards against what appeared since the look: a put onto a folder can delete it with all that is in it.
    let isGuarded = existing == nil || attributes.existing == .refuse
    return isTask ? try await putAsTask(isGuarded: isGuarded) : try await putDirectly(isGuarded: isGuarded)
  }

  private func putDirectly(isGuarded: Bool) async throws(Failure) -> Receipt {
    do throws(Failure) {
      let receipt = try await transfer(to: path, isGuarded: isGuarded)
      upload.checkpoint.set(nil)
      return receipt
    } catch {
      throw withWarningOfRest(error)
    }
  }

  /// The server takes the whole object before it touches what is there, so a cut connection harms nothing.
  private func putAsTask(isGuarded: Bool) async throws(Failure) -> Receipt {
    let tasks = AListTask(api, path, upload.meter)
    if let task = try await tasks.begunEarlier() {
      return Receipt(task: try await tasks.follow(task, untilEnd: attributes.has("wait")))
    }
    let reply = try await send(to: path, isGuarded: isGuarded, asTask: true)
    guard let task = reply.data?["task"], task["id"]?.string != nil else {
      throw reply.answer.withEvidence(Failure(.protocol, "the server did not say which task it made of the upload"))
    }
    // Before the task ends there is nothing to look for.
    let flaw = attributes.has("wait") ? reply.answer.flaw : nil
    var receipt = Receipt(httpStatus: reply.answer.status, response: reply.answer.report, flaw: flaw)
    receipt.task = try await tasks.follow(task, untilEnd: attributes.has("wait"))
    return receipt
  }

  /// Brings the whole object to `name`, in chunks or in one piece.
  ///
  /// - Parameter isGuarded: whether the server is to refuse if something is there.
  func transfer(to name: String, isGuarded: Bool) async throws(Failure) -> Receipt {
    if wantsSession, let receipt = try await session(for: name, isGuarded: isGuarded).receipt() { return receipt }
    let reply = try await send(to: name, isGuarded: isGuarded)
    return Receipt(httpStatus: reply.answer.status, response: reply.answer.report, flaw: reply.answer.flaw)
  }

  private var wantsSession: Bool {
    upload.payload.length > 0 && (attributes.has("chunked") || upload.payload.length >= AListSession.largeSize)
  }

  private func session(for name: String, isGuarded: Bool) async throws(Failure) -> AListSession {
    var headers = try await headers(for: name, isGuarded: isGuarded, hashes: [.sha256])
    // By it the server knows its own session again (internal/multipart/session.go, Init).
    headers.append((HashAlgorithm.sha256.headerName, try await upload.payload.digest(.sha256)))
    let chunkSize = attributes.options["chunked"].flatMap { SizeText.bytes($0) }
    return AListSession(api: api, upload: upload, name: name, headers: headers, chunkSize: chunkSize)
  }

  private func headers(
    for name: String, isGuarded: Bool, hashes excluded: Set<HashAlgorithm> = []
  ) async throws(Failure) -> [(name: String, value: String)] {
    // The server puts the header through Go's `url.PathUnescape` once.
    var headers: [(name: String, value: String)] = [("File-Path", URLText.encoded(name))]
    if let type = attributes.contentType { headers.append(("Content-Type", type)) }
    if let modified = attributes.modified { headers.append(("Last-Modified", String(modified))) }
    if isGuarded { headers.append(("Overwrite", "false")) }
    guard upload.payload.length > 0 else { return headers }
    // Hash headers spare some drives the second way of the bytes, from the server to the drive: those that can take a file by its hash. The
    // server itself checks none, so they are sent where such a drive is alone.
    for algorithm in AListDrive.hashesThatHelp(try await api.driver(of: AList.parent(of: path))) where !excluded.contains(algorithm) {
      headers.append((algorithm.headerName, try await upload.payload.digest(algorithm)))
    }
    return headers
  }

  private func send(to name: String, isGuarded: Bool, asTask: Bool = false) async throws(Failure) -> AListReply {
    var headers = try await headers(for: name, isGuarded: isGuarded)
    if asTask { headers.append(("As-Task", "true")) }
    let body = HTTPBody(payload: upload.payload, meter: upload.meter)
    let request = HTTPRequest(method: .put, url: api.url("/api/fs/put"), headers: headers, body: body, isUpload: true)
    let reply = try await api.reply(to: request)
    try AListCode.checkPut(reply, path, mayRetryExisting: attributes.existing == .overwrite)
    guard reply.answer.isAfterWholeBody else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(api.origin) reports success before it had the whole object", retryable: true))
    }
    return reply
  }

  /// Local storage writes to the final name at once, and drives that cannot overwrite move the old object aside (internal/op/fs.go).
  private func withWarningOfRest(_ failure: Failure) -> Failure {
    var failure = failure
    if upload.meter.sent > 0, [.unreachable, .timeout].contains(failure.kind), failure.hint == nil {
      failure.hint =
        "what is at \(path) now may be cut; the object before it may be there as \(path).alist_to_delete or .openlist_to_delete"
    }
    return failure
  }
}

extension AListEntry {
  /// - Throws: `rejected` if it is a folder, `exists` if it may not be replaced.
  func refuse(_ path: String, _ existing: Existing) throws(Failure) {
    if isFolder {
      throw Failure(
        .rejected, "\(path) is a folder, which an upload to its name could delete with all that is in it",
        hint: "add the name of the object: \(path)/NAME")
    }
    if existing == .refuse { throw Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it") }
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

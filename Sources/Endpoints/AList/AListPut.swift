import BytePath
import Synchronization

/// One attempt to put an object: under a temporary name that is renamed when the object is whole, where the server and the drive behind it
/// allow that, otherwise under its own name.
struct AListPut {
  let api: AListAPI
  let upload: Upload
  let warn: @Sendable (String) -> Void

  private var path: String { upload.path }
  private var attributes: Attributes { upload.attributes }

  func receipt() async throws(Failure) -> Receipt {
    // What an attempt before this one has moved aside comes back to its place, or goes, before anything else is asked.
    if let noted = memory.noted, let aside = noted.aside, try await swap(noted.name, aside).settleEarlier() { return Receipt() }
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
    if try await writesInPlace() { memory.note(.sending, path) }
    do throws(Failure) {
      return isTask ? try await putAsTask(isGuarded: isGuarded) : try await putDirectly(isGuarded: isGuarded)
    } catch {
      throw await namingRest(of: error, existing)
    }
  }

  private func writesInPlace() async throws(Failure) -> Bool {
    AListDrive.writesInPlace(try await api.driver(of: AList.parent(of: path)))
  }

  private var memory: AListMemory { AListMemory(checkpoint: upload.checkpoint, path: path) }

  func swap(_ temporary: String, _ aside: String) -> AListSwap {
    AListSwap(api: api, memory: memory, length: upload.payload.length, temporary: temporary, aside: aside, warn: warn)
  }

  private func putDirectly(isGuarded: Bool) async throws(Failure) -> Receipt {
    let receipt = try await transfer(to: path, isGuarded: isGuarded)
    memory.clear()
    return receipt
  }

  /// The server takes the whole object before it touches what is there, so a cut connection harms nothing.
  private func putAsTask(isGuarded: Bool) async throws(Failure) -> Receipt {
    let tasks = AListTask(api, path, upload.meter)
    if let task = try await tasks.begunEarlier() {
      let receipt = Receipt(task: try await tasks.follow(task, untilEnd: attributes.has("wait")))
      memory.clear()
      return receipt
    }
    let reply = try await send(to: path, isGuarded: isGuarded, asTask: true)
    guard let task = reply.data?["task"], task["id"]?.string != nil else {
      throw reply.answer.withEvidence(Failure(.protocol, "the server did not say which task it made of the upload"))
    }
    // Before the task ends there is nothing to look for.
    let flaw = attributes.has("wait") ? reply.answer.flaw : nil
    var receipt = Receipt(httpStatus: reply.answer.status, response: reply.answer.report, flaw: flaw)
    receipt.task = try await tasks.follow(task, untilEnd: attributes.has("wait"))
    memory.clear()
    return receipt
  }

  /// Brings the whole object to `name`, in chunks or in one piece.
  ///
  /// - Parameter isGuarded: whether the server is to refuse if something is there.
  func transfer(to name: String, isGuarded: Bool) async throws(Failure) -> Receipt {
    // The server is asked first: a hash that it may want of a large object takes a while.
    if wantsSession, let largest = try await api.largestChunk() {
      let session = AListSession(
        api: api, upload: upload, name: name, headers: try await headers(for: name, isGuarded: isGuarded),
        chunkSize: attributes.options["chunked"].flatMap { SizeText.bytes($0) }, largestChunk: largest)
      if let receipt = try await session.receipt() { return receipt }
    }
    let reply = try await send(to: name, isGuarded: isGuarded)
    return Receipt(httpStatus: reply.answer.status, response: reply.answer.report, flaw: reply.answer.flaw)
  }

  private var wantsSession: Bool {
    upload.payload.length > 0 && (attributes.has("chunked") || upload.payload.length >= AListSession.largeSize)
  }

  private func headers(for name: String, isGuarded: Bool) async throws(Failure) -> [(name: String, value: String)] {
    // The server puts the header through Go's `url.PathUnescape` once.
    var headers: [(name: String, value: String)] = [("File-Path", URLText.encoded(name))]
    if let type = attributes.contentType { headers.append(("Content-Type", type)) }
    if let modified = attributes.modified { headers.append(("Last-Modified", String(modified))) }
    if isGuarded { headers.append(("Overwrite", "false")) }
    guard upload.payload.length > 0 else { return headers }
    // Hash headers spare some drives the second way of the bytes, from the server to the drive: those that can take a file by its hash. The
    // server itself checks none, so they are sent where such a drive is alone.
    for algorithm in AListDrive.hashesThatHelp(try await api.driver(of: AList.parent(of: path))) {
      headers.append((algorithm.headerName, try await upload.payload.digest(algorithm).hex))
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

  /// The failure with what is left of an object that went straight to its name. Local storage writes there at once, and drives that cannot
  /// overwrite move the old object aside (internal/op/fs.go); where a server dies, or its disk is full, that stays.
  private func namingRest(of failure: Failure, _ old: AListEntry?) async -> Failure {
    let mayHaveWritten = upload.meter.sent > 0 && [.unreachable, .timeout, .server, .rejected, .interrupted].contains(failure.kind)
    guard mayHaveWritten else {
      if upload.meter.sent == 0 { memory.clear() }
      return failure
    }
    let left = Mutex<[String]>([])
    let unasked = await cleaningUp { () throws(Failure) in
      try await api.refresh(AList.parent(of: path))
      // Of the size that the old one had or the new one is to have it is no part of the new one.
      let current = try await api.entry(path)
      if let current, current.size != old?.size, current.size != upload.payload.length { left.withLock { $0.append(path) } }
      for name in ["\(path).alist_to_delete", "\(path).openlist_to_delete"] where try await api.entry(name) != nil {
        left.withLock { $0.append(name) }
      }
    }
    var failure = failure
    if unasked != nil, failure.hint == nil {
      failure.hint =
        "what is at \(path) now may be cut; the object before it may be there as \(path).alist_to_delete or .openlist_to_delete"
    }
    failure.left += left.withLock { $0 }
    // What can't be asked for now stays noted for the next attempt, and so is named all the same.
    if unasked == nil, memory.noted?.stage == .sending, !failure.left.contains(path) { memory.clear() }
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

import NIOCore

/// PUT /api/fs/put: the checks in the order of the real servers, then the body.
extension AList {
  /// An upload that has passed the checks.
  private struct Upload {
    let path: String
    let user: AListUser
    /// The declared size; nil if only the end of the body will tell.
    let size: Int?
    let modified: Moment?
  }

  func put(_ exchange: Exchange) async throws -> Answer {
    let user = try accounts.user(of: exchange)
    let path = try entry(exchange.header("File-Path"))
    try rights.demand(.write, on: path)
    if exchange.header("Overwrite") == "false", folder.facts(path) != nil {
      return Self.envelope(403, "file exists").leaving(.drained(sendingContinue: !isOpenList))
    }
    do {
      let modified = exchange.header("Last-Modified").flatMap { Int64($0) }.map { Moment(milliseconds: $0) }
      let upload = Upload(path: path, user: user, size: try declaredSize(exchange), modified: modified)
      if exchange.header("As-Task") == "true" { return try await putAsTask(upload, exchange) }
      try await store(exchange, at: path, modified: modified)
      return Self.success()
    } catch let refusal as Refusal {
      // From here on OpenList reads the rest of the body before it answers, without asking for it; AList does not.
      throw Refusal(refusal.answer.leaving(isOpenList ? .drained(sendingContinue: false) : .left))
    }
  }

  /// PUT /api/fs/form as far as its doors: nobody who knows it uploads by it.
  func putForm(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let path = try entry(exchange.header("File-Path"))
    try rights.demand(.write, on: path)
    if exchange.header("Overwrite") == "false", folder.facts(path) != nil { return Self.envelope(403, "file exists") }
    let isForm = exchange.header("Content-Type")?.lowercased().hasPrefix("multipart/form-data") == true
    return Self.envelope(500, isForm ? "http: no such file" : "request Content-Type isn't multipart/form-data")
  }

  private func declaredSize(_ exchange: Exchange) throws -> Int? {
    if let length = exchange.contentLength { return length }
    if isOpenList {
      guard exchange.isChunked else { return 0 }
      guard let text = exchange.header("X-File-Size"), !text.isEmpty else { return nil }
      guard let size = Int(text) else { throw Refusal(Self.unparsable(text)) }
      return size
    }
    throw Refusal(Self.unparsable(""))
  }

  private static func unparsable(_ text: String) -> Answer {
    envelope(400, "strconv.ParseInt: parsing \(JSON.string(text).text): invalid syntax")
  }

  /// Writes the body under the final name from the first byte, so that a cut leaves a truncated file there.
  func store(_ exchange: Exchange, at path: String, modified: Moment?) async throws {
    try storage.makeRoom(for: path)
    stale.remember(path, folder.facts(path))
    var sink = try openSink(folder.real(path), limit: exchange.storeLimit, room: behaviour.fullAfter)
    do {
      while let piece = try await exchange.nextPiece() {
        do throws(FileError) { try sink.append(piece) } catch { throw storage.refusal(error.description) }
      }
    } catch is BodyCut {
      guard exchange.isChunked else { throw storage.refusal("unexpected EOF") }
      // Without a length the real server takes the cut for a cancelled request, and then it cleans up.
      try storage.told { () throws(FileError) in try folder.remove(path) }
      throw storage.refusal("context canceled")
    }
    try storage.setModified(path, modified)
  }

  /// Takes the whole body first; the target stays as it is until the task runs.
  private func putAsTask(_ upload: Upload, _ exchange: Exchange) async throws -> Answer {
    let spool = incoming.real("/" + RandomText.make(16))
    var isTaken = false
    // The task owns the spool once it exists.
    defer { if !isTaken { try? incoming.remove("/" + AListPath.name(spool)) } }
    let declared = exchange.isChunked ? upload.size : nil
    var sink = try openSink(spool, limit: exchange.storeLimit ?? declared)
    do {
      while let piece = try await exchange.nextPiece() {
        do throws(FileError) { try sink.append(piece) } catch { throw storage.refusal(error.description) }
      }
    } catch is BodyCut {
      throw storage.refusal(cutMessage(expected: upload.size ?? 0, actual: exchange.bodyBytes))
    }
    if let declared, exchange.bodyBytes < declared {
      throw storage.refusal(
        "failed to create temp file: failed to read all data: (expect =\(declared), actual =\(exchange.bodyBytes)) EOF")
    }
    isTaken = true
    stale.remember(upload.path, folder.facts(upload.path))
    let task = AListTask(
      path: upload.path, creator: upload.user.name, creatorRole: rights.reportedRole(upload.user), spool: spool,
      total: Int64(declared ?? exchange.bodyBytes), modified: upload.modified)
    let shown = task.json(flavor)
    tasks.start(task)
    return Self.success(.object([("task", shown)]))
  }

  private func openSink(_ path: String, limit: Int?, room: Int? = nil) throws -> FileSink {
    do throws(FileError) { return try FileSink(path, limit: limit, room: room) } catch { throw storage.refusal(error.description) }
  }

  private func cutMessage(expected: Int, actual: Int) -> String {
    guard isOpenList else { return "failed to create temp file: unexpected EOF; CreateTempFile failed" }
    return "failed to create temp file: failed to read all data: (expect =\(expected), actual =\(actual)) unexpected EOF"
  }
}

public import BytePath

/// An upload in chunks: OpenList's `/api/fs/multipart`, 4.2.5 and later (server/handles/multipart.go, internal/multipart). A connection that
/// breaks costs the chunks that it had in hand, a drive that takes a file by its hash may need none, and no request is larger than a chunk.
extension AList: SessionStore {
  /// From this size on objects go in chunks by themselves: proxies in the field cap requests at 100 MB.
  private static let largeSize: Int64 = 100 << 20
  /// Chunks on their way at a time.
  private static let inFlight = 3
  /// How many chunks the server takes from the first on that it lacks (internal/multipart/window.go).
  private static let window = 8
  /// How often to send a chunk that is too far ahead; the server itself lets it wait for 10 s each time.
  private static let triesAhead = 30
  /// How long to wait for a chunk that the server still holds: running OpenLists held one of a dead connection for more than four minutes.
  private static let longestHold = Duration.seconds(20)

  public func plan(for length: Int64, at path: String, _ attributes: Attributes) async throws(Failure) -> SessionPlan? {
    let wanted = attributes.options["chunked"]
    guard length > 0, wanted != nil || length >= AList.largeSize, !attributes.has("as-task"), let largest = try await api.largestChunk()
    else { return nil }
    let size = wanted.flatMap { SizeText.bytes($0) } ?? largest
    var plan = SessionPlan(pieceSize: min(max(size, 1 << 20), largest), concurrency: AList.inFlight)
    plan.window = AList.window
    return plan
  }

  public func open(
    _ plan: SessionPlan, _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> SessionState? {
    var request = HTTPRequest(method: .post, url: api.url("/api/fs/multipart/init"))
    request.headers = try await headers(of: upload, to: path, condition)
    request.headers.append(("X-File-Size", String(upload.payload.length)))
    request.headers.append(("X-Chunk-Size", String(plan.pieceSize)))
    let reply = try await api.reply(to: request)
    // Switched off since it was asked for, or a drive that can't.
    if reply.code == 405 || (reply.code == 403 && reply.message.contains("disabled")) { return nil }
    try AListCode.checkExisting(reply, upload.path)
    guard let snapshot = AListSnapshot(reply.data, length: upload.payload.length) else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(api.origin) does not say which session it has begun"))
    }
    return snapshot.isCompleted ? .completed(Receipt(reply.answer)) : .open(snapshot.session, snapshot.pieces(of: upload.payload.length))
  }

  /// A session is known by its ID, or by a name that nobody else uses: so no hash is needed for the server to know that it is the same object.
  public func state(of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SessionState {
    guard let reply = try await status(of: session, at: path, length: upload.payload.length), reply.code == 200,
      let snapshot = AListSnapshot(reply.data, length: upload.payload.length)
    else { return .gone }
    if snapshot.isCompleted { return .completed(Receipt(reply.answer)) }
    if snapshot.state == "receiving" { return .open(snapshot.session, snapshot.pieces(of: upload.payload.length)) }
    // Otherwise the server would take the beginning of a new one for this one's second try.
    _ = try? await end("abort", snapshot.id)
    return .gone
  }

  /// Sends a chunk until the server takes it. One that is too far ahead waits (429), and so does one that the server still holds from a connection
  /// that broke and whose end it has not noticed (409). It may not notice for minutes, so that a new session is begun before long.
  public func send(_ piece: Piece, of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SentPiece {
    var request = HTTPRequest(method: .put, url: api.url("/api/fs/multipart/chunk"), isUpload: true)
    request.headers = [
      ("X-Upload-Id", session.id ?? ""), ("X-Chunk-Index", String(piece.index)), ("Content-Type", "application/octet-stream"),
    ]
    request.body = HTTPBody(payload: upload.payload, part: piece.range, meter: piece.meter)
    request.rateShare = piece.rateShare
    let start = ContinuousClock.now
    let patience = min(api.patience, AList.longestHold)
    var failure = Failure(.server, "\(api.origin) does not take chunk \(piece.index) of \(upload.path)", retryable: true)
    var triesAhead = 0
    while triesAhead < AList.triesAhead {
      let reply = try await taken(request)
      if reply.code == 409 {
        api.tellOnce(
          "\(api.origin) still holds a part of \(upload.path) from a connection that broke; waiting up to \(patience) for it")
        failure.isSessionLost = start.duration(to: .now) >= patience
        if failure.isSessionLost { break }
      } else if reply.code == 429 {
        triesAhead += 1
        api.tellOnce("\(api.origin) takes no more of \(upload.path) until its storage has what it got; waiting")
      } else {
        try check(reply, upload.path)
        var sent = SentPiece(size: Int64(piece.range.count))
        sent.isEarly = !reply.answer.isAfterWholeBody
        if AListSnapshot(reply.data, length: upload.payload.length)?.isCompleted == true { sent.completed = Receipt(reply.answer) }
        return sent
      }
      do { try await Task.sleep(for: min(.seconds(1), patience)) } catch { throw .interrupted }
    }
    throw failure
  }

  private func taken(_ request: HTTPRequest) async throws(Failure) -> AListReply {
    do throws(Failure) { return try await api.reply(to: request) } catch {
      guard error.httpStatus == 413, request.body.length > 1 << 20 else { throw error }
      var failure = error
      failure.hint = "send it in smaller pieces: -o chunked=1M"
      throw failure
    }
  }

  /// Waits until the storage has the object. Asking meanwhile tells how far it is, and keeps the session from being taken for a dead one.
  public func complete(
    _ session: Session, _ pieces: [SentPiece], _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> Receipt {
    let id = session.id ?? ""
    let reply = try await withTaskGroup(of: Result<AListReply, Failure>?.self) { group in
      group.addTask { await answer { () throws(Failure) in try await end("complete", id) } }
      group.addTask {
        while (try? await Task.sleep(for: .seconds(5))) != nil {
          guard let reply = try? await status(of: session, at: path, length: upload.payload.length),
            let progress = reply.data?["storage_progress"]?.number
          else { continue }
          upload.meter.setServerPercent(Int(min(max(progress, 0), 100)))
        }
        return nil
      }
      defer { group.cancelAll() }
      while let ended = await group.next() {
        if let ended { return ended }
      }
      return .failure(.interrupted)
    }.get()
    try check(reply, upload.path)
    guard AListSnapshot(reply.data, length: upload.payload.length)?.isCompleted == true else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(api.origin) does not say that \(upload.path) is complete", retryable: true))
    }
    return Receipt(reply.answer)
  }

  public func abort(_ session: Session, at path: String, length: Int64) async throws(Failure) {
    var id = session.id
    if id == nil { id = try await status(of: session, at: path, length: length)?.data?["upload_id"]?.string }
    guard let id else { return }
    do throws(Failure) { _ = try await end("abort", id) } catch {
      // A server that knows no sessions, any more, has none.
      guard error.kind == .protocol else { throw error }
    }
  }

  /// - Returns: nil if there is none that can be asked for: by an object's own name another client's might be found.
  private func status(of session: Session, at path: String, length: Int64) async throws(Failure) -> AListReply? {
    guard session.id != nil || path.contains(TemporaryName.mark) else { return nil }
    let query = session.id.map { "upload_id=\(URLText.encoded($0))" } ?? "path=\(URLText.encoded(path))&size=\(length)"
    do throws(Failure) {
      return try await api.reply(to: HTTPRequest(method: .get, url: api.url("/api/fs/multipart/status?\(query)")))
    } catch {
      guard error.kind == .protocol else { throw error }
      return nil
    }
  }

  /// - Parameter call: `complete` or `abort`. The end of a large object may take the storage behind the server as long as the answer to an upload.
  private func end(_ call: String, _ id: String) async throws(Failure) -> AListReply {
    try await api.reply(
      to: HTTPRequest(method: .post, url: api.url("/api/fs/multipart/\(call)"), headers: [("X-Upload-Id", id)], isUpload: true))
  }

  /// Sessions live in the server's memory; one that is gone, or whose storage has stumbled, is begun anew.
  private func check(_ reply: AListReply, _ path: String) throws(Failure) {
    guard reply.code != 200 else { return }
    var failure: Failure
    if reply.code == 404 {
      failure = Failure(.server, "\(api.origin) has lost the session of \(path): \(reply.message) (404)", retryable: true)
    } else if reply.data?["state"]?.string == "failed_retriable" {
      // The chunk knows only that the session is over; why is said by that.
      failure = AListCode.storageFailure(reply.data?["error"]?.string ?? reply.message, path)
    } else {
      return try AListCode.check(reply, path)
    }
    failure.isSessionLost = true
    throw reply.answer.withEvidence(failure)
  }
}

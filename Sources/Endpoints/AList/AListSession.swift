import BytePath

/// An upload in chunks: OpenList's `/api/fs/multipart`, 4.2.5 and later (server/handles/multipart.go, internal/multipart). A connection that
/// breaks costs the chunks that it had in hand, a drive that takes a file by its hash may need none, and no request is larger than a chunk.
struct AListSession {
  /// From this size on objects go in chunks by themselves: proxies in the field cap requests at 100 MB.
  static let largeSize: Int64 = 100 << 20
  /// Chunks on their way at a time. The server takes eight beyond the first that it lacks (internal/multipart/window.go).
  private static let inFlight = 3
  private static let window = 8
  /// How often to send a chunk that is too far ahead; the server itself lets it wait for 10 s each time.
  private static let triesAhead = 30
  /// How long to wait for a chunk that the server still holds: running OpenLists held one of a dead connection for more than four minutes.
  private static let longestHold = Duration.seconds(20)

  let api: AListAPI
  let upload: Upload
  /// Where the object goes.
  let name: String
  /// Those of a put: of the object and of what to do with one that is there.
  let headers: [(name: String, value: String)]
  /// The size of the chunks that the user wants, in bytes; nil for the server's own.
  let chunkSize: Int64?
  /// The largest that the server takes, in bytes.
  let largestChunk: Int64

  private var memory: AListMemory { AListMemory(checkpoint: upload.checkpoint, path: upload.path) }

  /// What the server says of a session.
  struct Snapshot {
    /// Bytes of a chunk. The server takes none that is smaller (internal/multipart/session.go, Init), and very many would cost more than a put.
    private static let sizes: ClosedRange<Int64> = (1 << 20)...(1 << 30)

    var id: String
    var state: String
    var chunkSize: Int64
    var chunks: Int
    var received: [ClosedRange<Int>]
    var progress: Double?
    var isResumed: Bool

    /// - Parameter length: of the object, 1 or more: nil if the chunks do not make it up.
    init?(_ data: JSONValue?, length: Int64) {
      guard let data, let id = data["upload_id"]?.string, let state = data["state"]?.string, let size = data["chunk_size"]?.integer,
        Snapshot.sizes.contains(size), let chunks = data["total_chunks"]?.integer, chunks == (length - 1) / size + 1
      else { return nil }
      self.id = id
      self.state = state
      chunkSize = size
      self.chunks = Int(chunks)
      received = (data["received"]?.array ?? []).compactMap { pair in
        guard let ends = pair.array?.compactMap(\.integer), ends.count == 2, 0 <= ends[0], ends[0] <= ends[1], ends[1] < chunks else {
          return nil
        }
        return Int(ends[0])...Int(ends[1])
      }
      progress = data["storage_progress"]?.number
      isResumed = data["resumed"]?.bool ?? false
    }

    var isCompleted: Bool { state == "completed" }

    /// The chunks that the server lacks, in order.
    var missing: [Range<Int>] {
      var missing: [Range<Int>] = []
      var next = 0
      for range in received.sorted(by: { $0.lowerBound < $1.lowerBound }) {
        if next < range.lowerBound { missing.append(next..<range.lowerBound) }
        next = max(next, range.upperBound + 1)
      }
      if next < chunks { missing.append(next..<chunks) }
      return missing
    }
  }

  /// Nil if the server has no sessions for this, so that an ordinary put must do.
  func receipt() async throws(Failure) -> Receipt? {
    if let receipt = try await receiptOfLostAnswer() { return receipt }
    let going = try await continued()
    guard let (reply, snapshot) = if let going { going } else { try await begin() } else { return nil }
    memory.note(.chunking, name, session: snapshot.id)
    do throws(Failure) {
      if snapshot.isCompleted {
        upload.meter.setSent(upload.payload.length)
        return Receipt(httpStatus: reply.answer.status, response: reply.answer.report, flaw: reply.answer.flaw)
      }
      if let last = try await sendMissing(of: snapshot) {
        return Receipt(httpStatus: last.answer.status, response: last.answer.report, flaw: last.answer.flaw)
      }
      let end = try await complete(snapshot.id)
      return Receipt(httpStatus: end.answer.status, response: end.answer.report, flaw: end.answer.flaw)
    } catch {
      // A session that may go on is left to the next attempt; it ends by itself after half an hour.
      let isOver = memory.noted?.session == nil
      if isOver || !error.isRetryable && error.kind != .interrupted {
        forget()
        _ = try? await call("abort", id: snapshot.id)
      }
      throw error
    }
  }

  /// The session will not go on: another attempt begins a new one, and under a new name, as the server may still be clearing up this one.
  private func forget() {
    if name == upload.path { memory.clear() } else { memory.note(.sending, name) }
  }

  /// A session is forgotten when it is complete. If only the answer to that was lost, the object is there.
  private func receiptOfLostAnswer() async throws(Failure) -> Receipt? {
    guard let noted = memory.noted, noted.stage == .completing, noted.name == name else { return nil }
    let status = try await AListSession.status(of: noted, length: upload.payload.length, api)
    guard status.code == 404 else { return nil }
    do throws(Failure) {
      let verification = try await api.compare(name, with: upload.payload)
      // Under a temporary name nobody else writes. Under the object's own an older one of the same size may lie still.
      return verification == .sizeAndHash || name != upload.path ? Receipt() : nil
    } catch {
      if error.kind == .server, error.httpStatus == nil { return nil }
      throw error
    }
  }

  /// The session that an attempt before this one began, if it still lives. It is known by its name, which nobody else uses, or by its ID: so no
  /// hash is needed for the server to know that it is the same object.
  private func continued() async throws(Failure) -> (AListReply, Snapshot)? {
    guard let noted = memory.noted, noted.stage == .chunking || noted.stage == .completing, noted.name == name,
      noted.session != nil || name != upload.path
    else { return nil }
    let status = try await AListSession.status(of: noted, length: upload.payload.length, api)
    guard status.code == 200, let snapshot = Snapshot(status.data, length: upload.payload.length) else { return nil }
    if snapshot.isCompleted || snapshot.state == "receiving" { return (status, snapshot) }
    // Otherwise the server would take the beginning of a new one for this one's second try.
    _ = try? await call("abort", id: snapshot.id)
    return nil
  }

  private func begin() async throws(Failure) -> (AListReply, Snapshot)? {
    // The server makes the file before it answers.
    memory.note(.chunking, name)
    var request = HTTPRequest(method: .post, url: api.url("/api/fs/multipart/init"), headers: headers)
    request.headers.append(("X-File-Size", String(upload.payload.length)))
    request.headers.append(("X-Chunk-Size", String(min(max(chunkSize ?? largestChunk, 1 << 20), largestChunk))))
    let reply = try await api.reply(to: request)
    // Switched off since it was asked for, or a drive that can't.
    if reply.code == 405 || (reply.code == 403 && reply.message.contains("disabled")) {
      forget()
      return nil
    }
    try AListCode.checkPut(reply, upload.path, mayRetryExisting: upload.attributes.existing == .overwrite)
    guard let snapshot = Snapshot(reply.data, length: upload.payload.length) else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(api.origin) does not say which session it has begun"))
    }
    return (reply, snapshot)
  }

  /// Sends the chunks that the server lacks, in order, some at a time. After a failure those under way are let through, so that what is sent
  /// again later is little.
  ///
  /// - Returns: the answer that says that the object is complete already, if one does.
  private func sendMissing(of snapshot: Snapshot) async throws(Failure) -> AListReply? {
    let missing = snapshot.missing
    let had = upload.payload.length - missing.reduce(0) { $0 + Int64(range(of: $1, snapshot).count) }
    upload.meter.setSent(had)
    let share = min(AListSession.inFlight, missing.reduce(0) { $0 + $1.count })
    let result = await withTaskGroup(of: (Int, Result<AListReply, Failure>).self) { group in
      var rest = missing.joined().makeIterator()
      var next = rest.next()
      var running: Set<Int> = []
      var sent = had
      var failure: Failure?
      var completion: AListReply?
      while true {
        while failure == nil, completion == nil, running.count < AListSession.inFlight, let index = next,
          index < (running.min() ?? index) + AListSession.window
        {
          next = rest.next()
          running.insert(index)
          group.addTask { (index, await self.send(index, snapshot, besides: share)) }
        }
        guard let (index, result) = await group.next() else { break }
        running.remove(index)
        switch result {
        case .success(let reply):
          sent += Int64(range(of: index, snapshot).count)
          upload.meter.setSent(sent)
          if Snapshot(reply.data, length: upload.payload.length)?.isCompleted == true { completion = reply }
        case .failure(let error): failure = failure ?? error
        }
      }
      return failure.map { Result<AListReply?, Failure>.failure($0) } ?? .success(completion)
    }
    return try result.get()
  }

  private func range(of index: Int, _ snapshot: Snapshot) -> Range<Int64> { range(of: index..<index + 1, snapshot) }

  /// The bytes of some chunks, 1 or more.
  private func range(of chunks: Range<Int>, _ snapshot: Snapshot) -> Range<Int64> {
    let last = Int64(chunks.upperBound - 1) * snapshot.chunkSize
    return Int64(chunks.lowerBound) * snapshot.chunkSize..<last + min(snapshot.chunkSize, upload.payload.length - last)
  }

  /// - Parameter share: with how many it shares the rate, itself included.
  private func send(_ index: Int, _ snapshot: Snapshot, besides share: Int) async -> Result<AListReply, Failure> {
    var request = HTTPRequest(method: .put, url: api.url("/api/fs/multipart/chunk"), isUpload: true)
    request.headers = [("X-Upload-Id", snapshot.id), ("X-Chunk-Index", String(index)), ("Content-Type", "application/octet-stream")]
    request.body = HTTPBody(payload: upload.payload, part: range(of: index, snapshot))
    request.rateShare = share
    do throws(Failure) { return .success(try await accepted(request, index)) } catch {
      return .failure(error)
    }
  }

  /// Sends a chunk until the server takes it. One that is too far ahead waits (429), and so does one that the server still holds from a connection
  /// that broke and whose end it has not noticed (409). It may not notice for minutes, so that a new session is begun before long.
  private func accepted(_ request: HTTPRequest, _ index: Int) async throws(Failure) -> AListReply {
    let start = ContinuousClock.now
    let patience = min(api.patience, AListSession.longestHold)
    var triesAhead = 0
    while triesAhead < AListSession.triesAhead {
      let reply = try await api.reply(to: request)
      guard reply.code == 409 || reply.code == 429 else {
        try check(reply)
        return reply
      }
      if reply.code == 409 {
        api.tellOnce(
          "\(api.origin) still holds a part of \(upload.path) from a connection that broke; waiting up to \(patience) for it")
        if start.duration(to: .now) >= patience {
          forget()
          break
        }
      } else {
        triesAhead += 1
        api.tellOnce("\(api.origin) takes no more of \(upload.path) until its storage has what it got; waiting")
      }
      do { try await Task.sleep(for: min(.seconds(1), patience)) } catch { throw .interrupted }
    }
    throw Failure(.server, "\(api.origin) does not take chunk \(index) of \(upload.path)", retryable: true)
  }

  /// Waits until the storage has the object. Asking meanwhile tells how far it is, and keeps the session from being taken for a dead one.
  private func complete(_ id: String) async throws(Failure) -> AListReply {
    memory.note(.completing, name, session: id)
    let result = await withTaskGroup(of: Result<AListReply, Failure>?.self) { group in
      group.addTask {
        do throws(Failure) { return .success(try await self.call("complete", id: id)) } catch {
          return .failure(error)
        }
      }
      group.addTask {
        while (try? await Task.sleep(for: .seconds(5))) != nil {
          let status = HTTPRequest(method: .get, url: api.url("/api/fs/multipart/status?upload_id=\(URLText.encoded(id))"))
          guard let reply = try? await api.reply(to: status), let progress = Snapshot(reply.data, length: upload.payload.length)?.progress
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
    }
    let reply = try result.get()
    guard Snapshot(reply.data, length: upload.payload.length)?.isCompleted == true else {
      throw reply.answer.withEvidence(Failure(.protocol, "\(api.origin) does not say that \(upload.path) is complete", retryable: true))
    }
    return reply
  }

  private func call(_ name: String, id: String) async throws(Failure) -> AListReply {
    let reply = try await api.reply(to: AListSession.request(name, id: id, api))
    try check(reply)
    return reply
  }

  /// `complete` or `abort`.
  static func request(_ name: String, id: String, _ api: AListAPI) -> HTTPRequest {
    // The end of a large object may take the storage behind the server as long as the answer to an upload.
    HTTPRequest(method: .post, url: api.url("/api/fs/multipart/\(name)"), headers: [("X-Upload-Id", id)], isUpload: true)
  }

  /// What the server says of a session; 404 if there is none.
  static func status(of noted: AListMemory.Noted, length: Int64, _ api: AListAPI) async throws(Failure) -> AListReply {
    let query = noted.session.map { "upload_id=\(URLText.encoded($0))" } ?? "path=\(URLText.encoded(noted.name))&size=\(length)"
    return try await api.reply(to: HTTPRequest(method: .get, url: api.url("/api/fs/multipart/status?\(query)")))
  }

  /// Ends a session that an upload which will not go on has begun.
  static func abort(_ noted: AListMemory.Noted, length: Int64, _ path: String, _ api: AListAPI) async throws(Failure) {
    // By the object's own name another client's might be found.
    guard noted.session != nil || noted.name != path else { return }
    let status: AListReply
    do throws(Failure) { status = try await self.status(of: noted, length: length, api) } catch {
      // A server that knows no sessions, any more, has none.
      guard error.kind != .protocol else { return }
      throw error
    }
    if let id = status.data?["upload_id"]?.string { _ = try await api.reply(to: request("abort", id: id, api)) }
  }

  private func check(_ reply: AListReply) throws(Failure) {
    guard reply.code != 200 else { return }
    // Sessions live in the server's memory; one that is gone, or whose storage has stumbled, is begun anew.
    if reply.code == 404 {
      forget()
      throw reply.answer.withEvidence(
        Failure(.server, "\(api.origin) has lost the session of \(upload.path): \(reply.message) (404)", retryable: true))
    }
    if reply.data?["state"]?.string == "failed_retriable" {
      forget()
      // The chunk knows only that the session is over; why is said by that.
      throw reply.answer.withEvidence(AListCode.storageFailure(reply.data?["error"]?.string ?? reply.message, upload.path))
    }
    try AListCode.check(reply, upload.path)
  }
}

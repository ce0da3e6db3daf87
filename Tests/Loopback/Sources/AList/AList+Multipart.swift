import NIOCore

/// OpenList's chunked uploads, `/api/fs/multipart` (server/handles/multipart.go of 4.2.5). The Local driver writes what comes under the final
/// name from the first byte on.
extension AList {
  private static let window = 8
  private static let largestChunk = 10 << 20

  func multipartAnswer(_ exchange: Exchange) async throws -> Answer? {
    let prefix = "/api/fs/multipart/"
    guard isOpenList, exchange.path.hasPrefix(prefix) else { return nil }
    let user = try accounts.user(of: exchange).name
    switch (exchange.method, exchange.path.dropFirst(prefix.count)) {
    case ("POST", "init"): return try await beginSession(exchange, user)
    case ("PUT", "chunk"): return try await takeChunk(exchange, user)
    case ("POST", "complete"): return try completeSession(exchange, user)
    case ("GET", "status"): return try sessionStatus(exchange, user)
    case ("POST", "abort"): return try abortSession(exchange, user)
    default: return nil
    }
  }

  private func beginSession(_ exchange: Exchange, _ user: String) async throws -> Answer {
    let path = try entry(exchange.header("File-Path"))
    try rights.demand(.write, on: path)
    guard behaviour.multipart else { return Self.envelope(403, "multipart upload is disabled") }
    guard let size = exchange.header("X-File-Size").flatMap({ Int($0) }) else {
      return Self.envelope(400, "multipart upload requires a valid X-File-Size header")
    }
    guard size > 0 else {
      return Self.envelope(400, "multipart upload requires a positive X-File-Size; upload empty files via /fs/put")
    }
    if exchange.header("Overwrite") == "false", folder.facts(path) != nil { return Self.envelope(403, "file exists") }
    var hashes: [String: String] = [:]
    for name in ["md5", "sha1", "sha256"] { hashes[name] = exchange.header("X-File-\(name)") }
    if let old = sessions.find(path, size: size, user: user) {
      if old.state == "failed_retriable" || old.state == "receiving" && old.isProved(by: hashes) {
        return Self.success(old.json(resumed: true))
      }
      sessions.forget(old.id)
    }
    let wanted = exchange.header("X-Chunk-Size").flatMap { Int($0) } ?? Self.largestChunk
    let modified = exchange.header("Last-Modified").flatMap { Int64($0) }.map { Moment(milliseconds: $0) }
    var session = AListSession(
      id: RandomText.make(32), path: path, user: user, size: size, chunkSize: min(max(wanted, 1 << 20), Self.largestChunk), hashes: hashes,
      modified: modified)
    try storage.makeRoom(for: path)
    if let known = try fileWithHash(of: session) {
      try storage.told { () throws(FileError) in try folder.link(known, to: path) }
      session.state = "completed"
      return Self.success(session.json(resumed: false))
    }
    try storage.told { () throws(FileError) in _ = try FileSink(folder.real(path)) }
    sessions.keep(session)
    return Self.success(session.json(resumed: false))
  }

  /// With `--known-by-hash` the storage is a drive that takes a file by its hash if it has one of that hash in `/known`.
  private func fileWithHash(of session: AListSession) throws -> String? {
    guard behaviour.knownByHash, let wanted = session.hashes["sha256"] else { return nil }
    let names = (try? folder.names("/known")) ?? []
    return names.map { "/known/" + $0 }.first { self.hashes($0).contains { $0.0 == "sha256" && $0.1.string == wanted } }
  }

  private func takeChunk(_ exchange: Exchange, _ user: String) async throws -> Answer {
    guard let index = exchange.header("X-Chunk-Index").flatMap({ Int($0) }) else {
      return Self.envelope(400, "invalid X-Chunk-Index header")
    }
    let session = try session(exchange.header("X-Upload-Id"), user)
    if session.state == "failed_retriable" {
      let reason = session.error ?? ""
      guard index == 0 else {
        return Self.envelope(400, "upload attempt failed, resend from chunk 0 to retry: \(reason)", session.json(resumed: nil))
      }
      sessions.change(session.id) { ($0.state, $0.error) = ("receiving", nil) }
    }
    guard (0..<session.chunks).contains(index) else {
      return Self.envelope(400, "chunk index \(index) out of range [0,\(session.chunks))", session.json(resumed: nil))
    }
    guard index < session.frontier + Self.window else { return Self.envelope(429, "chunk is out of the receiving window") }
    guard !session.running.contains(index) else { return Self.envelope(409, "chunk is being uploaded by another request") }
    sessions.change(session.id) { $0.running.insert(index) }
    defer { sessions.change(session.id) { $0.running.remove(index) } }
    let range = session.range(of: index)
    var offset = range.lowerBound
    do {
      let file = try FileAtOffset(folder.real(session.path), room: behaviour.fullAfter)
      while let piece = try await exchange.nextPiece() {
        guard offset + piece.readableBytes <= range.upperBound else { return Self.envelope(400, "chunk \(index) larger than expected") }
        try file.write(piece, at: offset)
        offset += piece.readableBytes
      }
    } catch is BodyCut {
      return Self.envelope(400, "incomplete chunk \(index)")
    } catch let error as FileError {
      // The storage ends the session, and the chunk only learns that nobody reads any more.
      let failed = sessions.change(session.id) { $0.fail(error.description) }
      return Self.envelope(400, "multipart upload window closed", (failed ?? session).json(resumed: nil))
    }
    guard offset == range.upperBound else { return Self.envelope(400, "incomplete chunk \(index)") }
    let now = sessions.change(session.id) { if $0.attempt == session.attempt { $0.received.insert(index) } }
    guard let now, now.attempt == session.attempt else {
      return Self.envelope(400, "multipart upload window closed", (now ?? session).json(resumed: nil))
    }
    return Self.success(now.json(resumed: nil))
  }

  private func completeSession(_ exchange: Exchange, _ user: String) throws -> Answer {
    var session = try session(exchange.header("X-Upload-Id"), user)
    if session.state == "failed_retriable" {
      return Self.envelope(400, "upload failed (\(session.state)): \(session.error ?? "")", session.json(resumed: nil))
    }
    guard session.received.count == session.chunks else {
      return Self.envelope(400, "cannot complete: \(session.receivedBytes) of \(session.size) bytes received", session.json(resumed: nil))
    }
    try storage.setModified(session.path, session.modified)
    sessions.forget(session.id)
    session.state = "completed"
    return Self.success(session.json(resumed: nil))
  }

  private func sessionStatus(_ exchange: Exchange, _ user: String) throws -> Answer {
    if let id = exchange.queryValue("upload_id") { return Self.success(try session(id, user).json(resumed: nil)) }
    guard let path = exchange.queryValue("path"), let size = exchange.queryValue("size").flatMap({ Int($0) }) else {
      return Self.envelope(400, "status lookup requires upload_id, or path and size")
    }
    guard let found = sessions.find(try entry(path), size: size, user: user) else {
      return Self.envelope(404, "multipart upload session not found")
    }
    return Self.success(found.json(resumed: nil))
  }

  private func abortSession(_ exchange: Exchange, _ user: String) throws -> Answer {
    let session = try session(exchange.header("X-Upload-Id"), user)
    sessions.forget(session.id)
    // The Local driver removes what it has when it is told to stop, not when it has failed before.
    guard session.state == "receiving" else { return Self.success() }
    try storage.told { () throws(FileError) in try folder.remove(session.path) }
    return Self.success()
  }

  private func session(_ id: String?, _ user: String) throws -> AListSession {
    guard let session = id.flatMap({ sessions.find($0) }) else {
      throw Refusal(Self.envelope(404, "multipart upload session not found"))
    }
    guard session.user == user else { throw Refusal(Self.envelope(403, "permission denied")) }
    return session
  }
}

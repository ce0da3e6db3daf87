public import BytePath

/// Uploads in parts (docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html). Parts are numbered from 1 on.
extension S3: SessionStore {
  /// What a session remembers if each part has a checksum, which the server was told when the upload began.
  private static let checksumMark = "sha256"

  public func plan(for length: Int64, at path: String, _ attributes: Attributes) async throws(Failure) -> SessionPlan? {
    try S3Options(attributes.options).plan(for: length)
  }

  public func open(
    _ plan: SessionPlan, _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> SessionState? {
    let object = try S3Object(path)
    memory.expect(nil, of: path)
    let headers = try S3Options(upload.attributes.options).headers(with: upload.attributes) + [("x-amz-checksum-algorithm", "SHA256")]
    guard let id = try await begin(object, headers) else { return nil }
    let hasChecksums = api.knows("x-amz-checksum-algorithm")
    return .open(Session(id: id, pieceSize: plan.pieceSize, mark: hasChecksums ? S3.checksumMark : nil), [:])
  }

  /// Begins an upload in parts.
  ///
  /// - Returns: its ID; nil if the server knows no such uploads.
  func begin(_ object: S3Object, _ headers: [(name: String, value: String)]) async throws(Failure) -> String? {
    var call = S3Call(.post, object, query: [("uploads", "")])
    call.headers = headers
    let answer = try await api.send(call)
    guard !answer.refusesMultipart else { return nil }
    if let failure = answer.s3Failure(api.origin, "put \(object.path)") { throw failure }
    guard let id = XMLTree(parsing: answer.xml)?["UploadId"]?.text, !id.isEmpty else {
      throw answer.strange(api.origin, "no ID to an upload of \(object.path)")
    }
    return id
  }

  public func state(of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SessionState {
    guard let id = session.id, S3Options.partSizes.contains(session.pieceSize) else { return .gone }
    let object = try S3Object(path)
    memory.expect(nil, of: path)
    let sent = memory.parts(of: id).sent
    switch try await listed(session, object, upload.payload.length) {
    case nil: return try await completed(session, upload, object).map { .completed($0) } ?? .gone
    // Who may write need not be allowed to list. What this run sent itself it knows.
    case .denied?: return .open(session, sent.mapValues(\.proven))
    case .parts(let parts)?:
      let known = parts.map { index, part in
        let isOurs = sent[index].map { $0.size == part.size && $0.tag == part.tag } == true
        return (index, isOurs ? sent[index]?.proven ?? part : part)
      }
      return .open(session, Dictionary(uniqueKeysWithValues: known))
    }
  }

  private enum ListedParts {
    case parts([Int: SentPiece])
    case denied
  }

  /// The parts that the server has; nil if it does not know the upload any more.
  private func listed(_ session: Session, _ object: S3Object, _ length: Int64) async throws(Failure) -> ListedParts? {
    let indices = 0..<session.count(for: length)
    var parts: [Int: SentPiece] = [:]
    var marker: String?
    repeat {
      var call = S3Call(.get, object, query: [("uploadId", session.id ?? "")])
      if let marker { call.query.append(("part-number-marker", marker)) }
      let answer = try await api.send(call)
      if answer.status == 404 { return nil }
      if answer.status == 403, S3Error(answer)?.code == "AccessDenied" { return .denied }
      if let failure = answer.s3Failure(api.origin, "list the parts of \(object.path)") { throw failure }
      guard let page = S3PartList(parsing: answer.xml, hasDigests: object.hasDigestTags) else {
        throw answer.withEvidence(Failure(.protocol, "\(api.origin) gives no list of the parts of \(object.path)"))
      }
      let before = parts.count
      parts.merge(page.parts.filter { indices.contains($0.key) }) { $1 }
      // A server that only counts on would be asked for ever. Each page must bring a part of this object, of which there are only so many.
      marker = parts.count > before ? page.next : nil
    } while marker != nil
    return .parts(parts)
  }

  /// Whether the object is there, put together by an attempt whose answer was lost. The hashes of all parts are made again for that, so it is
  /// asked first whether it looks like it.
  private func completed(_ session: Session, _ upload: Upload, _ object: S3Object) async throws(Failure) -> Receipt? {
    let length = upload.payload.length
    let indices = 0..<session.count(for: length)
    guard case .stored(let stored) = try await stat(object.path, fresh: true), stored.size == length,
      let tag = stored.version?.lowercased(), S3ETag.isDigest(tag), tag.hasSuffix("-\(indices.count)")
    else { return nil }
    var pieces: [SentPiece] = []
    for index in indices {
      let digests = try await upload.payload.digests([.md5, .sha256], of: session.range(of: index, in: length))
      var piece = SentPiece(size: 0, tag: digests[0].hex)
      piece.hashes = [.md5: digests[0], .sha256: digests[1]]
      pieces.append(piece)
    }
    guard S3ETag.whole(of: pieces) == tag else { return nil }
    memory.expect(pieces, of: object.path)
    context.detail("the upload \(session.id ?? "") was completed; only the answer was lost")
    return Receipt(httpStatus: 200, response: ["etag": JSONValue(stored.version)])
  }

  public func send(_ piece: Piece, of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SentPiece {
    guard let id = session.id, let sha256 = piece.hashes[.sha256], let md5 = piece.hashes[.md5] else {
      var failure = Failure(.server, "the upload of \(path) cannot go on as it was begun", retryable: true)
      failure.isSessionLost = true
      throw failure
    }
    let object = try S3Object(path)
    let number = piece.index + 1
    var call = S3Call(.put, object, query: [("partNumber", "\(number)"), ("uploadId", id)])
    call.bodyHash = sha256
    call.md5 = { md5 }
    if session.mark == S3.checksumMark { call.headers.append(("x-amz-checksum-sha256", sha256.base64)) }
    call.body = HTTPBody(payload: upload.payload, part: piece.range, meter: piece.meter)
    call.isUpload = true
    call.rateShare = piece.rateShare
    let answer = try await api.send(call)
    if var failure = answer.s3Failure(api.origin, "put part \(number) of \(path)") {
      if S3Error(answer)?.code == "NoSuchUpload" { (failure.kind, failure.isRetryable, failure.isSessionLost) = (.server, true, true) }
      throw failure
    }
    var sent = SentPiece(size: Int64(piece.range.count), tag: answer.etag ?? "", hashes: piece.hashes)
    sent.isEarly = !answer.isAfterWholeBody
    guard !sent.isEarly else { return sent }
    let isDoubtful = try isDoubtful(answer, of: object, number, md5, try S3Options(upload.attributes.options))
    memory.change(id) { [sent] parts in
      parts.sent[piece.index] = sent
      if isDoubtful { parts.doubtful.insert(piece.index) } else { parts.doubtful.remove(piece.index) }
    }
    return sent
  }

  /// Whether the tag of a part does not say that it arrived as it was sent, nor that it did not.
  private func isDoubtful(
    _ answer: HTTPAnswer, of object: S3Object, _ number: Int, _ md5: Checksum, _ options: S3Options
  ) throws(Failure) -> Bool {
    guard answer.etag != nil else { return true }
    guard !options.ignoresTags, let tag = answer.digest(of: object) else { return false }
    if tag == md5.hex {
      memory.noteDigests(object.bucket)
      return false
    }
    if memory.hasDigests(object.bucket) { throw answer.corrupt("part \(number) of \(object.path)", tag) }
    return true
  }

  public func complete(
    _ session: Session, _ pieces: [SentPiece], _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> Receipt {
    let object = try S3Object(path)
    let pieces = try await undoubted(pieces, of: session, object, upload.payload.length)
    memory.expect(pieces, of: path)
    let hasChecksums = session.mark == S3.checksumMark && api.knows("x-amz-checksum-sha256")
    let list = pieces.enumerated().map { index, piece in
      let checksum = hasChecksums ? piece.hashes[.sha256].map { "<ChecksumSHA256>\($0.base64)</ChecksumSHA256>" } ?? "" : ""
      return "<Part><PartNumber>\(index + 1)</PartNumber><ETag>&quot;\(piece.tag.xmlEscaped)&quot;</ETag>\(checksum)</Part>"
    }
    var call = S3Call(.post, object, query: [("uploadId", session.id ?? "")])
    call.setXML("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(list.joined())</CompleteMultipartUpload>")
    if condition == .absent { call.headers.append(("If-None-Match", "*")) }
    call.isUpload = true
    do throws(Failure) {
      let receipt = try await receipt(of: try await api.send(call), object, upload, condition)
      await checkLock(of: object, try S3Options(upload.attributes.options))
      return receipt
    } catch {
      var failure = error
      // The object may be there all the same; the caller looks.
      if failure.isRetryable { failure.isOutcomeUnknown = true }
      throw failure
    }
  }

  /// The pieces, all of them with a tag, once the server's list of them says nothing against those whose own tags say nothing.
  private func undoubted(
    _ pieces: [SentPiece], of session: Session, _ object: S3Object, _ length: Int64
  ) async throws(Failure) -> [SentPiece] {
    let id = session.id ?? ""
    let doubtful = memory.parts(of: id).doubtful.sorted().filter { $0 < pieces.count }
    guard !doubtful.isEmpty else { return pieces }
    var pieces = pieces
    var listed: [Int: SentPiece] = [:]
    if case .parts(let parts)? = try await self.listed(session, object, length) { listed = parts }
    for index in doubtful {
      if pieces[index].tag.isEmpty { pieces[index].tag = listed[index]?.tag ?? "" }
      let piece = pieces[index]
      guard !piece.tag.isEmpty else {
        throw Failure(.protocol, "\(api.origin) gives no ETag to part \(index + 1) of \(object.path)")
      }
      guard piece.tag.lowercased() != piece.hashes[.md5]?.hex else { continue }
      guard isThere(piece, as: listed[index]) ?? !memory.hasDigests(object.bucket) else {
        // It is not proven by its having been sent.
        memory.change(id) { parts in parts.sent[index] = nil }
        throw Failure(
          .server, "part \(index + 1) of \(object.path) did not arrive as it was sent: its ETag is \(piece.tag)", retryable: true)
      }
      warnOfTags()
    }
    memory.change(id) { $0.doubtful = [] }
    return pieces
  }

  /// By size and checksum; nil if they don't tell.
  private func isThere(_ piece: SentPiece, as listed: SentPiece?) -> Bool? {
    guard let listed else { return nil }
    guard listed.size == piece.size else { return false }
    return listed.hashes[.sha256].map { $0 == piece.hashes[.sha256] }
  }

  private func receipt(
    of answer: HTTPAnswer, _ object: S3Object, _ upload: Upload, _ condition: Condition
  ) async throws(Failure) -> Receipt {
    if answer.status == 412, condition == .absent { throw answer.withEvidence(.alreadyThere(object.path)) }
    // S3 says 200 before it puts the parts together, and may fail then (API_CompleteMultipartUpload.html).
    if let error = S3Error(answer) {
      var failure = error.failure(answer, api.origin, "put \(object.path) together")
      if ["InvalidPart", "InvalidPartOrder", "NoSuchUpload"].contains(error.code) {
        (failure.kind, failure.isRetryable, failure.isSessionLost) = (.server, true, true)
      }
      throw failure
    }
    if let failure = answer.s3Failure(api.origin, "put \(object.path) together") { throw failure }
    guard let root = XMLTree(parsing: answer.xml), root.name == "CompleteMultipartUploadResult" else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) does not say whether it put \(object.path) together", retryable: true))
    }
    // Some servers leave it empty.
    let tag = (root["ETag"]?.text).map { $0.filter { $0 != "\"" } }.flatMap { $0.isEmpty ? nil : $0 }
    if try !S3Options(upload.attributes.options).ignoresTags, let tag, let expected = memory.expectedTag(of: object.path),
      S3ETag.isDigest(tag), !answer.isEncryptedByKeyService
    {
      if tag.lowercased() == expected {
        memory.noteWholeDigests(object.bucket)
      } else {
        try await compare(object, upload.payload, isProof: memory.hasWholeDigests(object.bucket), answer, tag)
      }
    }
    return answer.s3Receipt(etag: tag)
  }

  public func abort(_ session: Session, at path: String, length: Int64) async throws(Failure) {
    if let id = session.id { try await api.abort(id, of: try S3Object(path)) }
  }
}

extension S3API {
  /// Ends an upload in parts. One that is gone already is a success.
  func abort(_ id: String, of object: S3Object) async throws(Failure) {
    let answer = try await send(S3Call(.delete, object, query: [("uploadId", id)]))
    if answer.status != 404, let failure = answer.s3Failure(origin, "abort the upload \(id)") { throw failure }
  }
}

extension SentPiece {
  /// As one that this run has sent itself.
  fileprivate var proven: SentPiece {
    var piece = self
    piece.isProven = true
    return piece
  }
}

extension String {
  /// As text of an XML element.
  fileprivate var xmlEscaped: String {
    replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
  }
}

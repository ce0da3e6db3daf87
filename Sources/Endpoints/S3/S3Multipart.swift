import BytePath

/// One object on its way in parts, some of them at a time, each read straight from the payload.
///
/// When a part fails, no further ones are begun, those under way end, and the attempt fails. The next one, in this run or a later one, takes
/// the upload up where it stands: it asks the server which parts it has, and sends those that are missing or other than they should be.
struct S3Multipart {
  let api: S3API
  let object: S3Object
  let upload: Upload
  let options: S3Options
  let memory: S3Memory
  let detail: @Sendable (String) -> Void

  private var payload: Payload { upload.payload }

  /// - Parameter refuseExisting: asked before a new upload begins.
  func put(_ refuseExisting: () async throws(Failure) -> Void) async throws(Failure) -> Receipt {
    memory.forget(object.path)
    if let session = upload.checkpoint.text.flatMap(S3Session.init) {
      if let listed = try await list(session) { return try await finish(session, listed) }
      if let receipt = try await completed(session) { return receipt }
      detail("the upload \(session.id) is gone; it begins anew")
      upload.checkpoint.set(nil)
    }
    try await refuseExisting()
    return try await finish(try await begin(), [:])
  }

  private func begin() async throws(Failure) -> S3Session {
    var call = S3Call(.post, object, query: [("uploads", "")])
    call.headers = options.headers(with: upload.attributes)
    call.headers.append(("x-amz-checksum-algorithm", "SHA256"))
    let answer = try await api.send(call)
    if let failure = answer.s3Failure(api.origin, "begin an upload of \(object.path)") { throw failure }
    guard let id = XMLTree(parsing: answer.xml)?["UploadId"]?.text, !id.isEmpty else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) gives no ID to the upload of \(object.path)"))
    }
    let plan = options.plan(for: payload.length) ?? S3PartPlan(length: payload.length, partSize: S3PartPlan.usualSize)
    let session = S3Session(id: id, partSize: plan.partSize, hasChecksums: api.knows("x-amz-checksum-algorithm"))
    upload.checkpoint.set(session.text)
    return session
  }

  /// The parts that the server has; nil if it does not know the upload any more.
  private func list(_ session: S3Session) async throws(Failure) -> [Int: S3ListedPart]? {
    let numbers = S3PartPlan(length: payload.length, partSize: session.partSize).numbers
    var parts: [Int: S3ListedPart] = [:]
    var marker: String?
    repeat {
      var call = S3Call(.get, object, query: [("uploadId", session.id)])
      if let marker { call.query.append(("part-number-marker", marker)) }
      let answer = try await api.send(call)
      if answer.status == 404 { return nil }
      // Who may write need not be allowed to list. What this run sent itself it knows.
      if answer.status == 403, S3Error(answer)?.code == "AccessDenied" { return known(session) }
      if let failure = answer.s3Failure(api.origin, "list the parts of \(object.path)") { throw failure }
      guard let page = S3PartList(parsing: answer.xml) else {
        throw answer.withEvidence(Failure(.protocol, "\(api.origin) gives no list of the parts of \(object.path)"))
      }
      let before = parts.count
      parts.merge(page.parts.filter { numbers.contains($0.key) }) { $1 }
      // A server that only counts on would be asked for ever. Each page must bring a part of this object, of which there are only so many.
      marker = parts.count > before ? page.next : nil
    } while marker != nil
    return parts
  }

  private func known(_ session: S3Session) -> [Int: S3ListedPart] {
    let plan = S3PartPlan(length: payload.length, partSize: session.partSize)
    return Dictionary(
      uniqueKeysWithValues: memory.parts(of: session.id).map { number, part in
        (number, S3ListedPart(etag: part.etag, size: Int64(plan.range(of: number).count), sha256: part.sha256))
      })
  }

  private func finish(_ session: S3Session, _ listed: [Int: S3ListedPart]) async throws(Failure) -> Receipt {
    let plan = S3PartPlan(length: payload.length, partSize: session.partSize)
    let before = memory.parts(of: session.id)
    // What was sent in vain does not count.
    upload.meter.setSent(0)
    var sending = S3Sending(
      session: session, plan: plan, call: S3Call(.put, object), upload: upload, api: api, listed: listed, known: before, memory: memory)
    sending.concurrency = min(options.concurrency, plan.numbers.count)
    let parts = try await sending.run()
    // Which digest the whole must have is known only if the tags of the parts are digests.
    let isDigest = parts.allSatisfy { $0.value.etag.lowercased() == $0.value.md5.hex } && object.hasDigestTags
    let expected = isDigest ? S3Multipart.tag(of: plan.numbers.compactMap { parts[$0]?.md5 }) : nil
    memory.expect(expected, of: object.path)
    return try await complete(session, plan.numbers.compactMap { number in parts[number].map { (number, $0) } }, expected)
  }

  /// The entity tag of an object in parts: the MD5 of their MD5s, and their number.
  static func tag(of digests: [Checksum]) -> String {
    "\(Checksum(.md5, of: digests.flatMap(\.bytes)).hex)-\(digests.count)"
  }

  private func complete(_ session: S3Session, _ parts: [(Int, S3Part)], _ expected: String?) async throws(Failure) -> Receipt {
    let hasChecksums = session.hasChecksums && api.knows("x-amz-checksum-sha256")
    let list = parts.map { number, part in
      let checksum = hasChecksums ? "<ChecksumSHA256>\(part.sha256.base64)</ChecksumSHA256>" : ""
      return "<Part><PartNumber>\(number)</PartNumber><ETag>&quot;\(part.etag.xmlEscaped)&quot;</ETag>\(checksum)</Part>"
    }
    var call = S3Call(.post, object, query: [("uploadId", session.id)])
    call.setXML(
      "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(list.joined())</CompleteMultipartUpload>")
    if upload.attributes.existing == .refuse { call.headers.append(("If-None-Match", "*")) }
    call.isUpload = true
    do throws(Failure) {
      return try completed(session, by: try await api.send(call), expected)
    } catch {
      var failure = error
      // The object may be there all the same; the caller looks.
      if failure.isRetryable { failure.isOutcomeUnknown = true }
      throw failure
    }
  }

  private func completed(_ session: S3Session, by answer: HTTPAnswer, _ expected: String?) throws(Failure) -> Receipt {
    if answer.status == 412, upload.attributes.existing == .refuse {
      throw answer.withEvidence(Failure(.exists, "\(object.path) exists already", hint: "leave out --no-clobber to replace it"))
    }
    // S3 says 200 before it puts the parts together, and may fail then (API_CompleteMultipartUpload.html).
    if let error = S3Error(answer) {
      if ["InvalidPart", "InvalidPartOrder", "NoSuchUpload"].contains(error.code) {
        upload.checkpoint.set(nil)
        var failure = error.failure(answer, api.origin, "put \(object.path) together")
        (failure.kind, failure.isRetryable) = (.server, true)
        throw failure
      }
      throw error.failure(answer, api.origin, "put \(object.path) together")
    }
    if let failure = answer.s3Failure(api.origin, "put \(object.path) together") { throw failure }
    guard let root = XMLTree(parsing: answer.xml), root.name == "CompleteMultipartUploadResult" else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) does not say whether it put \(object.path) together", retryable: true))
    }
    // Some servers leave it empty.
    let tag = (root["ETag"]?.text).map { $0.filter { $0 != "\"" } }.flatMap { $0.isEmpty ? nil : $0 }
    upload.checkpoint.set(nil)
    if let tag, let expected, S3ETag.isDigest(tag), tag.lowercased() != expected, answer.isPlainlyStored {
      throw answer.withEvidence(
        Failure(.server, "\(object.path) did not arrive as it was sent: its ETag is \(tag)", retryable: true))
    }
    return answer.s3Receipt(etag: tag)
  }

  /// Whether the object is there, put together by an attempt whose answer was lost. The hashes of all parts are made again for that, so it is
  /// asked first whether it looks like it.
  private func completed(_ session: S3Session) async throws(Failure) -> Receipt? {
    let plan = S3PartPlan(length: payload.length, partSize: session.partSize)
    let answer = try await api.look(at: object)
    guard answer.status == 200, answer.headers["content-length"] == "\(payload.length)", let tag = answer.digestTag,
      tag.hasSuffix("-\(plan.numbers.count)")
    else { return nil }
    var digests: [Checksum] = []
    for number in plan.numbers { digests.append(try await payload.digests([.md5], of: plan.range(of: number))[0]) }
    guard S3Multipart.tag(of: digests) == tag else { return nil }
    memory.expect(tag, of: object.path)
    upload.checkpoint.set(nil)
    detail("the upload \(session.id) was completed; only the answer was lost")
    return answer.s3Receipt(etag: tag)
  }
}

extension HTTPAnswer {
  /// Whether an entity tag in the body may be a digest; see `digestTag`.
  fileprivate var isPlainlyStored: Bool { headers["x-amz-server-side-encryption"]?.hasPrefix("aws:") != true }
}

extension String {
  /// As text of an XML element.
  var xmlEscaped: String {
    replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
  }
}

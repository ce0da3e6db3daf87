import BytePath

/// Sends the parts of an object that the server has not yet, some at a time.
struct S3Sending: Sendable {
  let session: S3Session
  let plan: S3PartPlan
  /// What every part's call has.
  let call: S3Call
  let upload: Upload
  let api: S3API
  /// What the server says it has.
  let listed: [Int: S3ListedPart]
  /// What this run sent itself.
  let known: [Int: S3Part]
  let memory: S3Memory
  var concurrency = 1

  init(
    session: S3Session, plan: S3PartPlan, call: S3Call, upload: Upload, api: S3API, listed: [Int: S3ListedPart], known: [Int: S3Part],
    memory: S3Memory
  ) {
    self.session = session
    self.plan = plan
    self.call = call
    self.upload = upload
    self.api = api
    self.listed = listed
    self.known = known
    self.memory = memory
  }

  /// - Returns: all parts by their numbers.
  /// - Throws: the failure that counts most: one that stays before one that may pass.
  func run() async throws(Failure) -> [Int: S3Part] {
    let result = await withTaskGroup(of: Result<(Int, S3Part), Failure>.self) { group in
      var waiting = plan.numbers.makeIterator()
      var parts: [Int: S3Part] = [:]
      var failure: Failure?
      for _ in 0..<concurrency {
        if let number = waiting.next() { group.addTask { await self.attempt(number) } }
      }
      for await ended in group {
        switch ended {
        case .success(let (number, part)):
          parts[number] = part
          if failure == nil, !Task.isCancelled, let next = waiting.next() { group.addTask { await self.attempt(next) } }
        case .failure(let error):
          // Those that were cancelled for the sake of one that stays say nothing new.
          if failure.map({ $0.isRetryable && !error.isRetryable }) ?? true { failure = error }
          // Those under way may end, so that they need not be sent again, unless nothing will come of it.
          if !error.isRetryable { group.cancelAll() }
        }
      }
      return (parts, failure)
    }
    if Task.isCancelled { throw .interrupted }
    if let failure = result.1 { throw failure }
    return result.0
  }

  private func attempt(_ number: Int) async -> Result<(Int, S3Part), Failure> {
    do throws(Failure) { return .success((number, try await part(number))) } catch { return .failure(error) }
  }

  /// The part as the server has it, sent if need be.
  private func part(_ number: Int) async throws(Failure) -> S3Part {
    let range = plan.range(of: number)
    let meter = Meter(partOf: upload.meter)
    if let known = known[number], let listed = listed[number], listed.etag == known.etag, listed.size == range.count {
      meter.setSent(Int64(range.count))
      return known
    }
    let digests = try await upload.payload.digests([.sha256, .md5], of: range)
    let (sha256, md5) = (digests[0], digests[1])
    if let listed = listed[number], listed.isSame(md5: md5, sha256: sha256, size: Int64(range.count)) {
      meter.setSent(Int64(range.count))
      return remembered(S3Part(etag: listed.etag, md5: md5, sha256: sha256), number)
    }
    var call = call
    call.query = [("partNumber", "\(number)"), ("uploadId", session.id)]
    call.bodyHash = sha256
    if session.hasChecksums { call.headers.append(("x-amz-checksum-sha256", base64(ofHex: sha256))) }
    call.body = HTTPBody(payload: upload.payload, part: range, meter: meter)
    call.isUpload = true
    call.rateShare = concurrency
    let etag = try check(try await api.send(call), number, md5)
    return remembered(S3Part(etag: etag, md5: md5, sha256: sha256), number)
  }

  private func remembered(_ part: S3Part, _ number: Int) -> S3Part {
    memory.add(part, number, to: session.id)
    return part
  }

  /// The entity tag of a part that was sent.
  private func check(_ answer: HTTPAnswer, _ number: Int, _ md5: String) throws(Failure) -> String {
    if var failure = answer.s3Failure(api.origin, "put part \(number) of \(upload.path)") {
      // The next attempt finds that out and begins anew.
      if S3Error(answer)?.code == "NoSuchUpload" { (failure.kind, failure.isRetryable) = (.server, true) }
      throw failure
    }
    guard answer.isAfterWholeBody else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) reports success before it had part \(number)", retryable: true))
    }
    guard let etag = answer.etag else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) gives no ETag to part \(number) of \(upload.path)"))
    }
    if let tag = answer.digestTag, call.object.hasDigestTags, tag != md5 {
      throw answer.withEvidence(
        Failure(.server, "part \(number) of \(upload.path) did not arrive as it was sent: its ETag is \(tag)", retryable: true))
    }
    return etag
  }
}

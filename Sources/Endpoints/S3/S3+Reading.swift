public import BytePath

/// What is there, and its bytes.
extension S3 {
  /// Of a run that reads: the version that is meant, if it is not the newest.
  private var versionQuery: [(name: String, value: String)] { context.options["version-id"].map { [("versionId", $0)] } ?? [] }

  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    let object = try S3Object(path)
    var call = S3Call(.head, object, query: versionQuery)
    call.headers = [("x-amz-checksum-mode", "ENABLED"), ("Accept-Encoding", "identity")]
    let answer = try await api.send(call)
    guard let failure = refusal(answer, "look at \(path)") else {
      memory.noteChecksum(answer.headers["x-amz-checksum-sha256"], of: path)
      return .stored(stored(object, answer))
    }
    switch answer.status {
    case 404: return .nothing
    case 405 where answer.headers["x-amz-delete-marker"] == "true": return .nothing
    // An answer to HEAD does not say why, who may write need not be allowed to look, and the server may not know HEAD.
    case 400, 401, 403, 405, 501: return .untold(failure)
    default: throw failure
    }
  }

  /// What the head of an answer tells of an object. The time stands where rclone and others keep it, else it is that of the upload.
  private func stored(_ object: S3Object, _ answer: HTTPAnswer) -> Stored {
    var stored = Stored(object.path)
    stored.size =
      answer.isPart ? answer.contentRange?.total : answer.headers["content-length"].flatMap { Int64($0) } ?? answer.takenLength
    let kept = answer.headers["x-amz-meta-mtime"].flatMap { Double($0) }.map { Int64(saturating: ($0 * 1000).rounded()) }
    stored.modified = kept ?? answer.headers["last-modified"].flatMap { HTTPDate.seconds($0) }.map { $0.multipliedSaturated(by: 1000) }
    stored.version = answer.etag
    stored.isYoung = answer.etag == nil
    // With a part comes the checksum of one. One with a number behind it is of the checksums of parts, and is none that is known here.
    if !answer.isPart {
      for algorithm in HashAlgorithm.allCases {
        stored.checksums[algorithm] = answer.headers["x-amz-checksum-\(algorithm.rawValue)"].flatMap { Checksum(algorithm, base64: $0) }
      }
    }
    if let digest = answer.digest(of: object).flatMap({ Checksum(.md5, hex: $0) }) {
      if memory.hasDigests(object.bucket) { stored.checksums[.md5] = digest } else { stored.hints[.md5] = digest }
    }
    return stored
  }

  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    let object = try S3Object(path)
    let get = ObjectGet(path, range, from: api.origin, into: sink)
    var call = S3Call(.get, object, query: versionQuery)
    call.headers = get.headers
    if let version { call.headers.append(("If-Match", "\"\(version)\"")) }
    // Some servers do not know the condition.
    let fault = { @Sendable (answer: HTTPAnswer) -> Failure? in
      version.map { answer.etag != $0 } == true ? .replaced(path) : get.fault(in: answer)
    }
    call.receiver = get
    call.isWanted = { fault($0) == nil }
    let answer = try await api.send(call)
    switch answer.status {
    case 200..<300:
      if let fault = fault(answer) { return .untold(answer.withEvidence(fault)) }
      try get.checkEnd(of: answer)
      return .stored(stored(object, answer))
    case 404: return .nothing
    case 412 where version != nil, 416 where range != nil: return .untold(answer.withEvidence(.replaced(path)))
    default: return .untold(refusal(answer, "read \(path)") ?? answer.strange(api.origin, "no object"))
    }
  }

  /// An answer to `HEAD` does not say whether there is a bucket, or S3 at all. What can't be had now may be there, as may what is refused.
  public func confirmNothing(at path: String) async throws(Failure) {
    let object = try S3Object(path)
    var call = S3Call(.get, object, query: versionQuery)
    call.headers = [("Range", "bytes=0-0")]
    let answer = try await api.send(call)
    switch S3Error(answer)?.code {
    case "NoSuchBucket":
      throw answer.withEvidence(Failure(.rejected, "there is no bucket \(object.bucket) at \(api.origin)", hint: "check its name"))
    case nil where answer.status == 404 && answer.headers["x-amz-delete-marker"] == nil: throw answer.strange(api.origin, "no error of S3")
    default:
      if answer.status == 404 || answer.status == 405 && answer.headers["x-amz-delete-marker"] == "true" { return }
      // An empty object has no part (416).
      if answer.status != 416, let failure = refusal(answer, "look at \(path)") { throw failure }
      throw answer.withEvidence(
        Failure(.server, "\(api.origin) said that \(path) is not there, and has it now", hint: "try again", retryable: true))
    }
  }

  private func refusal(_ answer: HTTPAnswer, _ what: String) -> Failure? {
    var failure = answer.s3Failure(api.origin, what)
    if answer.status == 403, failure?.hint == nil {
      failure?.hint = "S3 says so of what is not there, too, to who may not list the bucket (s3:ListBucket)"
    }
    return failure
  }
}

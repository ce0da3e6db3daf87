import BytePath

/// Objects at an HTTP server: what its answers to `HEAD` and `GET` tell of them (RFC 9110).
extension HTTPSession {
  func head(_ path: String) async throws(Failure) -> HTTPAnswer {
    var request = HTTPRequest(method: .head, url: url(path))
    // The length of a compressed answer would not be the object's.
    request.headers.append(("Accept-Encoding", "identity"))
    return try await send(request)
  }

  /// The request that puts all of an object. Not every server knows the condition, nginx and Go's among those that do not.
  func putRequest(_ upload: Upload, at path: String, _ condition: Condition) -> HTTPRequest {
    var request = HTTPRequest(method: .put, url: url(path))
    if let type = upload.attributes.contentType { request.headers.append(("Content-Type", type)) }
    if condition == .absent { request.headers.append(("If-None-Match", "*")) }
    request.body = HTTPBody(payload: upload.payload, meter: upload.meter)
    request.isUpload = true
    request.isAnsweredByStatus = true
    return request
  }

  /// As `Store.read`. The sink gets nothing of another version or another part than was asked for. `If-Match` would not do: weak tags never match
  /// (RFC 9110, 13.1.1), and not every server knows it.
  func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    var request = HTTPRequest(method: .get, url: url(path))
    request.headers.append(("Accept-Encoding", "identity"))
    if let range { request.headers.append(("Range", range.asHeader)) }
    request.receiver = sink
    let isPart = { @Sendable (answer: HTTPAnswer) in
      guard let range else { return answer.status == 200 }
      return answer.status == 206 && answer.headers["content-range"]?.hasPrefix("bytes \(range.lowerBound)-") == true
    }
    let isVersion = { @Sendable (answer: HTTPAnswer) in
      guard let version, let other = Stored(path, answer).version else { return true }
      return Stored.mayBe(version, other)
    }
    request.isWanted = { isPart($0) && isVersion($0) }
    let answer = try await send(request)
    switch answer.status {
    case 404, 410: return .nothing
    case 200..<300 where !isVersion(answer):
      return .untold(answer.withEvidence(Failure(.rejected, "\(path) is not on \(base.origin) any more as it was")))
    case 200..<300 where isPart(answer): return .stored(Stored(path, answer))
    case 200..<300 where range != nil: return .untold(answer.withEvidence(Failure(.protocol, "\(base.origin) sends no parts of an object")))
    default: return .untold(answer.statusFailure(base.origin) ?? noAnswer(answer, to: "GET", path))
    }
  }

  func noAnswer(_ answer: HTTPAnswer, to method: String, _ path: String) -> Failure {
    answer.withEvidence(Failure(.protocol, "\(base.origin) answers \(method) of \(path) with HTTP \(answer.status)"))
  }
}

extension Stored {
  /// As the head of an answer to `HEAD` or `GET` tells.
  init(_ path: String, _ answer: HTTPAnswer) {
    self.init(path, isDirectory: false)
    size =
      answer.status == 206
      ? answer.headers["content-range"]?.split(separator: "/").last.flatMap { Int64($0) }
      : answer.headers["content-length"].flatMap { Int64($0) }
    modified = answer.headers["last-modified"].flatMap { HTTPDate.seconds($0) }.map { $0.multipliedSaturated(by: 1000) }
    version = Stored.version(tag: answer.headers["etag"], modified: answer.headers["last-modified"], size: size)
  }

  /// The entity tag, the date and the size, as far as they are told; nil without the first two. A tag may be weak at first, and strong a second
  /// later, as Apache's are: that makes no difference.
  static func version(tag: String?, modified: String?, size: Int64?) -> String? {
    guard tag != nil || modified != nil else { return nil }
    let strong = tag.map { $0.hasPrefix("W/") ? String($0.dropFirst(2)) : $0 }
    return [strong ?? "", modified ?? "", size.map { "\($0)" } ?? ""].joined(separator: "\n")
  }

  /// Whether two versions may be of the same object: a tag decides; but `PROPFIND` may tell none where `GET` does, as at nginx.
  fileprivate static func mayBe(_ one: String, _ other: String) -> Bool {
    let parts = [one, other].map { $0.split(separator: "\n", omittingEmptySubsequences: false) }
    let told = zip(parts[0], parts[1]).map { $0.isEmpty || $1.isEmpty ? nil : $0 == $1 }
    return (told.first ?? nil) ?? told.allSatisfy { $0 ?? true }
  }
}

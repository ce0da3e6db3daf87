import BytePath

/// Objects at an HTTP server: what its answers to `HEAD` and `GET` tell of them (RFC 9110).
extension HTTPSession {
  func head(_ path: String) async throws(Failure) -> HTTPAnswer {
    var request = HTTPRequest(method: .head, url: url(path))
    // The length of a compressed answer would not be the object's.
    request.headers.append(("Accept-Encoding", "identity"))
    return try await send(request)
  }

  /// As `Store.read`.
  func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    var request = HTTPRequest(method: .get, url: url(path))
    request.headers.append(("Accept-Encoding", "identity"))
    if let range { request.headers.append(("Range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")) }
    if let version { request.headers.append(("If-Match", version)) }
    request.receiver = sink
    let answer = try await send(request)
    switch answer.status {
    case 206 where range != nil, 200 where range == nil: return .stored(Stored(path, answer))
    case 404, 410: return .nothing
    // The whole object was sent where a part was wanted: what the sink has is not what was asked for.
    default: return .untold(answer.statusFailure(base.origin) ?? noAnswer(answer, to: "GET", path))
    }
  }

  func noAnswer(_ answer: HTTPAnswer, to method: String, _ path: String) -> Failure {
    answer.withEvidence(Failure(.protocol, "\(base.origin) answers \(method) of \(path) with HTTP \(answer.status)"))
  }
}

extension Stored {
  /// As the head of an answer tells. An entity tag is a version, and a date is one where there is no tag.
  init(_ path: String, _ answer: HTTPAnswer) {
    self.init(path, isDirectory: false)
    if answer.status == 200 { size = answer.headers["content-length"].flatMap { Int64($0) } }
    modified = answer.headers["last-modified"].flatMap { HTTPDate.seconds($0) }.map { $0.multipliedSaturated(by: 1000) }
    version = answer.headers["etag"]
  }
}

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
    let get = ObjectGet(path, range, from: base.origin, into: sink)
    var request = HTTPRequest(method: .get, url: url(path), headers: get.headers)
    // Servers of files send who asks for a directory to its name with a slash, where there is a page of what is in it, or nginx's 403.
    let isDirectory = { @Sendable (answer: HTTPAnswer) in answer.url.hasSuffix("\(URLText.encoded(path))/") }
    let fault = { @Sendable (answer: HTTPAnswer) -> Failure? in
      if isDirectory(answer) { return .directory(path) }
      if let coding = answer.foreignCoding(of: path) { return .coded(path, coding, from: answer.url) }
      if let version, let other = Stored(path, answer).version, !Stored.mayBe(version, other) { return .replaced(path) }
      return get.fault(in: answer)
    }
    request.receiver = get
    request.isWanted = { fault($0) == nil }
    let answer = try await send(request)
    switch answer.status {
    case 404, 410: return .nothing
    case 403 where isDirectory(answer): return .untold(answer.withEvidence(.directory(path)))
    case 416 where range != nil: return .untold(answer.withEvidence(.replaced(path)))
    case 200..<300:
      if let fault = fault(answer) { return .untold(answer.withEvidence(fault)) }
      try get.checkEnd(of: answer)
      return .stored(Stored(path, answer))
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
      answer.isPart
      ? answer.contentRange?.total : answer.headers["content-length"].flatMap { Int64($0) } ?? answer.takenLength
    modified = answer.headers["last-modified"].flatMap { HTTPDate.seconds($0) }.map { $0.multipliedSaturated(by: 1000) }
    checksums = answer.checksums
    note(tag: answer.headers["etag"], modified: answer.headers["last-modified"], date: answer.headers["date"])
  }

  /// Makes a version of what HTTP tells of an object: the entity tag, the date and the size, as far as they are told; none without the first two.
  /// A tag may be weak at first, and strong a second later, as Apache's are: that makes no difference.
  ///
  /// - Parameters:
  ///   - modified: `Last-Modified`.
  ///   - date: when the server said so.
  mutating func note(tag: String?, modified: String?, date: String?) {
    isYoung = Stored.isYoung(tag: tag, modified: modified, date: date)
    guard tag != nil || modified != nil else { return }
    let strong = tag.map { $0.hasPrefix("W/") ? String($0.dropFirst(2)) : $0 }
    version = [strong ?? "", modified ?? "", size.map { "\($0)" } ?? ""].joined(separator: "\n")
    let word = (strong ?? "").filter { $0 != "\"" }
    for algorithm in HashAlgorithm.allCases { hints[algorithm] = Checksum(algorithm, hex: word) }
  }

  /// Whether something else may come to have the same tag or date: within the second of its last change, where they are made of that
  /// (RFC 9110, 8.8.2.2). The tags of nginx and AList are that second and the size; Apache calls its own weak as long as that lasts.
  private static func isYoung(tag: String?, modified: String?, date: String?) -> Bool {
    let isWeak = tag?.hasPrefix("W/") ?? true
    guard let changed = modified.flatMap({ HTTPDate.seconds($0) }) else { return isWeak }
    let now = date.flatMap { HTTPDate.seconds($0) } ?? millisecondsNow() / 1000
    guard now.subtractingSaturated(changed) < 2 else { return false }
    return isWeak || tag.flatMap { Int64($0.drop { $0 == "\"" }.prefix { $0 != "-" }, radix: 16) } == changed
  }

  /// Whether two versions may be of the same object: a tag decides; but `PROPFIND` may tell none where `GET` does, as at nginx.
  static func mayBe(_ one: String, _ other: String) -> Bool {
    let parts = [one, other].map { $0.split(separator: "\n", omittingEmptySubsequences: false) }
    let told = zip(parts[0], parts[1]).map { $0.isEmpty || $1.isEmpty ? nil : $0 == $1 }
    return (told.first ?? nil) ?? told.allSatisfy { $0 ?? true }
  }
}

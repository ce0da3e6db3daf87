import BytePath

/// What a server said: its status and a bounded body.
struct HTTPAnswer: Sendable {
  /// Bodies of answers are read as far as this; the APIs' own are far shorter.
  static let bodyLimit = 1 << 20

  var status: Int
  /// Names in lower case; of a repeated one the first, but all of those that are lists (`AnswerCollector`).
  var headers: [String: String]
  var body: [UInt8]
  /// False if the server answered before it could have seen all of the request's body.
  var isAfterWholeBody: Bool
  /// The address that answered, after redirects.
  var url: String
  /// Whether the request had an object with it, or gave one its name.
  var isOfUpload = false
  /// Bytes of the request's body.
  var requestLength: Int64 = 0
  /// How many bytes of its body a receiver has taken, once that has ended where the answer itself said: after its length, or with its last chunk.
  /// Nil for one that ended because the connection did, and for one that was not wanted to its end.
  var takenLength: Int64?
  /// What is wrong with how its head is written, although it could be read; nil if nothing is. See `AnswerHead`.
  var flaw: String?

  /// Whether the server may have stored the object whatever it says: it had all of it, and a server before it may have given up.
  var mayHaveStored: Bool { isOfUpload && isAfterWholeBody }

  /// Bytes of its body, as its head announces them; nil if it does not.
  var expectedLength: Int? { headers["content-length"].flatMap { Int($0) } }

  var json: JSONValue? { JSONValue(parsing: body) }

  /// For the result: the server's own JSON, or its text, cut.
  var report: JSONValue { ReportedAnswer.json(body) ?? ReportedAnswer.text(body) }

  /// The wait that the server asks for, a day at the most (RFC 9110, 10.2.3).
  var retryAfter: Duration? {
    headers["retry-after"].flatMap { HTTPAnswer.wait($0, date: headers["date"], now: millisecondsNow() / 1000) }
  }

  /// Reads `Retry-After`: seconds, or a date. That is held against the server's own clock where the answer tells it, so that a clock that is
  /// wrong here does not matter.
  ///
  /// - Parameters:
  ///   - date: the answer's `Date`.
  ///   - now: seconds since 1970.
  static func wait(_ text: String, date: String?, now: Int64) -> Duration? {
    let day: Int64 = 86400
    if !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }) { return .seconds(min(Int64(text) ?? day, day)) }
    guard let end = HTTPDate.seconds(text) else { return nil }
    let start = date.flatMap { HTTPDate.seconds($0) } ?? now
    return .seconds(min(max(end - start, 0), day))
  }

  /// The failure that the HTTP status alone stands for; nil for 2xx.
  ///
  /// - Parameter server: who answered, for the message.
  func statusFailure(_ server: String) -> Failure? {
    var failure: Failure
    switch status {
    case 200..<300: return nil
    case 300..<400: failure = redirectFailure(server)
    case 401: failure = Failure(.auth, "\(server) wants other credentials (HTTP 401)")
    case 403: failure = Failure(.auth, "\(server) gives no permission (HTTP 403)")
    case 407: failure = Failure(.auth, "the proxy wants credentials (HTTP 407)", hint: "put them into the proxy's URL")
    case 404, 405:
      failure = Failure(
        .protocol, "\(server) does not know this call (HTTP \(status))", hint: "check the address, and the sub-path if there is one")
    case 408, 425, 429: failure = Failure(.server, "\(server) asks to try again later (HTTP \(status))")
    case 411: failure = Failure(.rejected, "\(server) wants a Content-Length, and a proxy on the way may have removed it (HTTP 411)")
    case 413:
      failure = Failure(.rejected, "the object is too large for \(server) or a proxy before it (HTTP 413)")
      failure.hint = SizeText.round(below: requestLength).map { "--part-size \($0) sends it in parts, if its limit lets those through" }
    case 423: failure = Failure(.rejected, "somebody has locked the object on \(server) (HTTP 423)")
    case 507: failure = Failure(.rejected, "the storage of \(server) is full (HTTP 507)")
    case 400..<500: failure = Failure(.rejected, "\(server) refuses the request (HTTP \(status))")
    default: failure = Failure(.server, "\(server) has a problem (HTTP \(status))")
    }
    failure.isRetryable = RetryTable.mayPass(status: status)
    failure.retryAfter = retryAfter
    return withEvidence(failure)
  }

  /// The failure, with this answer for the result.
  func withEvidence(_ failure: Failure) -> Failure {
    var failure = failure
    failure.httpStatus = status
    failure.response = report
    // A success in words that nobody can read is one all the same. Failures that do not pass say that the server will never do it.
    let saysNothing = status >= 500 && RetryTable.mayPass(status: status) || (200..<300).contains(status) && failure.kind == .protocol
    if saysNothing, mayHaveStored { failure.isOutcomeUnknown = true }
    return failure
  }

  private func redirectFailure(_ server: String) -> Failure {
    guard let location = headers["location"] else {
      return Failure(.protocol, "\(server) redirects to nowhere (HTTP \(status))")
    }
    return Failure(
      .protocol, "\(server) redirects to \(URLText.redactedTarget(location)) (HTTP \(status)), which was not followed",
      hint: "use that address")
  }
}

extension Receipt {
  /// What the answer to a put says.
  init(_ answer: HTTPAnswer) {
    self.init(httpStatus: answer.status, response: answer.body.isEmpty ? nil : answer.report, flaw: answer.flaw)
    isEarly = !answer.isAfterWholeBody
  }
}

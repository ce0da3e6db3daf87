public import BytePath

/// Any server that takes `PUT` (RFC 9110, 9.3.4), as with `curl -T`. Success is a status of 200 to 299.
public struct PlainHTTP: BuiltInEndpoint {
  public static let kind = EndpointKind(name: "http", schemes: [("http", false), ("https", true)], takesToken: true)

  private let base: BaseURL
  private let http: HTTPSession

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "an http remote needs a url") }
    self.base = base
    http = try HTTPSession(base, remote, context)
  }

  public func close() async { await http.close() }

  public func objectPath(_ text: String) throws(Failure) -> String { try HTTPSession.objectPath(text) }

  public func identity(of path: String) -> String? { http.identity(of: path) }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    throw Failure(.usage, "plain HTTP has no directories")
  }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let answer = try await head(path)
    switch answer.status {
    case 200..<300:
      if attributes.existing == .refuse { throw alreadyThere(path) }
    // What a server says to HEAD of an object that is not there yet does not tell what it says to PUT, but for these; 501 is said by one
    // that does not know HEAD.
    case 401, 407, 408, 425, 429, 500, 502...:
      if let failure = answer.statusFailure(base.origin) { throw failure }
    default: break
    }
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let (payload, path, attributes, meter) = (upload.payload, upload.path, upload.attributes, upload.meter)
    var request = HTTPRequest(method: .put, url: http.url(path))
    if let type = attributes.contentType { request.headers.append(("Content-Type", type)) }
    if attributes.existing == .refuse {
      // Some servers do not know the header, nginx among them, and would overwrite.
      if try await (200..<300).contains(head(path).status) { throw alreadyThere(path) }
      request.headers.append(("If-None-Match", "*"))
    }
    request.body = HTTPBody(payload: payload, meter: meter)
    request.isUpload = true
    request.isAnsweredByStatus = true
    let answer = try await http.send(request)
    try checkPut(answer, path, attributes)
    return Receipt(httpStatus: answer.status, response: answer.body.isEmpty ? nil : answer.report, flaw: answer.flaw)
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    throw Failure(.usage, "plain HTTP has no directories")
  }

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    let answer = try await head(path)
    if answer.status == 404 { throw answer.withEvidence(.mismatch("\(path) is not there after the upload")) }
    if let failure = answer.statusFailure(base.origin) { throw failure }
    guard let size = answer.headers["content-length"].flatMap({ Int64($0) }) else {
      throw answer.withEvidence(Failure(.protocol, "\(base.origin) does not say how long \(path) is, so --verify can't tell"))
    }
    guard size == payload.length else {
      throw answer.withEvidence(.mismatch("\(path) has \(size) bytes on the server instead of \(payload.length)"))
    }
    return .size
  }

  private func checkPut(_ answer: HTTPAnswer, _ path: String, _ attributes: Attributes) throws(Failure) {
    switch answer.status {
    case 200..<300:
      guard answer.isAfterWholeBody else {
        throw answer.withEvidence(Failure(.protocol, "\(base.origin) reports success before it had the whole object", retryable: true))
      }
    case 412 where attributes.existing == .refuse: throw answer.withEvidence(alreadyThere(path))
    case 404:
      throw answer.withEvidence(Failure(.rejected, "\(base.origin) has no place for \(path) (HTTP 404)", hint: "is its directory there?"))
    case 409:
      throw answer.withEvidence(
        Failure(
          .rejected, "\(base.origin) cannot put \(path) there (HTTP 409)",
          hint: "is its directory there, and is it no directory itself? dav+http:// makes the missing ones"))
    case 405: throw answer.withEvidence(Failure(.rejected, "\(base.origin) takes no uploads to \(path) (HTTP 405)"))
    default:
      if let failure = answer.statusFailure(base.origin) { throw failure }
    }
  }

  private func alreadyThere(_ path: String) -> Failure {
    Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it")
  }

  private func head(_ path: String) async throws(Failure) -> HTTPAnswer {
    var request = HTTPRequest(method: .head, url: http.url(path))
    // The length of a compressed answer would not be the object's.
    request.headers.append(("Accept-Encoding", "identity"))
    return try await http.send(request)
  }
}

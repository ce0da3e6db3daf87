import BytePath

/// HTTP to one server, with its credentials.
///
/// A server that wants `Digest` says so in a 401, so the first request to it is made twice; without TLS always, first without the password.
/// That is never one with an object or one that changes something: before it, a server that has not said anything yet is asked with a `HEAD`.
final class HTTPSession: Sendable {
  let base: BaseURL
  private let transport: HTTPTransport
  private let credentials: HTTPCredentials

  /// - Throws: as `HTTPTransport`.
  init(_ base: BaseURL, _ remote: Remote, _ context: EndpointContext) throws(Failure) {
    self.base = base
    transport = try HTTPTransport(for: base, context)
    credentials = try HTTPCredentials(remote, isSecure: base.isSecure, warn: context.warn)
  }

  func close() async { await transport.close() }

  /// The path of an object, with a slash at its start. A `?` or `#` in it is a character of the name.
  ///
  /// - Throws: `usage` if it names none, or a `.` or `..` in it would lead elsewhere.
  static func objectPath(_ text: String) throws(Failure) -> String {
    let path = text.hasPrefix("/") ? text : "/\(text)"
    guard !path.hasSuffix("/") else {
      throw Failure(.usage, "\(path) names no object", hint: "add its name: \(path)NAME")
    }
    guard !path.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
      throw Failure(.usage, "the path \(path) has a . or .. in it", hint: "write the path out")
    }
    return path
  }

  /// The same text for the same object: how much of its path stands in the address of the server makes no difference.
  func identity(of path: String) -> String { base.path + URLText.encoded(path) }

  /// The address of an object, whose path is percent-encoded here.
  func url(_ path: String) -> String { base.url(URLText.encoded(path)) }

  /// - Throws: what stands in the way of an answer; one that refuses is an answer.
  func send(_ request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    let answer = try await answer(to: request)
    if let failure = OddServer.isStarting(answer, base.origin) { throw failure }
    return answer
  }

  private func answer(to request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    if try await credentials.mustAsk() {
      let isReading = [.get, .head, .propfind].contains(request.method)
      let answer = try await transport.send(isReading ? request : HTTPRequest(method: .head, url: request.url))
      guard try await credentials.isOffered(in: isOurs(answer.url) ? answer : nil) else { return answer }
    }
    if request.isUpload, request.body.length > 0, try await credentials.mayBeChallenged() {
      _ = try await answer(to: HTTPRequest(method: .head, url: request.url))
    }
    var url = request.url
    // Once for the challenge, and once more if its nonce was too old.
    for _ in 0..<2 {
      let answer = try await sendOnce(request, to: url)
      guard isOurs(answer.url), try await credentials.learn(from: answer) else { return answer }
      // The answer to a challenge is made for one address.
      url = answer.url
    }
    return try await sendOnce(request, to: url)
  }

  private func sendOnce(_ request: HTTPRequest, to url: String) async throws(Failure) -> HTTPAnswer {
    var request = request
    request.url = url
    request.headers += try await credentials.headers(for: request.method, url: url)
    return try await transport.send(request)
  }

  /// False if redirects led to a server that the credentials are not for.
  private func isOurs(_ url: String) -> Bool {
    RedirectTarget(url, from: base.origin)?.origin == base.origin
  }
}

import AsyncHTTPClient
import BytePath
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// HTTP to one server: one client, one event loop.
///
/// It adds to the client library what uploads need: an answer that comes while the body is still being sent is read and returned; time-outs
/// for silence while sending and for the wait after the last byte; redirects that never take credentials to another host; answers of bounded
/// size; the proxies of the environment.
final class HTTPTransport: Sendable {
  private static let redirectLimit = 5
  private static let eventLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  /// Made when it is first needed: most of the start-up time of an upload is its own, and one that was made must be shut down.
  private let client = Mutex<HTTPClient?>(nil)
  private let configuration: HTTPClient.Configuration
  private let settings: HTTPSettings
  private let plainProxy: PlainProxy?
  private let detail: @Sendable (String) -> Void
  /// Scheme, host and port that credentials are for.
  private let origin: String

  /// - Throws: `config` if the proxy of the environment or the certificate file can't be used.
  init(for base: BaseURL, _ context: EndpointContext) throws(Failure) {
    let settings = context.http
    self.settings = settings
    detail = context.detail
    origin = base.origin
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
    configuration.httpVersion = .http1Only
    configuration.timeout.connect = .nanoseconds(settings.connectTimeout.nanoseconds)
    // Shorter than servers keep a silent connection, so that none is used that the server is closing.
    configuration.connectionPool.idleTimeout = .seconds(4)
    // Retrying is `Retry`'s business; the pool would hide a refused connection for the whole connect time-out.
    configuration.connectionPool.retryConnectionEstablishment = false
    plainProxy = try HTTPTransport.useProxy(for: base, &configuration)
    if base.isSecure {
      if settings.isInsecure { context.warn("the certificate of \(base.host) is not verified (--insecure)") }
      configuration.tlsConfiguration = try HTTPTransport.tls(settings)
    }
    self.configuration = configuration
  }

  /// Returns the proxy if its requests are to be written for it; a tunnel is the client's own matter.
  private static func useProxy(for base: BaseURL, _ configuration: inout HTTPClient.Configuration) throws(Failure) -> PlainProxy? {
    guard let proxy = try ProxySetting.fromEnvironment(for: base) else { return nil }
    guard base.isSecure else {
      configuration.http1_1ConnectionDebugInitializer = { PlainProxy.prepare($0) }
      return PlainProxy(setting: proxy)
    }
    configuration.proxy = .server(
      host: proxy.host, port: proxy.port, authorization: proxy.username.map { .basic(username: $0, password: proxy.password ?? "") })
    return nil
  }

  private static func tls(_ settings: HTTPSettings) throws(Failure) -> TLSConfiguration {
    var tls = TLSConfiguration.makeClientConfiguration()
    if settings.isInsecure { tls.certificateVerification = .none }
    let variable = getenv("SSL_CERT_FILE").map { String(cString: $0) }
    if let file = settings.certificateFile ?? (variable?.isEmpty == false ? variable : nil) {
      do {
        // Read here, so that a file that can't be read is told of as such and before anything else happens.
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
      } catch {
        throw Failure(.config, "cannot read certificates from \(file)", hint: "it must be a file of PEM certificates")
      }
    }
    return tls
  }

  func close() async {
    // An error here means connections that are gone already.
    let made = client.withLock { client in
      defer { client = nil }
      return client
    }
    try? await made?.shutdown()
  }

  private func openClient() -> HTTPClient {
    client.withLock { client in
      if let client { return client }
      let made = HTTPClient(eventLoopGroupProvider: .shared(HTTPTransport.eventLoop), configuration: configuration)
      client = made
      return made
    }
  }

  /// Sends a request and reads the answer, whatever its status.
  ///
  /// - Throws: `unreachable`, `timeout`, `protocol`, `interrupted`; `input` or `spool` if the payload can't be read.
  func send(_ request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    var request = request
    for _ in 0...HTTPTransport.redirectLimit {
      let start = ContinuousClock.now
      let answer = try await sendOnce(request)
      detail(
        "\(request.method.rawValue) \(request.url): HTTP \(answer.status) after \(start.duration(to: .now).nanoseconds / 1_000_000) ms")
      guard let next = redirected(request, by: answer) else { return answer }
      request = next
    }
    throw Failure(.protocol, "\(request.url) redirects in a circle")
  }

  /// The request to make instead, if the answer redirects and the redirect may be followed. 301, 302 and 303 turn other methods into GET in
  /// many clients, so only a GET follows them; 307 and 308 keep method and body (RFC 9110, 15.4).
  private func redirected(_ request: HTTPRequest, by answer: HTTPAnswer) -> HTTPRequest? {
    let keepsMethod = answer.status == 307 || answer.status == 308
    guard keepsMethod || (request.method == .get && (301...303).contains(answer.status)) else { return nil }
    guard let location = answer.headers["location"], let target = RedirectTarget(location, from: request.url) else { return nil }
    // What was said to a server over TLS is not said to anybody in the clear.
    guard !(request.url.hasPrefix("https:") && target.url.hasPrefix("http:")) else { return nil }
    var next = request
    next.url = target.url
    if target.origin != origin {
      next.headers.removeAll { ["authorization", "cookie"].contains($0.name.lowercased()) }
    }
    return next
  }

  private func sendOnce(_ request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    let state = ExchangeState()
    if request.body.length == 0 { state.handedOverAll() }
    let answer: Result<HTTPAnswer, Failure> = await withTaskGroup(of: Result<HTTPAnswer, Failure>?.self) { group in
      group.addTask { await self.exchange(request, state) }
      group.addTask { await self.watch(request, state) }
      var result: Result<HTTPAnswer, Failure>?
      while result == nil, let next = await group.next() { result = next }
      group.cancelAll()
      return result ?? .failure(.interrupted)
    }
    if case .failure = answer, Task.isCancelled { throw .interrupted }
    return try answer.get()
  }

  /// The failure of a request that takes too long; nil when the watch was called off.
  private func watch(_ request: HTTPRequest, _ state: ExchangeState) async -> Result<HTTPAnswer, Failure>? {
    let start = ContinuousClock.now
    while true {
      let patience = patience(with: request, in: state.phase)
      let quiet = state.lastMove + patience
      let end = settings.totalTimeout.map { start + $0 }
      if let total = settings.totalTimeout, start + total <= .now { return .failure(timeout("was not done within \(total)", state)) }
      if quiet <= .now {
        let what = state.phase == .answering ? "did not answer within \(patience)" : "took no bytes for \(patience)"
        return .failure(timeout(what, state))
      }
      // The end of the sending, from which another time-out counts, is noticed by looking.
      do { try await Task.sleep(until: min(quiet, end ?? quiet, .now + .milliseconds(200))) } catch { return nil }
    }
  }

  private func patience(with request: HTTPRequest, in phase: ExchangeState.Phase) -> Duration {
    switch phase {
    case .answering where request.isUpload: settings.answerTimeout
    case .sending where request.mayQueue: max(settings.idleTimeout, settings.answerTimeout)
    default: settings.idleTimeout
    }
  }

  private func timeout(_ what: String, _ state: ExchangeState) -> Failure {
    var failure = Failure(.timeout, "\(origin) \(what)", retryable: true)
    failure.isOutcomeUnknown = state.phase == .answering
    return failure
  }

  private func exchange(_ request: HTTPRequest, _ state: ExchangeState) async -> Result<HTTPAnswer, Failure> {
    var message = HTTPClientRequest(url: plainProxy?.url(for: request.url) ?? request.url)
    message.method = .RAW(value: request.method.rawValue)
    message.headers.add(name: "User-Agent", value: "sluice")
    message.headers.add(name: "Accept", value: "*/*")
    for (name, value) in request.headers + (plainProxy?.headers(for: request.url) ?? []) { message.headers.add(name: name, value: value) }
    if request.body.length > 0 {
      message.body = .stream(
        HTTPBodyPieces(
          body: request.body, state: state, rateLimit: request.isUpload ? settings.rateLimit : nil,
          eventLoop: HTTPTransport.eventLoop.any()),
        length: .known(request.body.length))
    }
    var answer = HTTPAnswer(status: 0, headers: [:], body: [], isAfterWholeBody: false, url: request.url)
    do {
      let response = try await openClient().execute(message, deadline: .distantFuture)
      answer.status = Int(response.status.code)
      for (name, value) in response.headers.reversed() { answer.headers[name.lowercased()] = value }
      if request.wantsContent || answer.status != 200 {
        if let failure = try await readBody(of: response, into: &answer) { return .failure(failure) }
      }
      answer.isAfterWholeBody = state.phase == .answering
      return .success(answer)
    } catch {
      return .failure(HTTPErrorText.failure(error, origin, state))
    }
  }

  /// Reads the body of an answer as far as it may go.
  private func readBody(of response: HTTPClientResponse, into answer: inout HTTPAnswer) async throws -> Failure? {
    let expected = answer.headers["content-length"].flatMap { Int($0) }
    if expected == 0 { return nil }
    do {
      for try await piece in response.body {
        answer.body.append(contentsOf: piece.readableBytesView)
        if answer.body.count > HTTPAnswer.bodyLimit {
          answer.body.removeLast(answer.body.count - HTTPAnswer.bodyLimit)
          return answer.withEvidence(Failure(.protocol, "\(origin) sends an answer of more than \(HTTPAnswer.bodyLimit) bytes"))
        }
        if let expected, answer.body.count >= expected { break }
      }
    } catch {
      // A server that refuses early closes while it is being sent to: what it said before is what counts.
      guard let expected, answer.body.count >= expected else {
        if error is CancellationError { throw error }
        return answer.withEvidence(Failure(.protocol, "\(origin) broke off in the middle of its answer", retryable: true))
      }
    }
    return nil
  }
}

extension Duration {
  var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
}

/// Where a redirect leads.
struct RedirectTarget {
  let url: String
  let origin: String

  /// Nil if `location` is no http address; one that starts with a slash is on the same server.
  init?(_ location: String, from url: String) {
    let absolute: String
    if location.hasPrefix("//") {
      absolute = url.prefix { $0 != "/" } + location
    } else if location.hasPrefix("/") {
      guard let end = url.firstRange(of: "://") else { return nil }
      absolute = url[..<end.upperBound] + url[end.upperBound...].prefix { $0 != "/" } + location
    } else {
      absolute = location
    }
    guard let scheme = URLText.scheme(of: absolute), ["http", "https"].contains(scheme.lowercased()) else { return nil }
    guard let authority = try? URLText.Authority(absolute.dropFirst(scheme.count + 3).prefix { !"/?#".contains($0) }) else { return nil }
    self.url = absolute
    origin = BaseURL(isSecure: scheme.lowercased() == "https", host: authority.host, port: authority.port).origin
  }
}

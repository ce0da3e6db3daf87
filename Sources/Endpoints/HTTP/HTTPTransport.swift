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
  /// Made when a connection is first needed.
  static let eventLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  /// Made when it is first needed: most of the start-up time of an upload is its own, and one that was made must be shut down.
  private let client = Mutex<HTTPClient?>(nil)
  private let files = PayloadFiles()
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
    // Each request has its connection at once: one that waits for another to end, of which there may be one for each destination and each
    // piece that is on its way, would count that as waiting for the server.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = .max
    // The zone is for the connection alone: neither the server nor its certificate knows it.
    if let zone = base.zone { configuration.dnsOverride["[\(base.host)]"] = "\(base.host)%\(zone)" }
    plainProxy = try HTTPTransport.useProxy(for: base, &configuration)
    // The client has no other way to the handlers of its connections, and for a proxy it knows tunnels alone. For debugging by its name,
    // this is public API: the client calls it when the handlers are in place, and hands out no connection before it has ended well. A
    // handler that is looked up here and missing fails the connection. That it is called at all is held by `OutcomeTests.badHead`,
    // `CrashTests.status`, `CrashTests.sendfileInTheMiddle` and `ProxyTests.absolute`, one for each of the four.
    configuration.http1_1ConnectionDebugInitializer = { [files, isProxied = plainProxy != nil] channel in
      AnswerMender.add(to: channel).flatMap { StatusGuard.add(to: channel) }.flatMap { files.watch(channel) }.flatMap {
        isProxied ? PlainProxy.prepare(channel) : channel.eventLoop.makeSucceededVoidFuture()
      }.flatMap {
        // An object comes by the gigabyte, and each read of the usual 64 KiB is a call of the system.
        channel.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: HTTPTransport.readSize))
      }
    }
    if base.isSecure, settings.isInsecure { context.warn("the certificate of \(base.host) is not verified (--insecure)") }
    // Also without TLS, as a redirect may lead to a server with it.
    configuration.tlsConfiguration = try HTTPTransport.tls(settings, isNeeded: base.isSecure)
    self.configuration = configuration
  }

  /// Returns the proxy if its requests are to be written for it; a tunnel is the client's own matter.
  private static func useProxy(for base: BaseURL, _ configuration: inout HTTPClient.Configuration) throws(Failure) -> PlainProxy? {
    guard let proxy = try ProxySetting.fromEnvironment(for: base) else { return nil }
    guard base.isSecure else { return PlainProxy(setting: proxy) }
    configuration.proxy = .server(
      host: proxy.host, port: proxy.port, authorization: proxy.username.map { .basic(username: $0, password: proxy.password ?? "") })
    return nil
  }

  /// - Parameter isNeeded: false leaves the reading of the certificates to the first connection with TLS.
  private static func tls(_ settings: HTTPSettings, isNeeded: Bool) throws(Failure) -> TLSConfiguration {
    var tls = TLSConfiguration.makeClientConfiguration()
    if settings.isInsecure { tls.certificateVerification = .none }
    let variable = getenv("SSL_CERT_FILE").map { String(cString: $0) }
    if let file = settings.certificateFile ?? (variable?.isEmpty == false ? variable : nil) {
      guard isNeeded else {
        tls.trustRoots = .file(file)
        return tls
      }
      do {
        // Read here, so that a file that can't be read is told of as such and before anything else happens.
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
      } catch {
        throw Failure(.config, "cannot read certificates from \(file)", hint: "it must be a file of PEM certificates")
      }
    }
    return tls
  }

  /// How much is read from a connection at a time, in bytes.
  private static let readSize = 256 << 10

  func close() async {
    // An error here means connections that are gone already.
    let made = client.withLock { client in
      defer { client = nil }
      return client
    }
    try? await made?.shutdown()
    files.closeAll()
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
    var shown = request.url
    for _ in 0...HTTPTransport.redirectLimit {
      let start = ContinuousClock.now
      let answer = try await sendOnce(request)
      detail(
        "\(request.method.rawValue) \(shown): HTTP \(answer.status) after \(start.duration(to: .now).nanoseconds / 1_000_000) ms")
      guard let next = redirected(request, by: answer) else { return answer }
      request = next
      shown = URLText.redactedTarget(next.url)
    }
    throw Failure(.protocol, "\(shown) redirects in a circle")
  }

  /// The request to make instead, if the answer redirects and the redirect may be followed. 301, 302 and 303 turn other methods into GET in
  /// many clients, so only a GET follows them; 307 and 308 keep method and body (RFC 9110, 15.4).
  private func redirected(_ request: HTTPRequest, by answer: HTTPAnswer) -> HTTPRequest? {
    guard request.followsRedirects else { return nil }
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
    let state = ExchangeState(isUpload: request.isUpload)
    if request.body.length == 0 { state.sentAll() }
    let answer: Result<HTTPAnswer, Failure> = await withTaskGroup(of: Result<HTTPAnswer, Failure>?.self) { group in
      group.addTask { await self.exchange(request, state) }
      group.addTask { await self.watch(request, state) }
      var result: Result<HTTPAnswer, Failure>?
      while result == nil, let next = await group.next() { result = next }
      group.cancelAll()
      return result ?? .failure(.interrupted)
    }
    if case .failure = answer {
      if Task.isCancelled { throw .interrupted }
      // The connection is gone for the file's sake, not for the server's.
      if let failure = request.body.payload?.takeKernelFailure() { throw failure }
    }
    return try answer.get()
  }

  /// The failure of a request that takes too long; nil when the watch was called off.
  private func watch(_ request: HTTPRequest, _ state: ExchangeState) async -> Result<HTTPAnswer, Failure>? {
    let start = ContinuousClock.now
    while true {
      // A file that somebody cuts short while the kernel sends a part of it would never be sent to its end.
      if state.phase == .sending {
        do throws(Failure) { try request.body.payload?.checkUnchanged() } catch { return .failure(error) }
      }
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
    var failure = Failure(.timeout, "\(origin) \(what)", fault: .timedOut)
    failure.isOutcomeUnknown = state.isOutcomeUnknown
    return failure
  }

  private func exchange(_ request: HTTPRequest, _ state: ExchangeState) async -> Result<HTTPAnswer, Failure> {
    let window = SendWindow()
    let collector = AnswerCollector(request, state, window)
    defer { window.fail(CancellationError()) }
    do {
      let task = openClient().execute(request: try message(for: request, window, state), delegate: collector)
      var failure: (any Error)?
      do {
        try await withTaskCancellationHandler {
          try await withThrowingTaskGroup { group in
            group.addTask { try await task.futureResult.get() }
            group.addTask { try await HTTPTransport.waitForEarlyAnswer(collector, state) }
            defer { group.cancelAll() }
            try await group.next()
            // Does nothing to a request that has ended.
            task.cancel()
          }
        } onCancel: {
          task.cancel()
        }
      } catch {
        failure = error
      }
      if let failure, let diagnosed = await diagnosed(failure, of: request) { return .failure(diagnosed) }
      return result(of: request, collector, state, failure)
    } catch {
      return .failure(HTTPErrorText.failure(error, origin, state))
    }
  }

  /// The failure of a certificate that is refused, with its reason; nil for what is none. Through a proxy it is not looked for.
  private func diagnosed(_ error: any Error, of request: HTTPRequest) async -> Failure? {
    let (isIt, isOfOtherHost) = HTTPErrorText.isAboutCertificate(error)
    guard isIt, configuration.proxy == nil, let target = RedirectTarget(request.url, from: origin) else { return nil }
    let diagnosis = CertificateDiagnosis(
      server: target.origin, host: target.host, port: target.port, eventLoop: HTTPTransport.eventLoop.any())
    return await diagnosis.failure(isOfOtherHost: isOfOtherHost)
  }

  /// Ends when an answer has come that the server goes on waiting with, or when neither it nor the body moves on any more: nobody will read
  /// the rest.
  private static func waitForEarlyAnswer(_ collector: AnswerCollector, _ state: ExchangeState) async throws {
    while true {
      try await Task.sleep(for: .milliseconds(100))
      guard let silence = collector.silence else { continue }
      if collector.isComplete, silence > .milliseconds(100) { return }
      if state.phase == .sending, min(silence, state.lastMove.duration(to: .now)) > .seconds(2) { return }
    }
  }

  /// What the end of an exchange means: an answer that is complete counts, whatever came after it.
  private func result(
    of request: HTTPRequest, _ collector: AnswerCollector, _ state: ExchangeState, _ error: (any Error)?
  ) -> Result<HTTPAnswer, Failure> {
    guard let answer = collector.answer else {
      return .failure(HTTPErrorText.failure(error ?? CancellationError(), origin, state))
    }
    // Where the status refuses, the rest of the page does not matter.
    if collector.isComplete || answer.status >= 400 && !(error is AnswerTooLong) { return .success(answer) }
    // Nor does it where the status says all, if the connection has ended: some servers end TLS without a word, and their answer with it.
    let isEnd = !(error is AnswerTooLong) && (error as? HTTPParserError).map { $0 == .invalidEOFState } ?? true
    if isEnd, request.isAnsweredByStatus, (200..<300).contains(answer.status), answer.isAfterWholeBody { return .success(answer) }
    switch error {
    case is AnswerTooLong:
      return .failure(answer.withEvidence(Failure(.protocol, "\(origin) sends an answer of more than \(request.answerLimit) bytes")))
    case let failure as Failure: return .failure(failure)
    case is CancellationError: return .failure(.interrupted)
    case nil where answer.expectedLength == nil: return .success(answer)
    default:
      var failure = Failure(.protocol, "\(origin) broke off in the middle of its answer", fault: .cutAnswer)
      failure.isOutcomeUnknown = answer.mayHaveStored
      return .failure(answer.withEvidence(failure))
    }
  }

  private func message(for request: HTTPRequest, _ window: SendWindow, _ state: ExchangeState) throws -> HTTPClient.Request {
    var message = try HTTPClient.Request(
      url: plainProxy?.url(for: request.url) ?? request.url, method: .RAW(value: request.method.rawValue))
    message.headers.add(name: "User-Agent", value: "sluice")
    message.headers.add(name: "Accept", value: "*/*")
    for (name, value) in request.headers + (plainProxy?.headers(for: request.url) ?? []) { message.headers.add(name: name, value: value) }
    guard request.body.length > 0 else { return message }
    let eventLoop = HTTPTransport.eventLoop.any()
    // Bytes that are encrypted or hashed must pass through this program.
    let sent = request.url.hasPrefix("http:") ? request.body.payload.flatMap { $0.isSentByKernel ? $0 : nil } : nil
    let file = try sent.map { try files.handle(of: $0) }
    let rateLimit = request.isUpload ? settings.rateLimit.map { max($0 / Int64(request.rateShare), 1) } : nil
    message.body = .stream(contentLength: request.body.length) { writer in
      eventLoop.makeFutureWithTask {
        var sender = HTTPBodySender(request.body, file: file, rateLimit: rateLimit, window, state, to: writer)
        try await sender.send()
      }
    }
    return message
  }
}

/// Where a redirect leads.
struct RedirectTarget {
  let url: String
  let origin: String
  let host: String
  let port: Int

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
    // The schemes of URLs are compared as text.
    self.url = scheme.lowercased() + absolute.dropFirst(scheme.count)
    let isSecure = scheme.lowercased() == "https"
    origin = BaseURL(isSecure: isSecure, host: authority.host, port: authority.port).origin
    host = authority.host
    port = authority.port ?? (isSecure ? 443 : 80)
  }
}

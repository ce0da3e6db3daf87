import AsyncHTTPClient
import BytePath
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Errors of the HTTP client and of the layers below it, in words.
enum HTTPErrorText {
  private static let refusedCertificate = "CERTIFICATE_VERIFY_FAILED"

  /// Whether it is about the server's certificate; for which host that is, then, or about something else.
  static func isAboutCertificate(_ error: any Error) -> (is: Bool, ofOtherHost: Bool) {
    if error is NIOSSLExtraError { return (true, true) }
    return ((error is NIOSSLError || error is BoringSSLError) && "\(error)".contains(refusedCertificate), false)
  }

  static func failure(_ error: any Error, _ server: String, _ state: ExchangeState) -> Failure {
    var failure = failure(error, server)
    if [.unreachable, .protocol].contains(failure.kind) { failure.isOutcomeUnknown = state.isOutcomeUnknown }
    return failure
  }

  private static func failure(_ error: any Error, _ server: String) -> Failure {
    switch error {
    case let failure as Failure: return failure
    case is CancellationError: return .interrupted
    case let error as NIOConnectionError: return connectionFailure(error, server)
    case let error as HTTPClientError: return clientFailure(error, server)
    case let error as IOError: return socketFailure(error, server)
    case let error as NIOSSLError: return tlsFailure("\(error)", server)
    case let error as BoringSSLError: return tlsFailure("\(error)", server)
    case is NIOSSLExtraError:
      return Failure(
        .unreachable, "the certificate of \(server) is for another host", hint: "use a name that the certificate has",
        fault: .certificateOfOtherHost)
    case let error as HTTPParserError: return Failure(.protocol, "\(server) does not answer in HTTP: \(error)", fault: .noHTTP)
    case let error as ChannelError:
      if case .connectTimeout = error { return Failure(.timeout, "no connection to \(server) in time", fault: .timedOut) }
      return Failure(.unreachable, "the connection to \(server) was lost", fault: .lost)
    default: return Failure(.unreachable, "cannot talk to \(server): \(error)", fault: .lost)
    }
  }

  private static func connectionFailure(_ error: NIOConnectionError, _ server: String) -> Failure {
    guard let last = error.connectionErrors.last else {
      return Failure(.unreachable, "cannot find the host \(error.host)", hint: "check its name", fault: .unknownHost)
    }
    if let error = last.error as? IOError { return socketFailure(error, server) }
    if let error = last.error as? ChannelError, case .connectTimeout = error {
      return Failure(.timeout, "no connection to \(server) in time", fault: .timedOut)
    }
    return Failure(.unreachable, "cannot connect to \(server): \(last.error)", fault: .refused)
  }

  private static func socketFailure(_ error: IOError, _ server: String) -> Failure {
    let words = SystemError("socket", error.errnoCode).words
    // These come before there is a connection; with an address instead of a name they come without a `NIOConnectionError` around them.
    if [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EADDRNOTAVAIL].contains(error.errnoCode) {
      return Failure(.unreachable, "cannot connect to \(server): \(words)", hint: "is the server running there?", fault: .refused)
    }
    return Failure(.unreachable, "the connection to \(server) was lost: \(words)", fault: .lost)
  }

  private static func clientFailure(_ error: HTTPClientError, _ server: String) -> Failure {
    switch error {
    case .connectTimeout, .tlsHandshakeTimeout, .httpProxyHandshakeTimeout, .getConnectionFromPoolTimeout:
      return Failure(.timeout, "no connection to \(server) in time", fault: .timedOut)
    case .remoteConnectionClosed:
      return Failure(.unreachable, "\(server) closed the connection without an answer", fault: .lost)
    case .proxyAuthenticationRequired:
      return Failure(.auth, "the proxy wants credentials (HTTP 407)", hint: "put them into the proxy's URL")
    case .invalidProxyResponse:
      return Failure(.unreachable, "the proxy does not let the connection to \(server) through", fault: .proxyUnreachable)
    case .uncleanShutdown:
      return Failure(.unreachable, "the connection to \(server) was lost", fault: .lost)
    case .cancelled, .requestStreamCancelled: return .interrupted
    case .bodyLengthMismatch:
      return Failure(.input, "the object is not as long as it was when the upload began")
    default: return Failure(.unreachable, "cannot talk to \(server): \(error.shortDescription)", fault: .lost)
    }
  }

  private static func tlsFailure(_ text: String, _ server: String) -> Failure {
    if text.contains(refusedCertificate) {
      return Failure(
        .unreachable, "the certificate of \(server) could not be verified",
        hint: "is it in force, and is its authority trusted here? --cacert FILE names another one", fault: .certificateNotTrusted)
    }
    if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
      return Failure(.unreachable, "\(server) does not speak TLS", hint: "is it http instead of https?", fault: .noTLS)
    }
    return Failure(.unreachable, "no TLS connection to \(server): \(text)", fault: .tlsBroken)
  }
}

extension Failure {
  init(_ kind: Kind, _ message: String, hint: String? = nil, fault: RetryTable.ConnectionFault) {
    self.init(kind, message, hint: hint, retryable: RetryTable.mayPass(fault))
  }
}

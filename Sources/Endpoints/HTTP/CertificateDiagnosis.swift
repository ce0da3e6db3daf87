import BytePath
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Why a server's certificate is refused. The TLS library says of all reasons the same; so its certificates are looked at once more, on a
/// connection that ends when they have come, and over which nothing is said.
struct CertificateDiagnosis {
  private static let patience = TimeAmount.seconds(10)

  /// The server as it is called in messages.
  let server: String
  let host: String
  let port: Int
  let eventLoop: any EventLoop

  /// The failure in the words of its reason; nil if the certificates can't be had.
  ///
  /// - Parameter isOfOtherHost: what the library does say.
  func failure(isOfOtherHost: Bool) async -> Failure? {
    guard let chain = await chain(), let leaf = chain.first else { return nil }
    let now = time(nil)
    let here = "this machine has \(CertificateDiagnosis.text(now))"
    // The library looks at the host when all else is right, so that a certificate of the chain that has ended was none that it needed.
    if isOfOtherHost {
      let names = leaf._subjectAlternativeNames().filter { $0.nameType == .dnsName }.map { String(decoding: $0.contents, as: UTF8.self) }
      let words = names.isEmpty ? "is for another host" : "is for \(names.prefix(5).joined(separator: ", ")), not for \(host)"
      return refused("the certificate of \(server) \(words)", hint: "use a name that the certificate has", fault: .certificateOfOtherHost)
    }
    for certificate in chain {
      let what = certificate === leaf ? "the certificate of \(server)" : "a certificate in the chain of \(server)"
      if certificate.notValidAfter < now {
        return refused(
          "\(what) expired on \(CertificateDiagnosis.text(certificate.notValidAfter))",
          hint: "renew it on the server, unless the clock here is wrong: \(here)")
      }
      if certificate.notValidBefore > now {
        return refused(
          "\(what) is not valid before \(CertificateDiagnosis.text(certificate.notValidBefore))", hint: "is the clock here right? \(here)")
      }
    }
    let names = (try? leaf.toDERBytes()).flatMap { CertificateNames(der: $0) }
    if let names, names.issuer == names.subject {
      return refused(
        "the certificate of \(server) is self-signed", hint: "if it is the one that you expect there, name its file with --cacert FILE")
    }
    let authority = names?.issuerName.map { "\"\($0)\", which is not trusted here" } ?? "an authority that is not trusted here"
    return refused("the certificate of \(server) is signed by \(authority)", hint: "name the authority's certificate with --cacert FILE")
  }

  private func refused(_ message: String, hint: String, fault: RetryTable.ConnectionFault = .certificateNotTrusted) -> Failure {
    Failure(.unreachable, message, hint: hint, fault: fault)
  }

  /// The certificates that the server shows, its own first; nil if none come in time.
  private func chain() async -> [NIOSSLCertificate]? {
    let promise = eventLoop.makePromise(of: [NIOSSLCertificate].self)
    let name = (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
    let connected = ClientBootstrap(group: eventLoop).connectTimeout(CertificateDiagnosis.patience).channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        let context = try NIOSSLContext(configuration: .makeClientConfiguration())
        let handler = try NIOSSLClientHandler(context: context, serverHostname: name) {
          (certificates: [NIOSSLCertificate], verdict: EventLoopPromise<NIOSSLVerificationResult>) in
          promise.succeed(certificates)
          // Nothing is to be said on this connection.
          verdict.succeed(.failed)
        }
        try channel.pipeline.syncOperations.addHandler(handler)
      }
    }.connect(host: host, port: port)
    connected.whenFailure { promise.fail($0) }
    let timer = eventLoop.scheduleTask(in: CertificateDiagnosis.patience) {
      promise.fail(ChannelError.connectTimeout(CertificateDiagnosis.patience))
    }
    defer { timer.cancel() }
    let chain = try? await promise.futureResult.get()
    if let channel = try? await connected.get() { channel.close(promise: nil) }
    return chain
  }

  /// `2024-05-01 12:00 UTC`
  static func text(_ seconds: time_t) -> String {
    var seconds = seconds
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "a time that is none" }
    let two = { (number: CInt) in number < 10 ? "0\(number)" : "\(number)" }
    return "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)) UTC"
  }
}

/// Who a certificate is for and by, as far as a message needs it (RFC 5280, 4.1).
struct CertificateNames {
  let issuer: ArraySlice<UInt8>
  let subject: ArraySlice<UInt8>

  /// - Parameter der: a certificate; nil if it is none.
  init?(der: [UInt8]) {
    var outer = DER(der[...])
    guard var certificate = outer.next()?.content, var body = certificate.next()?.content else { return nil }
    var element = body.next()
    // The version may be left out.
    if element?.tag == 0xa0 { element = body.next() }
    // Serial number, then the algorithm of the signature, the issuer, the validity, the subject.
    guard element != nil, body.next() != nil, let issuer = body.next(), body.next() != nil, let subject = body.next() else { return nil }
    self.issuer = issuer.content.rest
    self.subject = subject.content.rest
  }

  /// The issuer's common name, else its organization.
  var issuerName: String? { attribute(3) ?? attribute(10) }

  /// An attribute of the arc 2.5.4.
  private func attribute(_ number: UInt8) -> String? {
    var sets = DER(issuer)
    while var set = sets.next()?.content {
      while var pair = set.next()?.content {
        guard let type = pair.next(), let value = pair.next() else { continue }
        if type.content.rest.elementsEqual([0x55, 0x04, number]) { return String(validating: value.content.rest, as: UTF8.self) }
      }
    }
    return nil
  }
}

/// Elements of DER, one after the other (X.690, 8.1).
private struct DER {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) {
    rest = bytes
  }

  /// Nil if there is none, or none that is whole.
  mutating func next() -> (tag: UInt8, content: DER)? {
    guard let tag = rest.popFirst(), let first = rest.popFirst() else { return nil }
    var length = Int(first)
    if first >= 0x80 {
      // More than four bytes of length have no certificates.
      guard first <= 0x84 else { return nil }
      length = 0
      for _ in 0..<(first & 0x7f) {
        guard let byte = rest.popFirst() else { return nil }
        length = length << 8 | Int(byte)
      }
    }
    guard length <= rest.count else { return nil }
    defer { rest = rest.dropFirst(length) }
    return (tag, DER(rest.prefix(length)))
  }
}

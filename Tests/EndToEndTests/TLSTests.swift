import Support
import Testing

/// TLS is verified, unless the user says otherwise.
@Suite(.sandboxed, .enabled(if: Program.installed("openssl") != nil, "openssl is not installed"))
struct TLSTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("--cacert and SSL_CERT_FILE name whom to trust", arguments: [true, false])
  func trusted(byFlag: Bool) async throws {
    let server = try await secureServer()
    let run =
      byFlag
      ? try await box.sluice("--cacert", "ca.pem", server.alist("/x"), input: bytes)
      : try await box.sluice(server.alist("/x"), input: bytes, environment: ["SSL_CERT_FILE": "\(box.work)/ca.pem"])
    try run.success()
    #expect(!run.errorText.contains("warning"))
    #expect(try contents(server.alistFile("/x")) == bytes)
  }

  @Test(
    "a redirect from http to https trusts whom --cacert or SSL_CERT_FILE names, and the proxy's password stays with the proxy",
    arguments: [true, false])
  func redirect(byFlag: Bool) async throws {
    let server = try await secureServer()
    let proxy = try box.scripted { exchange in
      exchange.answer("", status: "307 Temporary Redirect", headers: ["Location: \(server.url)/plain/x"])
    }
    var environment: [String: String?] = ["HTTP_PROXY": "http://user:proxy-secret@\(proxy.authority)"]
    if !byFlag { environment["SSL_CERT_FILE"] = "\(box.work)/ca.pem" }
    let options = byFlag ? ["--cacert", "ca.pem"] : []
    let run = try await box.start(
      box.client(options + ["--retries", "0", "http://nas.invalid/x"], input: .bytes(bytes), environment: environment)
    ).finish()
    try run.success()
    #expect(try contents(server.plainFile("/x")) == bytes)
    #expect(proxy.requests.allSatisfy { $0.header("Proxy-Authorization") != nil })
    let log = try await server.puts(to: "/plain/x")
    #expect(log.allSatisfy { $0["headers"]["proxy-authorization"] == .null }, "\(log)")
  }

  @Test("SiYuan is spoken over TLS too, and a large body arrives whole")
  func siyuan() async throws {
    let server = try await secureServer()
    var generator = SeededGenerator(1)
    let large = generator.bytes(5_000_000)
    try await box.sluice("--cacert", "ca.pem", server.siyuan("/data/x"), input: large).success()
    try expectSame(contents(server.siyuanFile("/data/x")), large)
  }

  @Test("a regular file passes through TLS whole")
  func regularFile() async throws {
    let server = try await secureServer()
    var generator = SeededGenerator(2)
    let large = generator.bytes(20_000_001)
    let file = try box.file("in", large)
    try await box.sluice("--cacert", "ca.pem", "--input", file, server.plain("/x")).success()
    try expectSame(contents(server.plainFile("/x")), large)
  }

  @Test("an unknown authority is refused with a hint, and no token is sent")
  func unknown() async throws {
    let server = try await secureServer()
    let run = try await box.sluice("--retries", "3", server.alist("/x"), input: bytes)
    let result = try run.failure(69, "unreachable")
    #expect(result["attempts"].int ?? 9 <= 1)
    #expect(run.errorText.contains("--cacert"))
    #expect(try server.log().isEmpty)
  }

  @Test("a certificate for another host is refused")
  func otherHost() async throws {
    let server = try await secureServer(name: "other.example")
    let run = try await box.sluice("--retries", "0", "--cacert", "ca.pem", server.alist("/x"), input: bytes)
    try run.failure(69, "unreachable")
    #expect(try server.log().isEmpty)
  }

  @Test("--insecure takes any certificate, with a warning")
  func insecure() async throws {
    let server = try await secureServer(name: "other.example")
    let run = try await box.sluice("--insecure", server.alist("/x"), input: bytes)
    try run.success()
    #expect(run.errorText.contains("warning: "))
  }

  @Test("an early answer over TLS is reported as itself")
  func early() async throws {
    let server = try await secureServer(options: ["--refuse-early", "413"])
    let input = try box.file("in", [UInt8](repeating: 1, count: 20 << 20))
    let run = try await box.sluice("--cacert", "ca.pem", "--no-preflight", "--retries", "0", "--input", input, server.alist("/x"))
    try run.failure(73, "rejected")
  }

  @Test("a certificate file that is none is a config error, before the input is read", arguments: ["missing.pem", "not.pem"])
  func noCertificates(file: String) async throws {
    try box.file("not.pem", "this is no certificate")
    try await box.sluice("--cacert", file, "alist+https://127.0.0.1:1/x", input: .endless).failure(78, "config")
  }

  @Test("https to a server that speaks http is told apart")
  func plainServer() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice("--retries", "0", "alist+https://\(server.authority)/x", input: bytes)
    try run.failure(69, "unreachable")
  }

  /// A server with a certificate for its address that `ca.pem` in the working directory vouches for.
  private func secureServer(name: String? = nil, options: [String] = []) async throws -> Loopback {
    let subject = name.map { "DNS:\($0)" } ?? "IP:127.0.0.1,DNS:localhost"
    let made = try await box.shell(
      """
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=Test CA" -keyout ca.key -out ca.pem &&
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=server" -keyout server.key -out server.csr &&
      printf 'subjectAltName=\(subject)\\nbasicConstraints=CA:FALSE\\n' > ext &&
      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
      """)
    try #require(made.exit == 0, "\(made.summary)")
    return try await box.loopback(["--tls", "--tls-cert", "\(box.work)/server.pem", "--tls-key", "\(box.work)/server.key"] + options)
  }
}

import Foundation
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

  /// A certificate that is refused.
  enum Refused: String, CaseIterable, Sendable {
    case expired, notYet, otherHost, otherHostAndOldChain, selfSigned, unknownAuthority

    var isOfOtherHost: Bool { self == .otherHost || self == .otherHostAndOldChain }

    var words: String {
      switch self {
      case .expired: "expired on 2020-02-01 00:00 UTC"
      case .notYet: "is not valid before 2096-01-01 00:00 UTC"
      // An old certificate behind the others, such as of an authority that has a newer one, is not what is wrong.
      case .otherHost, .otherHostAndOldChain: "is for other.example, not for 127.0.0.1"
      case .selfSigned: "is self-signed"
      case .unknownAuthority: "is signed by \"Test CA\", which is not trusted here"
      }
    }

    var hint: String {
      switch self {
      case .expired, .notYet: "clock here"
      case .otherHost, .otherHostAndOldChain: "use a name"
      case .selfSigned, .unknownAuthority: "--cacert"
      }
    }
  }

  @Test("why a certificate is refused is said in words of its own, and nobody is told to take any", arguments: Refused.allCases)
  func reasons(refused: Refused) async throws {
    var dates: String?
    if refused == .expired { dates = "-startdate 20200101000000Z -enddate 20200201000000Z" }
    if refused == .notYet { dates = "-startdate 20960101000000Z -enddate 20970101000000Z" }
    let server = try await secureServer(
      name: refused.isOfOtherHost ? "other.example" : nil, dates: dates, isSelfSigned: refused == .selfSigned,
      hasOldChain: refused == .otherHostAndOldChain)
    let authority = [.selfSigned, .unknownAuthority].contains(refused) ? [] : ["--cacert", "ca.pem"]
    let run = try await box.start(
      box.client(authority + ["--no-preflight", "--retries", "3", server.alist("/x")], input: .bytes(bytes))
    ).finish()
    #expect(try run.failure(69, "unreachable")["attempts"].int == 1)
    #expect(run.errorText.contains(refused.words), "\(run.summary)")
    #expect(run.errorText.contains(refused.hint), "\(run.summary)")
    #expect(!run.errorText.contains("--insecure"), "\(run.summary)")
    #expect(try server.log().isEmpty)
  }

  @Test("a server that ends TLS without a word after a 2xx has said enough to a PUT, and not where its body counts")
  func noCloseNotify() async throws {
    try #require(Program.installed("python3") != nil)
    _ = try await secureServer()
    try box.file("server.py", TLSTests.abruptServer)
    var program = Program(Program.installed("python3") ?? "", ["server.py"])
    program.directory = box.work
    let running = try box.start(program)
    let port = try await eventually("the server is ready") {
      Int(String(decoding: running.outputSoFar, as: UTF8.self).split(separator: "\n").first ?? "")
    }
    let run = try await box.sluice("--cacert", "ca.pem", "--no-preflight", "--retries", "0", "https://localhost:\(port)/x", input: bytes)
    #expect(try run.success()["http_status"].int == 201, "\(run.summary)")
    #expect(String(decoding: running.outputSoFar, as: UTF8.self).split(separator: "\n").count { $0 == "PUT" } == 1)
    let cut = try await box.sluice(
      "--cacert", "ca.pem", "--no-preflight", "--retries", "0", "siyuan+https://localhost:\(port)/data/x", input: bytes)
    try cut.failure(76, "protocol")
    #expect(cut.errorText.contains("broke off in the middle of its answer"), "\(cut.summary)")
  }

  /// Answers with bodies that end with the connection, which ends without a close_notify.
  private static let abruptServer = """
    import re, socket, ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "server.key")
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        plain, _ = listener.accept()
        try:
            secure = context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=True)
            data = b""
            while b"\\r\\n\\r\\n" not in data:
                more = secure.recv(65536)
                if not more: break
                data += more
            head, _, body = data.partition(b"\\r\\n\\r\\n")
            length = re.search(rb"(?i)content-length: (\\d+)", head)
            while length and len(body) < int(length.group(1)):
                body += secure.recv(65536)
            method = head.split(b" ")[0].decode()
            print(method, flush=True)
            if method == "PUT": answer = b"HTTP/1.1 201 Created\\r\\n\\r\\nstored"
            elif method == "POST": answer = b"HTTP/1.1 200 OK\\r\\n\\r\\n" + b'{"code":0,"msg":"","data":null}'
            else: answer = b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n"
            secure.sendall(answer)
            # Closed below TLS, which says nothing of it.
            raw = socket.socket(fileno=secure.detach())
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536): pass
            raw.close()
        except OSError:
            pass
    """

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
  private func secureServer(
    name: String? = nil, dates: String? = nil, isSelfSigned: Bool = false, hasOldChain: Bool = false, options: [String] = []
  ) async throws -> Loopback {
    let subject = name.map { "DNS:\($0)" } ?? "IP:127.0.0.1,DNS:localhost"
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    var sign = "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem"
    if let dates {
      try box.file(
        "ca.conf",
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
      sign =
        "touch index && echo 01 > serial && openssl ca -batch -notext -config ca.conf -cert ca.pem -keyfile ca.key \(dates) -extfile ext "
        + "-in server.csr -out server.pem"
    }
    if isSelfSigned { sign = "openssl x509 -req -in server.csr -signkey server.key -days 2 -extfile ext -out server.pem" }
    if hasOldChain {
      sign += " && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days -1 -out old.pem && cat old.pem >> server.pem"
    }
    let made = try await box.shell(
      """
      openssl req -x509 \(new) -days 2 -subj "/CN=Test CA" -keyout ca.key -out ca.pem &&
      openssl req \(new) -subj "/CN=server" -keyout server.key -out server.csr &&
      printf 'subjectAltName=\(subject)\\nbasicConstraints=CA:FALSE\\n' > ext && \(sign)
      """)
    try #require(made.exit == 0, "\(made.summary)")
    return try await box.loopback(["--tls", "--tls-cert", "\(box.work)/server.pem", "--tls-key", "\(box.work)/server.key"] + options)
  }
}

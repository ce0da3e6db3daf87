import Foundation
import Support
import Testing

/// Plain PUT.
@Suite(.sandboxed)
struct PlainHTTPTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("an object arrives whole, with its length and its type", arguments: [0, 1, 262_143, 262_144, 262_145, 9_000_000])
  func put(size: Int) async throws {
    let server = try await box.loopback()
    var generator = SeededGenerator(UInt64(size))
    let bytes = generator.bytes(size)
    let result = try await box.sluice(
      "--min-size", "0", "--content-type", "image/png", "--verify", server.plain("/x"), input: bytes
    ).success()
    try expectSame(contents(server.plainFile("/x")), bytes)
    #expect(result["endpoint"].text == "http")
    #expect(result["path"].text == "/plain/x")
    #expect(result["http_status"].int == 201)
    #expect(result["verified"].text == "size")
    #expect(try await result["sha256"].text == sha256(bytes))
    let request = try await server.puts(to: "/plain/x").first { $0["method"].text == "PUT" }
    #expect(request?["headers"]["content-length"].text == "\(size)")
    #expect(request?["headers"]["content-type"].text == "image/png")
    #expect(request?["headers"]["transfer-encoding"].text == nil)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a regular file is sent from where it lies")
  func regularFile() async throws {
    let server = try await box.loopback()
    var generator = SeededGenerator(5)
    let bytes = generator.bytes(20_000_001)
    let file = try box.file("in", bytes)
    let result = try await box.sluice("--input", file, server.plain("/x")).success()
    try expectSame(contents(server.plainFile("/x")), bytes)
    #expect(try await result["sha256"].text == sha256(bytes))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("--no-sha256 leaves the hash of a regular file out of the result, and is an error where it would do nothing")
  func withoutHash() async throws {
    let server = try await box.loopback()
    let file = try box.file("in", bytes)
    let result = try await box.sluice("--no-sha256", "--input", file, server.plain("/x")).success()
    #expect(result["sha256"] == .null)
    try expectSame(contents(server.plainFile("/x")), bytes)
    try await box.sluice("--no-sha256", server.plain("/y"), input: .endless).usage()
    try await box.sluice("--no-sha256", "-z", "--input", file, server.plain("/y")).usage()
  }

  @Test(
    "every name arrives as it is written",
    arguments: ["/a b", "/100%", "/a+b", "/a?b=c", "/a#b", "/a&b;c", "/文件.txt", "/🎉", "/e\u{301}", "/\"quoted\"", "/a%2Fb"])
  func names(name: String) async throws {
    let server = try await box.loopback()
    let result = try await box.sluice(server.plain(name), input: bytes).success()
    #expect(result["path"].text == "/plain\(name)")
    // The loopback server takes an encoded slash for one.
    try expectSame(contents(server.plainFile(name)), bytes)
  }

  @Test("--no-clobber refuses before the input is read, whatever the server makes of the condition", arguments: [false, true])
  func noClobber(ignoring: Bool) async throws {
    let server = try await box.loopback(ignoring ? ["--plain-ignores-conditions"] : [])
    try write(Array("old".utf8), to: server.plainFile("/x"))
    let run = try await box.sluice("--no-clobber", server.plain("/x"), input: .endless)
    try run.failure(73, "exists")
    let late = try await box.sluice("--no-clobber", "--no-preflight", server.plain("/x"), input: bytes)
    try late.failure(73, "exists")
    try expectSame(contents(server.plainFile("/x")), Array("old".utf8))
    #expect(try await box.sluice("--no-clobber", server.plain("/new"), input: bytes).success()["http_status"].int == 201)
    let put = try await server.puts(to: "/plain/new").first { $0["method"].text == "PUT" }
    #expect(put?["headers"]["if-none-match"].text == "*")
  }

  @Test("an answer that refuses counts although the connection breaks in the middle of it")
  func cutRefusal() async throws {
    let server = box.keep(
      try ScriptedServer { exchange in
        exchange.readBody(300_000)
        exchange.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5000\r\n\r\nonly the beg")
        exchange.close()
      })
    let file = try box.file("in", [UInt8](repeating: 1, count: 20 << 20))
    let run = try await box.sluice("--no-preflight", "--input", file, "http://\(server.authority)/x")
    let result = try run.failure(73, "rejected")
    #expect(result["http_status"].int == 413)
    #expect(result["attempts"].int == 1)
  }

  @Test("a server that does not know HEAD is uploaded to all the same", arguments: ["405 Method Not Allowed", "501 Not Implemented"])
  func noHead(status: String) async throws {
    let server = box.keep(
      try ScriptedServer { exchange in
        exchange.readBody()
        let answer = exchange.request.method == "HEAD" ? status : "201 Created"
        exchange.send("HTTP/1.1 \(answer)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        exchange.close()
      })
    #expect(try await box.sluice("http://\(server.authority)/x", input: bytes).success()["attempts"].int == 1)
  }

  @Test(
    "refusals are told apart in plain words",
    arguments: [
      ("411 Length Required", "Content-Length"), ("413 Content Too Large", "too large"), ("423 Locked", "locked"),
      ("507 Insufficient Storage", "is full"), ("409 Conflict", "directory"), ("404 Not Found", "no place"),
      ("405 Method Not Allowed", "no uploads"), ("412 Precondition Failed", "412"),
    ])
  func refusals(status: String, word: String) async throws {
    let server = try box.scripted { exchange in
      exchange.readBody()
      let answer = exchange.request.method == "HEAD" ? "404 Not Found" : status
      exchange.send("HTTP/1.1 \(answer)\r\nContent-Length: 0\r\n\r\n")
    }
    let run = try await box.sluice("--retries", "0", "http://\(server.authority)/x", input: bytes)
    let result = try run.failure(73, "rejected")
    #expect(run.errorText.contains(word), "\(run.summary)")
    #expect(result["error"]["retryable"] == .bool(status.hasPrefix("423")))
  }

  @Test("the server's 412 says that the object is there")
  func precondition() async throws {
    let server = box.keep(
      try ScriptedServer { exchange in
        exchange.readBody(1 << 20)
        exchange.send(
          exchange.request.method == "HEAD"
            ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" : "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n")
        exchange.close()
      })
    let run = try await box.sluice("--no-clobber", "http://\(server.authority)/x", input: bytes)
    #expect(try run.failure(73, "exists")["http_status"].int == 412)
  }

  @Test("user name and password go as Basic, a token as Bearer; without them the run ends before the input is read")
  func credentials() async throws {
    let server = try await box.loopback("--plain-login")
    let refused = try await box.sluice(server.plain("/x"), input: .endless)
    #expect(try refused.failure(77, "auth")["http_status"].int == 401)
    let url = server.plain("/x").replacingOccurrences(of: "http://", with: "http://admin:loopback-password@")
    let result = try await box.sluice(url, input: bytes).success()
    #expect(result["destination"].text?.contains("loopback-password") == false)
    let token = try box.file("token", Loopback.token, mode: 0o600)
    try await box.sluice("--token-file", token, server.plain("/y"), input: bytes).success()
    try expectSame(contents(server.plainFile("/y")), bytes)
  }

  @Test("a remote of type http, below a sub-path")
  func remote() async throws {
    let server = try await box.loopback()
    try makeDirectory(server.plainFile("/sub"))
    let config = try box.file("config.yaml", "remotes:\n  web:\n    type: http\n    url: \(server.url)/plain/sub\n")
    let run = try await box.sluice("web:a b.bin", input: .bytes(bytes), environment: ["SLUICE_CONFIG": config])
    #expect(try run.success()["path"].text == "/a b.bin")
    try expectSame(contents(server.plainFile("/sub/a b.bin")), bytes)
  }

  @Test("a directory that is missing is the server's refusal, in plain words")
  func missingDirectory() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.plain("/no/such/x"), input: bytes)
    #expect(try run.failure(73, "rejected")["http_status"].int == 409)
    #expect(run.errorText.contains("409"))
  }

  @Test("what names no object is a usage error", arguments: ["/plain/", "", "/a/../b", "/./a"])
  func paths(path: String) async throws {
    try await box.sluice("http://127.0.0.1:1\(path)", input: .endless).usage()
  }

  @Test("plain HTTP has no directories to make")
  func noDirectories() async throws {
    let run = try await box.sluice("mkdir", "http://127.0.0.1:1/x")
    run.usage()
    #expect(run.errorText.contains("no directories"))
  }

  @Test("a server that fails and comes back is tried again, and one that stays away leaves the object held")
  func retries() async throws {
    let server = try await box.loopback("--on", "/plain", "--status", "503", "--times", "2")
    let result = try await box.sluice("--no-preflight", server.plain("/x"), input: bytes).success()
    // The question whether it is there meets the second one.
    #expect(result["attempts"].int == 2)
    let closed = try box.scripted { _ in }
    closed.stop()
    let run = try await box.sluice("--retries", "0", "http://\(closed.authority)/x", input: bytes)
    #expect(try run.failure(69, "unreachable")["held"].text != nil)
  }

  @Test("an empty object whose length only those are told who read it is verified by reading it", arguments: ["", "x"])
  func verifyEmpty(stored: String) async throws {
    let server = try box.scripted { exchange in
      exchange.readBody()
      let answer =
        switch exchange.request.method {
        case "GET": "Content-Length: \(stored.utf8.count)\r\n\r\n\(stored)"
        case "HEAD": "\r\n"
        default: "Content-Length: 0\r\n\r\n"
        }
      exchange.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\(answer)")
      exchange.close()
    }
    let run = try await box.sluice(
      "--no-preflight", "--retries", "0", "--min-size", "0", "--verify", "http://\(server.authority)/x", input: [])
    if stored.isEmpty { try run.success() } else { try run.failure(69, "server") }
  }

  @Test("--verify finds an object that is not as long as it should be")
  func verify() async throws {
    let server = try await box.loopback("--on", "/plain", "--truncate-stored", "5")
    let run = try await box.sluice("--verify", "--retries", "0", server.plain("/x"), input: bytes)
    try run.failure(69, "server")
    #expect(run.errorText.contains("5 bytes"))
  }
}

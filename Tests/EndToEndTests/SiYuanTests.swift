import Foundation
import Support
import Testing

/// SiYuan: the form, the credentials, and what the kernel's words become.
@Suite(.sandboxed)
struct SiYuanTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("the form is well made: fields, exact length, time in milliseconds")
  func form() async throws {
    let server = try await box.loopback()
    let result = try await box.sluice("--mtime", "1577934245678", server.siyuan("/data/dir/a 1.txt"), input: bytes).success()
    #expect(result["endpoint"].text == "siyuan")
    #expect(result["path"].text == "data/dir/a 1.txt")
    #expect(result["response"]["code"].int == 0)
    let put = try await server.puts(to: "/api/file/putFile")[0]
    #expect(put["method"].text == "POST")
    let headers = put["headers"]
    #expect(headers["authorization"].text == "Token \(Loopback.token)")
    #expect(headers["transfer-encoding"] == .null)
    #expect(headers["content-length"].text.flatMap { Int($0) } == put["body_bytes"].int)
    #expect(headers["content-type"].text?.hasPrefix("multipart/form-data; boundary=") == true)
    #expect(put["fields"]["path"].text == "data/dir/a 1.txt")
    #expect(put["fields"]["modTime"].text == "1577934245678")
    #expect(["false", nil].contains(put["fields"]["isDir"].text))
    #expect(try modified(server.siyuanFile("/data/dir/a 1.txt")).rounded(.down) == 1_577_934_245)
  }

  @Test("without --mtime the time is now, and a regular file's is its own")
  func modificationTime() async throws {
    let server = try await box.loopback()
    let file = try box.file("in", bytes)
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1_111_111_111)], ofItemAtPath: file)
    try await box.sluice("--input", file, server.siyuan("/data/a")).success()
    let before = Date().timeIntervalSince1970
    try await box.sluice(server.siyuan("/data/b"), input: bytes).success()
    let puts = try await server.puts(2, to: "/api/file/putFile")
    #expect(puts[0]["fields"]["modTime"].text == "1111111111000")
    let now = try #require(puts[1]["fields"]["modTime"].text.flatMap { Double($0) })
    #expect(now >= before * 1000 - 1000 && now <= Date().timeIntervalSince1970 * 1000 + 1000)
  }

  @Test("what looks like a boundary in the object is no boundary")
  func boundaryInside() async throws {
    let server = try await box.loopback()
    let tricky = Array("\r\n--sluice-\r\n--\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\nconf/conf.json\r\n".utf8)
    try await box.sluice(server.siyuan("/data/x"), input: tricky).success()
    try expectSame(contents(server.siyuanFile("/data/x")), tricky)
  }

  @Test(
    "Python's parser reads the form as it was meant",
    .enabled(if: Program.installed("python3") != nil, "python3 is not installed"),
    arguments: ["x.bin", "数据 库+1.txt", "e\u{301}🗄️"])
  func python(name: String) async throws {
    let folder = box.work
    let server = try box.scripted { exchange in
      switch exchange.request.target {
      case "/api/file/putFile":
        let type = exchange.request.header("Content-Type") ?? ""
        let body = exchange.readBody()
        try? write(Array("Content-Type: \(type)\r\n\r\n".utf8) + body, to: folder + "/form")
        exchange.answer(#"{"code":0,"msg":"","data":null}"#)
      case "/api/file/getFile": exchange.answer(#"{"code":404,"msg":"file does not exist","data":null}"#, status: "202 Accepted")
      case "/api/file/readDir": exchange.answer(#"{"code":404,"msg":"path does not exist","data":null}"#)
      case "/api/system/version": exchange.answer(#"{"code":0,"msg":"","data":"3.7.3"}"#)
      default: exchange.answer(#"{"code":0,"msg":"","data":[]}"#)
      }
    }
    var generator = SeededGenerator(7)
    let large = Array("\r\n--".utf8) + generator.bytes(200_000) + Array("\r\n".utf8)
    try await box.sluice("siyuan+http://\(server.authority)/data/\(percentEncoded(name))", input: large).success()
    try box.file(
      "read.py",
      """
      import email, email.policy, json, hashlib
      form = email.message_from_bytes(open('form', 'rb').read(), policy=email.policy.HTTP)
      parts = {p.get_param('name', header='content-disposition'): p for p in form.iter_parts()}
      print(json.dumps({'order': list(parts), 'path': parts['path'].get_payload(decode=True).decode(), 'defects': len(form.defects),
        'sha256': hashlib.sha256(parts['file'].get_payload(decode=True)).hexdigest()}))
      """)
    let read = try await box.shell("python3 read.py")
    let form = try JSON(parsing: read.outputText)
    #expect(form["path"].text == "data/\(name)", "\(read.summary)")
    #expect(form["defects"].int == 0)
    #expect(try await form["sha256"].text == sha256(large))
    // The kernel reads no further than the file if that is all it wants.
    #expect(form["order"].items.last?.text == "file")
  }

  @Test("without a token no header is sent")
  func noToken() async throws {
    let server = try await box.loopback("--open")
    try await box.sluice(server.siyuan("/data/x"), input: bytes, environment: ["SIYUAN_TOKEN": nil]).success()
    for entry in try server.log() { #expect(entry["headers"]["authorization"] == .null) }
  }

  @Test("a wrong or missing token fails in seconds with the kernel's words", arguments: ["wrong", nil] as [String?])
  func wrongToken(token: String?) async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.siyuan("/data/x"), input: .endless, environment: ["SIYUAN_TOKEN": token])
    let result = try run.failure(77, "auth")
    #expect(run.duration < .seconds(20))
    #expect(result["error"]["message"].text?.contains("Auth failed") == true, "\(run.summary)")
    #expect(try server.log("/api/file/putFile").isEmpty)
  }

  @Test("a wrong token is reported as such also when it comes while the body is being sent")
  func wrongTokenWhileSending() async throws {
    let server = try await box.loopback()
    let input = try box.file("in", [UInt8](repeating: 1, count: 20 << 20))
    let run = try await box.sluice(
      "--no-preflight", "--retries", "0", "--input", input, server.siyuan("/data/x"), environment: ["SIYUAN_TOKEN": "wrong"])
    try run.failure(77, "auth")
  }

  @Test("mkdir sends isDir=true")
  func makeFolder() async throws {
    let server = try await box.loopback()
    let result = try await box.sluice("mkdir", server.siyuan("/data/a b/c")).success()
    #expect(result["path"].text == "data/a b/c")
    #expect(try await server.puts(to: "/api/file/putFile")[0]["fields"]["isDir"].text == "true")
    #expect(names(in: server.siyuanFile("/data/a b")) == ["c"])
    try await box.sluice("mkdir", server.siyuan("/data/a b/c")).success()
  }

  @Test("a put onto a directory is refused before the input is read")
  func ontoDirectory() async throws {
    let server = try await box.loopback()
    try makeDirectory(server.siyuanFile("/data/dir"))
    let run = try await box.sluice(server.siyuan("/data/dir"), input: .endless)
    try run.failure(73, "rejected")
    #expect(run.duration < .seconds(20))
  }

  @Test("--no-clobber refuses an object that is there, also one that appears while the input is read")
  func noClobber() async throws {
    let server = try await box.loopback()
    try write(Array("old".utf8), to: server.siyuanFile("/data/x"))
    try await box.sluice("--no-clobber", server.siyuan("/data/x"), input: .endless).failure(73, "exists")
    let running = try box.start(box.client(["--no-clobber", server.siyuan("/data/y")], input: .pipe))
    await running.write(bytes)
    try await eventually("the preflight is over") {
      try server.log("/api/file/readDir").contains { $0["body"].text?.contains("data/y") == true }
    }
    try write(Array("mine".utf8), to: server.siyuanFile("/data/y"))
    running.closeInput()
    try await running.finish().failure(73, "exists")
    try expectSame(contents(server.siyuanFile("/data/x")), Array("old".utf8))
    try expectSame(contents(server.siyuanFile("/data/y")), Array("mine".utf8))
  }

  @Test("a body that arrives cut is sent again")
  func cut() async throws {
    let server = try await box.loopback("--times", "1", "--code", "400", "--message", "path must not be empty", "--on", "/api/file/putFile")
    let result = try await box.sluice(server.siyuan("/data/x"), input: bytes).success()
    #expect(result["attempts"].int == 2)
    try expectSame(contents(server.siyuanFile("/data/x")), bytes)
  }

  @Test("a connection that is cut is tried again")
  func cutConnection() async throws {
    let server = try await box.loopback("--times", "1", "--cut-after", "100000", "--on", "/api/file/putFile")
    let large = [UInt8](repeating: 5, count: 3_000_000)
    let result = try await box.sluice(server.siyuan("/data/x"), input: large).success()
    #expect(result["attempts"].int == 2)
    try expectSame(contents(server.siyuanFile("/data/x")), large)
  }

  @Test(
    "a place outside data/ and temp/ is warned of, and no other",
    arguments: [("/conf/x", true), ("/data/x", false), ("/temp/x", false), ("/database/x", true)])
  func outside(path: String, isWarned: Bool) async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.siyuan(path), input: bytes)
    try run.success()
    #expect(run.errorText.contains("warning: ") == isWarned, "\(run.errorText)")
  }

  @Test("read-only mode is refused with the server's words, once")
  func readOnly() async throws {
    let server = try await box.loopback("--read-only")
    let run = try await box.sluice("--retries", "3", server.siyuan("/data/x"), input: bytes)
    let result = try run.failure(73, "rejected")
    #expect(result["attempts"].int ?? 9 <= 1)
    #expect(result["error"]["message"].text?.contains("This operation is not supported in read-only mode") == true)
  }

  @Test(
    "--verify compares size and hash, whatever the size", arguments: [0, 12, 2048, 2049, 300_000], ["/data/x", "/data/assets/a b.txt"])
  func verify(size: Int, path: String) async throws {
    let server = try await box.loopback()
    let result = try await box.sluice(
      "--verify", "--min-size", "0", server.siyuan(path), input: [UInt8](repeating: 1, count: size)
    ).success()
    #expect(result["verified"].text == "size+hash")
  }

  @Test("--verify finds an object that was cut while it was stored")
  func verifyFails() async throws {
    let server = try await box.loopback("--truncate-stored", "5")
    let run = try await box.sluice("--verify", "--retries", "0", server.siyuan("/data/x"), input: bytes)
    try run.failure(69, "server")
  }

  @Test(
    "each answer of the kernel becomes its kind, in its own words",
    arguments: [
      (403, "permission denied", 73, "rejected", false),
      (-3, "the notebook is encrypted", 73, "rejected", false),
      (400, "invalid file path. For details, see 14658", 73, "rejected", false),
      (400, "path is a directory", 73, "rejected", false),
      (-1, "write /w/data/x: no space left on device", 73, "rejected", false),
      (-1, "mkdir /w/data/x: not a directory", 73, "rejected", false),
      (-1, "something else", 69, "server", true),
      (400, "path must not be empty", 69, "server", true),
    ] as [(Int, String, Int32, String, Bool)])
  func answers(code: Int, message: String, exit: Int32, kind: String, retries: Bool) async throws {
    let server = try await box.loopback("--code=\(code)", "--message", message, "--on", "/api/file/putFile")
    let run = try await box.sluice("--retries", "1", server.siyuan("/data/x"), input: bytes)
    let result = try run.failure(exit, kind)
    #expect(result["attempts"].int == (retries ? 2 : 1))
    #expect(result["error"]["retryable"].bool == retries)
    #expect(result["error"]["message"].text?.contains(message) == true)
    #expect(result["response"]["code"].int == code)
  }

  @Test("an upload that waits for its turn is not taken for one that has stopped")
  func turn() async throws {
    let server = try await box.loopback("--delay", "2500", "--times", "1")
    let first = try box.start(box.client([server.siyuan("/data/first"), "--", "echo", "first"]))
    try await eventually("the first upload holds the kernel's lock") { exists(server.siyuanFile("/data/first")) }
    // More than the buffers between the two take, so that the second one stops in the middle.
    let large = [UInt8](repeating: 7, count: 24 << 20)
    let result = try await box.sluice("--retries", "0", "--idle-timeout", "500ms", server.siyuan("/data/second"), input: large).success()
    #expect(result["attempts"].int == 1)
    #expect(await first.finish().exit == 0)
  }

  @Test("uploads to one server are made one after the other")
  func oneAtATime() async throws {
    let server = try await box.loopback("--delay", "300", "--on", "/api/file/putFile")
    let run = try await box.sluice(server.siyuan("/data/a"), server.siyuan("/data/b"), server.siyuan("/data/c"), input: bytes)
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try run.results().count == 3)
    for name in ["a", "b", "c"] { try expectSame(contents(server.siyuanFile("/data/\(name)")), bytes) }
  }

  @Test("a server that is no SiYuan is told apart")
  func notSiYuan() async throws {
    let server = try box.scripted { $0.answer("<html>login</html>", type: "text/html") }
    let run = try await box.sluice("--retries", "0", "siyuan+http://\(server.authority)/data/x", input: .endless)
    try run.failure(76, "protocol")
    #expect(run.duration < .seconds(20))
  }
}

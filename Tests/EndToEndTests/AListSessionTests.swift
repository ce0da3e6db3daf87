import Foundation
import Support
import Testing

/// OpenList's chunked uploads.
@Suite(.sandboxed)
struct AListSessionTests {
  private let box = Sandbox.here
  private let chunk = 1 << 20
  private let chunks = "/api/fs/multipart/chunk"

  /// Nine whole chunks and a short one.
  private var object: [UInt8] {
    var generator = SeededGenerator(21)
    return generator.bytes(9 * (1 << 20) + 12345)
  }

  private func indices(_ server: Loopback, status: Int = 200) throws -> [Int] {
    try server.log(chunks).filter { $0["status"].int == status }.compactMap { $0["headers"]["x-chunk-index"].text.flatMap { Int($0) } }
  }

  @Test(
    "a session that can't be right is refused",
    arguments: [
      #""chunk_size":9000000000000000000,"total_chunks":5"#, #""chunk_size":1048576,"total_chunks":1"#, #""chunk_size":0,"total_chunks":0"#,
      #""chunk_size":-1,"total_chunks":10"#, #""chunk_size":1,"total_chunks":5242880"#, #""chunk_size":1048575,"total_chunks":6"#,
    ])
  func absurd(sizes: String) async throws {
    let server = try box.scripted { exchange in
      let data =
        exchange.request.target.contains("settings")
        ? #"{"multipart_enabled":"true","multipart_chunk_size":"10"}"#
        : exchange.request.target.contains("init")
          ? #"{"upload_id":"a","state":"receiving",\#(sizes),"received":null}"#
          : #"{"username":"admin","role":2,"permission":65535,"write":true,"provider":"Quark"}"#
      let isMissing = exchange.request.target.contains("/fs/get")
      exchange.answer(
        isMissing ? #"{"code":500,"message":"object not found","data":null}"# : #"{"code":200,"message":"success","data":\#(data)}"#)
    }
    let run = try await box.sluice(
      "--retries", "0", "-o", "chunked=1M", "alist+http://\(server.authority)/d/x", input: [UInt8](repeating: 1, count: 5 << 20))
    try run.failure(76, "protocol")
  }

  @Test(
    "-o chunked sends chunks of that size, and the object is whole", arguments: [("chunked=1M", 10), ("chunked=4M", 3), ("chunked", 1)])
  func chunked(option: String, count: Int) async throws {
    let server = try await box.loopback("--multipart")
    let result = try await box.sluice("-o", option, "--mtime", "1577934245678", server.alist("/d/x"), input: object).success()
    #expect(try indices(server).sorted() == Array(0..<count))
    #expect(try server.log("/api/fs/put").isEmpty)
    #expect(result["response"]["data"]["state"].text == "completed")
    try expectSame(contents(server.alistFile("/d/x")), object)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    #expect(try Int(modified(server.alistFile("/d/x"))) == 1_577_934_245)
  }

  @Test("an object of the size of a chunk, a byte more and a byte less", arguments: [-1, 0, 1])
  func borders(by difference: Int) async throws {
    let server = try await box.loopback("--multipart")
    let bytes = Array(object.prefix(2 * chunk + difference))
    try await box.sluice("-o", "chunked=1M", server.alist("/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("an empty object goes without chunks, and so does one for a server that has none", arguments: [["--multipart"], []])
  func without(options: [String]) async throws {
    let server = try await box.loopback(options)
    let bytes = options.isEmpty ? object : []
    try await box.sluice("--min-size", "0", "-o", "chunked", server.alist("/x"), input: bytes).success()
    #expect(try await server.puts().count == 1)
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("a cut connection costs no more than its chunk", arguments: [0, 1, 500_000, 1_048_575])
  func cut(after count: Int) async throws {
    let server = try await box.loopback("--multipart", "--on", chunks, "--cut-after", "\(count)", "--times", "1")
    let result = try await box.sluice("-o", "chunked=1M", server.alist("/d/x"), input: object).success()
    #expect(result["attempts"].int == 2)
    #expect(try indices(server).sorted() == Array(0..<10))
    try expectSame(contents(server.alistFile("/d/x")), object)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("a held spool goes on with a session that still lives, over an old object that stays until the end")
  func resume() async throws {
    let server = try await box.loopback("--multipart", "--on", chunks, "--cut-after", "1000", "--times", "1")
    try write(Array("old".utf8), to: server.alistFile("/d/x"))
    let run = try await box.sluice("--retries", "0", "-o", "chunked=1M", server.alist("/d/x"), input: object)
    let held = try #require(try run.failure(69, "unreachable")["held"].text)
    let before = try indices(server).count
    #expect((1..<10).contains(before))
    try expectSame(contents(server.alistFile("/d/x")), Array("old".utf8))
    try await box.sluice("held", "push", held).success()
    #expect(try indices(server).sorted() == Array(0..<10))
    try expectSame(contents(server.alistFile("/d/x")), object)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("a session that the server has forgotten is begun anew")
  func forgotten() async throws {
    let server = try await box.loopback(
      "--multipart", "--on", chunks, "--code", "404", "--message", "multipart upload session not found", "--times", "1")
    try await box.sluice("-o", "chunked=1M", server.alist("/d/x"), input: object).success()
    try expectSame(contents(server.alistFile("/d/x")), object)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("a chunk that is too early is sent again", arguments: [409, 429])
  func tooEarly(code: Int) async throws {
    let server = try await box.loopback("--multipart", "--on", chunks, "--code", "\(code)", "--times", "2")
    let run = try await box.sluice("-o", "chunked=1M", server.alist("/x"), input: object)
    #expect(try run.success()["attempts"].int == 1)
    #expect(run.errorText.contains(code == 409 ? "still holds a part of /x" : "takes no more of /x"), "\(run.summary)")
    try expectSame(contents(server.alistFile("/x")), object)
  }

  @Test("a chunk that the server holds for good is waited for no longer than for any other silence")
  func heldForGood() async throws {
    let server = try await box.loopback("--multipart", "--on", chunks, "--code", "409")
    let run = try await box.sluice("--retries", "0", "--idle-timeout", "3s", "-o", "chunked=1M", server.alist("/x"), input: object)
    try run.failure(69, "server")
    #expect(run.errorText.components(separatedBy: "still holds").count == 2, "\(run.summary)")
  }

  @Test("when only the answer to the end was lost, nothing is sent again")
  func endLost() async throws {
    let server = try await box.loopback("--multipart", "--on", "/api/fs/multipart/complete", "--store-then-cut", "--times", "1")
    try await box.sluice("-o", "chunked=1M", server.alist("/d/x"), input: object).success()
    #expect(try indices(server).count == 10)
    try expectSame(contents(server.alistFile("/d/x")), object)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("a drive that takes the object by its hash gets no byte of it")
  func byHash() async throws {
    let server = try await box.loopback("--multipart", "--known-by-hash", "--provider", "139Yun")
    try write(object, to: server.alistFile("/known/thing"))
    try await box.sluice("-o", "chunked=1M", server.alist("/d/x"), input: object).success()
    #expect(try server.log(chunks).isEmpty)
    try expectSame(contents(server.alistFile("/d/x")), object)
  }

  @Test(
    "an upload that is refused, or held nowhere, leaves no session and no file", arguments: [["--code", "403"], ["--cut-after", "9"]])
  func abandoned(fault: [String]) async throws {
    let server = try await box.loopback(["--multipart", "--on", chunks] + fault)
    let run = try await box.sluice("--no-hold", "--retries", "1", "-o", "chunked=1M", server.alist("/d/x"), input: object)
    #expect(run.exit == (fault[0] == "--code" ? 73 : 69), "\(run.summary)")
    #expect(names(in: server.alistFile("/d")).isEmpty)
    #expect(try server.log("/api/fs/multipart/abort").count == 1)
  }

  @Test(
    "who is told that an object is too large is told how to send it",
    arguments: [
      (["--multipart"], [], "-o chunked=1M"), (["--multipart"], ["-o", "as-task"], "in place of -o as-task"),
      (["--multipart", "--on", "/api/fs/multipart/chunk"], ["-o", "chunked=4M"], "smaller pieces: -o chunked=1M"),
      (["--flavor", "alist"], [], "--part-size"),
    ] as [([String], [String], String)])
  func tooLarge(server options: [String], client: [String], hint: String) async throws {
    let server = try await box.loopback(options + ["--status", "413"])
    let run = try await box.start(box.client(client + [server.alist("/d/x")], input: .bytes(object))).finish()
    #expect(try run.failure(73, "rejected")["attempts"].int == 1)
    #expect(run.errorText.contains(hint), "\(run.summary)")
    #expect(names(in: server.alistFile("/d")).isEmpty)
  }

  @Test("a large object goes in chunks by itself")
  func large() async throws {
    let server = try await box.loopback("--multipart")
    let file = try box.file("large", [])
    #expect(truncate(file, off_t(100 << 20)) == 0)
    try await box.sluice("--input", file, server.alist("/x")).success()
    #expect(try indices(server).count == 10)
    #expect(try contents(server.alistFile("/x")).count == 100 << 20)
  }

  @Test("chunks that are on their way together keep below the rate together")
  func limited() async throws {
    let server = try await box.loopback("--multipart")
    let result = try await box.sluice(
      "--limit-rate", "4M", "-o", "chunked=1M", server.alist("/x"), input: Array(object.prefix(4 << 20))
    ).success()
    #expect(try #require(result["upload_s"].double) > 0.9)
  }

  @Test(
    "a large file is sent without being read before, whether the server has sessions or not",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"), arguments: [["--multipart"], ["--flavor", "alist"]])
  func unread(options: [String]) async throws {
    let server = try await box.loopback(options)
    let file = try box.file("large", [])
    #expect(truncate(file, off_t(100 << 20)) == 0)
    let client = box.client(["--no-sha256", "--input", file, server.alist("/x")])
    var traced = client
    traced.path = try #require(Program.installed("strace"))
    traced.arguments = ["-qq", "-f", "-o", "\(box.work)/trace", "-P", file, "-e", "trace=read,pread64", client.path] + client.arguments
    try await box.start(traced).finish().success()
    let trace = String(decoding: try contents("\(box.work)/trace"), as: UTF8.self)
    let bytes = trace.matches(of: #/= (\d+)\n/#).reduce(0) { $0 + (Int($1.1) ?? 0) }
    #expect(bytes < 1 << 20)
  }

  @Test("a size that is none is a mistake", arguments: ["chunked=1", "chunked=x", "chunked=1023k"])
  func wrongSize(option: String) async throws {
    let run = try await box.sluice("-o", option, "alist+http://127.0.0.1:1/x", input: [1])
    #expect(run.exit == 64, "\(run.summary)")
  }
}

import Foundation
import Support
import Testing

/// AList and OpenList: what goes over the wire, and what the server's answers become.
@Suite(.sandboxed)
struct AListTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("a put has exactly the headers that serve it")
  func headers() async throws {
    let server = try await box.loopback()
    let result = try await box.sluice("-o", "direct", server.alist("/dir/new 1.txt"), input: bytes).success()
    #expect(result["http_status"].int == 200)
    #expect(result["response"]["code"].int == 200)
    #expect(result["destination"].text == server.alist("/dir/new 1.txt"))
    let put = try await server.puts()[0]
    #expect(put["method"].text == "PUT")
    let headers = put["headers"]
    #expect(headers["file-path"].text == "/dir/new%201.txt")
    #expect(headers["authorization"].text == Loopback.token)
    #expect(headers["content-length"].text == "\(bytes.count)")
    #expect(headers["transfer-encoding"] == .null)
    #expect(headers["expect"] == .null)
    // The name is new: the server is to refuse if that has changed by now.
    #expect(headers["overwrite"].text == "false")
    for absent in ["as-task", "last-modified", "x-file-size", "x-file-md5", "x-file-sha1", "x-file-sha256", "password"] {
      #expect(headers[absent] == .null, "\(absent)")
    }
    #expect(put["body_bytes"].int == bytes.count)
  }

  @Test("an empty object has a Content-Length of 0")
  func emptyHeaders() async throws {
    let server = try await box.loopback()
    try await box.sluice("--min-size", "0", server.alist("/empty"), input: []).success()
    let headers = try await server.puts()[0]["headers"]
    #expect(headers["content-length"].text == "0")
    #expect(headers["transfer-encoding"] == .null)
    #expect(try contents(server.alistFile("/empty")).isEmpty)
  }

  @Test("-o direct replaces a file that is there, without Overwrite: false")
  func overwrite() async throws {
    let server = try await box.loopback()
    try write(Array("a longer old content".utf8), to: server.alistFile("/x"))
    try await box.sluice("-o", "direct", server.alist("/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/x")), bytes)
    #expect(try await server.puts()[0]["headers"]["overwrite"] == .null)
  }

  @Test(
    "Content-Type is what was asked for, and application/gzip for gzip",
    arguments: [
      ([], nil), (["-z"], "application/gzip"), (["--content-type", "text/x-sql"], "text/x-sql"), (["-z", "--content-type", "a/b"], "a/b"),
    ] as [([String], String?)])
  func contentType(options: [String], expected: String?) async throws {
    let server = try await box.loopback()
    try await box.start(box.client(options + [server.alist("/x")], input: .bytes(bytes))).finish().success()
    #expect(try await server.puts()[0]["headers"]["content-type"].text == expected)
  }

  @Test("Last-Modified is in milliseconds, with --mtime or a regular file alone")
  func lastModified() async throws {
    let server = try await box.loopback()
    try await box.sluice("--mtime", "2020-01-02T03:04:05.678Z", server.alist("/a"), input: bytes).success()
    let file = try box.file("in", bytes)
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1_111_111_111)], ofItemAtPath: file)
    try await box.sluice("--input", file, server.alist("/b")).success()
    let puts = try await server.puts(2)
    #expect(puts[0]["headers"]["last-modified"].text == "1577934245678")
    #expect(puts[1]["headers"]["last-modified"].text == "1111111111000")
    #expect(try modified(server.alistFile("/b")) == 1_111_111_111)
  }

  @Test("a put onto a folder is refused before the input is read, and the folder stays whole", arguments: ["openlist", "alist"])
  func ontoFolder(flavor: String) async throws {
    let server = try await box.loopback("--flavor", flavor)
    try write(Array("precious".utf8), to: server.alistFile("/folder/inside"))
    let run = try await box.sluice(server.alist("/folder"), input: .endless)
    try run.failure(73, "rejected")
    #expect(run.duration < .seconds(20))
    #expect(try server.log("/api/fs/put").isEmpty)
    try expectSame(contents(server.alistFile("/folder/inside")), Array("precious".utf8))
    // Nor without the preflight.
    let blind = try await box.sluice("--no-preflight", "--retries", "0", server.alist("/folder"), input: bytes)
    try blind.failure(73, "rejected")
    try expectSame(contents(server.alistFile("/folder/inside")), Array("precious".utf8))
  }

  @Test("a folder that appears while the input is read is not deleted by the put", arguments: ["openlist", "alist"])
  func folderAppears(flavor: String) async throws {
    let server = try await box.loopback("--flavor", flavor)
    let running = try box.start(box.client(["--retries", "0", server.alist("/late")], input: .pipe))
    await running.write(bytes)
    try await eventually("the preflight is over") { try !server.log("/api/fs/get").isEmpty }
    try write(Array("precious".utf8), to: server.alistFile("/late/inside"))
    running.closeInput()
    try await running.finish().failure(73, "rejected")
    try expectSame(contents(server.alistFile("/late/inside")), Array("precious".utf8))
  }

  @Test("--no-clobber refuses an object that is there, before the input is read")
  func noClobber() async throws {
    let server = try await box.loopback()
    try write(Array("old".utf8), to: server.alistFile("/x"))
    let run = try await box.sluice("--no-clobber", server.alist("/x"), input: .endless)
    try run.failure(73, "exists")
    #expect(run.duration < .seconds(20))
    try expectSame(contents(server.alistFile("/x")), Array("old".utf8))
    try await box.sluice("--no-clobber", server.alist("/y"), input: bytes).success()
  }

  @Test("--no-clobber keeps an object that appears while the input is read")
  func noClobberRace() async throws {
    let server = try await box.loopback()
    let running = try box.start(box.client(["--no-clobber", server.alist("/x")], input: .pipe))
    await running.write(bytes)
    try await eventually("the preflight is over") { try !server.log("/api/fs/get").isEmpty }
    try write(Array("mine".utf8), to: server.alistFile("/x"))
    running.closeInput()
    try await running.finish().failure(73, "exists")
    try expectSame(contents(server.alistFile("/x")), Array("mine".utf8))
  }

  @Test("mkdir makes the folder and its parents, and an existing one is a success")
  func makeFolder() async throws {
    let server = try await box.loopback()
    for _ in 1...2 {
      let result = try await box.sluice("mkdir", server.alist("/a b/c")).success()
      #expect(result["path"].text == "/a b/c")
      #expect(result["endpoint"].text == "alist")
    }
    #expect(exists(server.alistFile("/a b/c")))
    try write(bytes, to: server.alistFile("/file"))
    #expect(try await box.sluice("mkdir", "--retries", "0", server.alist("/file")).exit == 73)
  }

  @Test("check says whether an upload would be taken, and uploads nothing")
  func check() async throws {
    let server = try await box.loopback()
    try await box.sluice("check", server.alist("/x")).success()
    try await box.sluice("check", server.alist("/not/there/yet/x")).success()
    try write(bytes, to: server.alistFile("/x"))
    try await box.sluice("check", "--no-clobber", server.alist("/x")).failure(73, "exists")
    try await box.sluice("check", server.alist("/x"), environment: ["ALIST_TOKEN": "wrong"]).failure(77, "auth")
    #expect(try server.log("/api/fs/put").isEmpty)
    await server.stop()
    try await box.sluice("check", "--retries", "0", server.alist("/x")).failure(69, "unreachable")
  }

  @Test("an unwritable path is refused before the input is read", arguments: [["--permission", "0"], ["--no-write", "/dir"]])
  func unwritable(options: [String]) async throws {
    let server = options[0] == "--permission" ? try await box.loopback("--permission", "0") : try await box.loopback("--no-write", "/dir")
    try makeDirectory(server.alistFile("/dir"))
    let run = try await box.sluice(server.alist("/dir/x"), input: .endless)
    try run.failure(77, "auth")
    #expect(run.duration < .seconds(20))
    #expect(try server.log("/api/fs/put").isEmpty)
  }

  @Test("a server below a sub-path is reached through a remote's url")
  func subPath() async throws {
    let server = try await box.loopback("--base-path", "/alist")
    let environment = [
      "SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": server.url + "/alist/", "SLUICE_REMOTE_NAS_TOKEN": Loopback.token,
    ]
    try await box.sluice("nas:/dir/x", input: bytes, environment: environment).success()
    try expectSame(contents(server.alistFile("/dir/x")), bytes)
    // Without the sub-path it is a start page, and that is said.
    try await box.sluice("--retries", "0", server.alist("/y"), input: bytes).failure(76, "protocol")
  }

  @Test("--verify compares what the server has", arguments: [([], "size"), (["--hashes"], "size+hash")])
  func verify(options: [String], expected: String) async throws {
    let server = options.isEmpty ? try await box.loopback() : try await box.loopback("--hashes")
    let result = try await box.sluice("--verify", server.alist("/x"), input: bytes).success()
    #expect(result["verified"].text == expected)
  }

  @Test("--verify finds an object that was cut while it was stored")
  func verifyFails() async throws {
    let server = try await box.loopback("--truncate-stored", "5")
    let run = try await box.sluice("--verify", "--retries", "0", server.alist("/x"), input: bytes)
    try run.failure(69, "server")
    #expect(run.errorText.contains("5"))
    #expect(try run.result()["held"].text != nil)
  }

  @Test("--verify is not fooled by a cache that holds the old object")
  func verifyStale() async throws {
    let server = try await box.loopback("--stale-get")
    try write(Array("old and longer than the new".utf8), to: server.alistFile("/x"))
    let result = try await box.sluice("--verify", server.alist("/x"), input: bytes).success()
    #expect(result["verified"].text != nil)
  }

  @Test("hash headers are those of the object, computed while it is made or afterwards", arguments: [[], ["--no-preflight"]])
  func hashHeadersOfObject(options: [String]) async throws {
    let server = try await box.loopback("--provider", "Quark")
    var generator = SeededGenerator(3)
    let input = generator.text(700_000)
    try await box.start(box.client(options + ["-z", server.alist("/x.gz")], input: .bytes(input))).finish().success()
    let headers = try await server.puts()[0]["headers"]
    let sums = try await box.shell("md5sum < '\(server.alistFile("/x.gz"))'; sha1sum < '\(server.alistFile("/x.gz"))'").outputText
    #expect(sums.hasPrefix(try #require(headers["x-file-md5"].text)))
    #expect(sums.contains("\n\(try #require(headers["x-file-sha1"].text))"))
  }

  @Test(
    "hash headers go where a drive takes files by their hash, and nowhere else", arguments: ["openlist", "alist"],
    ["Local", "115 Cloud", "Quark", "139Yun"])
  func hashHeaders(flavor: String, provider: String) async throws {
    let server = try await box.loopback("--flavor", flavor, "--provider", provider)
    try await box.sluice(server.alist("/new/folder/x"), input: bytes).success()
    let headers = try await server.puts()[0]["headers"]
    let sent = ["x-file-md5", "x-file-sha1", "x-file-sha256"].compactMap { headers[$0].text }
    #expect(sent.isEmpty == (provider == "Local"))
    // A wrong hash could make the drive store something else.
    if let sha256 = headers["x-file-sha256"].text { #expect(try await sha256 == EndToEndTests.sha256(bytes)) }
    if let sha1 = headers["x-file-sha1"].text {
      #expect(try await box.shell("printf 'some object\\n' | sha1sum").outputText.hasPrefix(sha1))
    }
    if let md5 = headers["x-file-md5"].text {
      #expect(try await box.shell("printf 'some object\\n' | md5sum").outputText.hasPrefix(md5))
    }
  }

  @Test("no storage at the path is refused with the server's words and a hint")
  func serverWords() async throws {
    let server = try await box.loopback("--code", "500", "--message", "failed get storage: storage not found; rawPath: /p")
    let run = try await box.sluice("--retries", "3", server.alist("/x"), input: bytes)
    let result = try run.failure(73, "rejected")
    #expect(result["attempts"].int == 1)
    #expect(result["error"]["message"].text?.contains("storage not found") == true)
    #expect(result["response"]["message"].text?.contains("storage not found") == true)
  }

  @Test(
    "each answer of the contract's table becomes its kind",
    arguments: [
      (400, "invalid URL escape \"%zz\"", 73, "rejected", false),
      (401, "token is invalidated", 77, "auth", false),
      (403, "permission denied", 77, "auth", false),
      (403, "using relative path is not allowed", 73, "rejected", false),
      (403, "system file upload ignored", 73, "rejected", false),
      (405, "Current storage doesn't support upload", 73, "rejected", false),
      (500, "upload not supported", 73, "rejected", false),
      (500, "open /srv/x: is a directory", 73, "rejected", false),
      (500, "failed to make dir [/d]: file exists", 73, "rejected", false),
      (500, "open /srv/x: file name too long", 73, "rejected", false),
      (500, "write /srv/x: no space left on device", 73, "rejected", false),
      (500, "mkdir /srv: permission denied", 73, "rejected", false),
      (500, "delete root folder is not allowed", 73, "rejected", false),
      (500, "Loading storage, please wait", 69, "server", true),
      (500, "storage status: work: storage not init", 69, "server", true),
      (500, "unexpected EOF", 69, "server", true),
      (500, "failed to create temp file: read 5 (expect = 10)", 69, "server", true),
      (500, "the drive says no", 69, "server", true),
    ] as [(Int, String, Int32, String, Bool)])
  func answers(code: Int, message: String, exit: Int32, kind: String, retries: Bool) async throws {
    let server = try await box.loopback("--code=\(code)", "--message", message)
    let run = try await box.sluice("--retries", "1", server.alist("/x"), input: bytes)
    let result = try run.failure(exit, kind)
    #expect(result["attempts"].int == (retries ? 2 : 1))
    #expect(result["error"]["retryable"].bool == retries)
    #expect(result["error"]["message"].text?.contains(message) == true)
    #expect(result["response"]["code"].int == code)
  }
}

import Foundation
import Support
import Testing

/// WebDAV on real servers.
@Suite(.sandboxed, .enabled(if: !DAVServer.installed.isEmpty, "no WebDAV server is installed"))
struct WebDAVTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("an object arrives whole, new or in place of another one, and missing parents are made", arguments: DAVServer.installed)
  func put(kind: DAVServer) async throws {
    let server = try await kind.start()
    var generator = SeededGenerator(7)
    for size in [0, 1, 3_000_000] {
      let bytes = generator.bytes(size)
      let result = try await box.sluice("--min-size", "0", "--verify", server.dav("/one/two/x"), input: bytes).success()
      try expectSame(contents(server.file("/one/two/x")), bytes)
      #expect(result["endpoint"].text == "dav")
      #expect(result["path"].text == "/one/two/x")
      #expect(result["verified"].text == "size")
      #expect([201, 204].contains(result["http_status"].int))
      #expect(result["attempts"].int == 1)
      #expect(names(in: server.file("/one/two")) == ["x"])
    }
    #expect(box.spoolNames.isEmpty)
  }

  @Test("every name arrives as it is written", arguments: DAVServer.installed)
  func awkwardNames(kind: DAVServer) async throws {
    let server = try await kind.start()
    let awkward = [
      "with blank", "100%", "a%20b", "a+b", "what?", "#1", "a&b=c;d", "数据库备份", "🗄️📦", "e\u{301}té", "\"quoted\"", "it's", "[x]{y}", "-dash",
      "a..b", ".hidden", "~", String(repeating: "n", count: 255), String(repeating: "漢", count: 85),
    ]
    for name in awkward {
      let result = try await box.sluice(server.dav("/d \(name.prefix(20))%/\(name)"), input: Array(name.utf8)).success()
      #expect(result["path"].text == "/d \(name.prefix(20))%/\(name)")
      #expect(names(in: server.file("/d \(name.prefix(20))%")) == [name], "\(name)")
      try expectSame(contents(server.file("/d \(name.prefix(20))%/\(name)")), Array(name.utf8), name)
    }
  }

  @Test("--no-clobber refuses before the input is read, and after it", arguments: DAVServer.installed)
  func noClobber(kind: DAVServer) async throws {
    let server = try await kind.start()
    try await box.sluice("--no-clobber", server.dav("/x"), input: bytes).success()
    try await box.sluice("--no-clobber", server.dav("/x"), input: .endless).failure(73, "exists")
    try await box.sluice("--no-clobber", "--no-preflight", server.dav("/x"), input: [1]).failure(73, "exists")
    try await box.sluice("--no-clobber", "-o", "direct", "--no-preflight", server.dav("/x"), input: [1]).failure(73, "exists")
    try expectSame(contents(server.file("/x")), bytes)
    #expect(names(in: server.data) == ["x"])
  }

  @Test("--no-clobber does not replace what came while the object was sent", arguments: DAVServer.installed)
  func lateClobber(kind: DAVServer) async throws {
    let server = try await kind.start()
    let run = try box.start(
      box.client(
        ["--no-clobber", "--limit-rate", "1M", "--retries", "0", server.dav("/x")], input: .bytes([UInt8](repeating: 1, count: 2_000_000))))
    try await eventually("the upload has begun") { hasBegun(on: server, in: "") }
    // Somebody else: who shares the spool folder would wait.
    try await box.sluice("--spool-dir", "other", "-o", "direct", server.dav("/x"), input: bytes).success()
    try await run.finish().failure(73, "exists")
    try expectSame(contents(server.file("/x")), bytes)
    #expect(names(in: server.data) == ["x"])
  }

  @Test("wrong credentials end the run before the input is read", arguments: DAVServer.installed)
  func credentials(kind: DAVServer) async throws {
    let server = try await kind.start("--user", "me", "--pass", "p@ss:word")
    for user in ["me:wrong-secret", "me", ""] {
      let run = try await box.sluice(server.dav("/x", as: user), input: .endless)
      #expect(try run.failure(77, "auth")["http_status"].int == 401)
      try await box.sluice("check", server.dav("/x", as: user)).failure(77, "auth")
      try await box.sluice("mkdir", server.dav("/d", as: user)).failure(77, "auth")
      #expect(!(run.outputText + run.errorText).contains("wrong-secret"))
    }
    #expect(names(in: server.data).isEmpty)
    let result = try await box.sluice(server.dav("/x", as: "me:p%40ss%3Aword"), input: bytes).success()
    #expect(result["destination"].text?.contains("word") == false)
    try expectSame(contents(server.file("/x")), bytes)
  }

  @Test("what was there stays whole when the server dies in mid-upload, and the held object is sent later", arguments: DAVServer.installed)
  func dyingServer(kind: DAVServer) async throws {
    let server = try await box.peer(kind.script, [], name: "server")
    try await box.sluice(server.dav("/dir/x"), input: bytes).success()
    var generator = SeededGenerator(3)
    let new = generator.bytes(4_000_000)
    let run = try box.start(box.client(["--limit-rate", "1M", "--retries", "0", server.dav("/dir/x")], input: .bytes(new)))
    try await eventually("the upload has begun") { hasBegun(on: server, in: "/dir") }
    await server.stop()
    let held = try #require(try await run.finish().failure(69, "unreachable")["held"].text)
    try expectSame(contents(server.file("/dir/x")), bytes)
    _ = try await box.peer(kind.script, [], name: "server", port: server.port)
    let pushed = try await box.sluice("held", "push", held)
    try pushed.success()
    try expectSame(contents(server.file("/dir/x")), new)
    #expect(names(in: server.file("/dir")).filter { !$0.hasPrefix(".davfs") } == ["x"])
    #expect(box.spoolNames.isEmpty)
  }

  @Test("an upload that is interrupted leaves what was there and nothing else", arguments: DAVServer.installed)
  func interrupted(kind: DAVServer) async throws {
    let server = try await kind.start()
    try await box.sluice(server.dav("/dir/x"), input: bytes).success()
    let run = try box.start(
      box.client(["--limit-rate", "1M", server.dav("/dir/x")], input: .bytes([UInt8](repeating: 1, count: 4_000_000))))
    try await eventually("the upload has begun") { hasBegun(on: server, in: "/dir") }
    run.signal(SIGINT)
    try await run.finish().failure(130, "interrupted")
    try expectSame(contents(server.file("/dir/x")), bytes)
    try await eventually("nothing else is left") { names(in: server.file("/dir")) == ["x"] }
  }

  @Test("an object that is too large is refused once, and nothing of it is left", arguments: DAVServer.installed.filter { $0 != .rclone })
  func tooLarge(kind: DAVServer) async throws {
    let server = try await kind.start("--max-body", "100000")
    let file = try box.file("in", [UInt8](repeating: 1, count: 5_000_000))
    let run = try await box.sluice("--input", file, server.dav("/x"))
    let result = try run.failure(73, "rejected")
    #expect(result["http_status"].int == 413)
    #expect(result["attempts"].int == 1)
    #expect(run.errorText.contains("too large"))
    #expect(names(in: server.data).isEmpty)
  }

  @Test(
    "a full disk is said to be one, as far as the server tells, and what was there stays",
    .enabled(if: SmallDisk.isPossible, "only root can mount a small disk"), arguments: DAVServer.installed)
  func fullDisk(kind: DAVServer) async throws {
    let server = try await kind.start("--tmpfs", "1m")
    try await box.sluice(server.dav("/x"), input: bytes).success()
    let file = try box.file("in", [UInt8](repeating: 1, count: 3_000_000))
    let run = try await box.sluice("--retries", "0", "--input", file, server.dav("/x"))
    switch kind {
    case .nginx: #expect(try run.failure(69, "server")["http_status"].int == 500)
    case .apache: #expect(try run.failure(73, "rejected")["http_status"].int == 507)
    case .rclone: #expect(try run.failure(73, "rejected")["http_status"].int == 405)
    }
    #expect(run.errorText.contains("full"))
    try expectSame(contents(server.file("/x")), bytes)
    // nginx leaves a file of its own, which has ten digits more.
    #expect(names(in: server.data).filter { kind != .nginx || $0.wholeMatch(of: /.*\.[0-9]{10}/) == nil } == ["x"])
  }

  @Test("a folder is not uploaded to, nor below a file", arguments: DAVServer.installed)
  func folders(kind: DAVServer) async throws {
    let server = try await kind.start()
    try await box.sluice("mkdir", server.dav("/dir")).success()
    try await box.sluice(server.dav("/file"), input: bytes).success()
    let onto = try await box.sluice(server.dav("/dir"), input: .endless)
    try onto.failure(73, "rejected")
    #expect(onto.errorText.contains("is a directory"))
    try await box.sluice("--no-preflight", server.dav("/dir"), input: bytes).failure(73, "rejected")
    for path in ["/file/x", "/file/a/x"] {
      let below = try await box.sluice(server.dav(path), input: .endless)
      try below.failure(73, "rejected")
      #expect(below.errorText.contains("/file on"), "\(below.summary)")
      let late = try await box.sluice("--no-preflight", server.dav(path), input: bytes)
      try late.failure(73, "rejected")
      #expect(late.errorText.contains("/file on"), "\(late.summary)")
    }
    #expect(names(in: server.data) == ["dir", "file"])
  }

  @Test("mkdir makes what is missing, and is content with what is there", arguments: DAVServer.installed)
  func mkdir(kind: DAVServer) async throws {
    let server = try await kind.start()
    let made = try await box.sluice("mkdir", server.dav("/a b/%/ü")).success()
    #expect(made["http_status"].int == 201)
    #expect(names(in: server.file("/a b/%")) == ["ü"])
    for path in ["/a b/%/ü", "/a b/%/ü/", "/a b", "/"] { try await box.sluice("mkdir", server.dav(path)).success() }
    try await box.sluice(server.dav("/file"), input: bytes).success()
    for path in ["/file", "/file/x"] {
      let run = try await box.sluice("mkdir", server.dav(path))
      try run.failure(73, "rejected")
      #expect(run.errorText.contains("is a file"), "\(run.summary)")
    }
  }

  @Test("check says whether a put may succeed, and leaves nothing behind", arguments: DAVServer.installed)
  func check(kind: DAVServer) async throws {
    let server = try await kind.start()
    try await box.sluice(server.dav("/x"), input: bytes).success()
    try await box.sluice("check", server.dav("/x")).success()
    try await box.sluice("check", server.dav("/no/such/folder/x")).success()
    try await box.sluice("check", "--no-clobber", server.dav("/x")).failure(73, "exists")
    let verbose = try await box.sluice("check", "-v", server.dav("/no/x"))
    #expect(verbose.errorText.contains("/no is missing"))
    #expect(names(in: server.data) == ["x"])
  }

  @Test("-o direct puts to the name itself", arguments: DAVServer.installed)
  func direct(kind: DAVServer) async throws {
    let server = try await kind.start()
    for bytes in [bytes, [1, 2]] {
      try await box.sluice("-o", "direct", "--verify", server.dav("/d/x"), input: bytes).success()
      try expectSame(contents(server.file("/d/x")), bytes)
    }
  }

  @Test("a remote of type dav, below a sub-path, with its password from a command", arguments: DAVServer.installed)
  func remote(kind: DAVServer) async throws {
    let server = try await kind.start("--user", "me", "--pass", "secret")
    try await box.sluice("mkdir", server.dav("/sub", as: "me:secret")).success()
    let config = try box.file(
      "config.yaml", "remotes:\n  cloud:\n    type: dav\n    url: \(server.url)sub/\n    username: me\n    password-command: echo secret\n")
    let run = try await box.sluice("cloud:a b/100%.bin", input: .bytes(bytes), environment: ["SLUICE_CONFIG": config])
    #expect(try run.success()["path"].text == "/a b/100%.bin")
    try expectSame(contents(server.file("/sub/a b/100%.bin")), bytes)
  }

  @Test("davs:// and dav+https:// are spoken over TLS", arguments: DAVServer.installed)
  func tls(kind: DAVServer) async throws {
    let server = try await kind.start("--tls")
    for scheme in ["davs", "dav+https"] {
      let url = "\(scheme)://localhost:\(server.port)/x"
      try await box.sluice("--retries", "0", url, input: bytes).failure(69, "unreachable")
      try await box.sluice("--cacert", server.certificate, url, input: bytes).success()
      try expectSame(contents(server.file("/x")), bytes)
    }
  }

  @Test(
    "Digest: the challenge is fetched without the object, which is sent once",
    .enabled(if: DAVServer.installed.contains(.apache), "Apache is not installed"),
    arguments: ["dav+http", "http"])
  func digest(scheme: String) async throws {
    let server = try await DAVServer.apache.start("--user", "me", "--pass", "secret", "--digest")
    let url = "\(scheme)://me:secret@\(server.authority)"
    for options in [[], ["--no-preflight"]] {
      let run = try await box.start(box.client(options + ["\(url)/a%20b%3F"], input: .bytes(bytes))).finish()
      try run.success()
    }
    try expectSame(contents(server.file("/a b?")), bytes)
    let log = try await eventually("the log has both uploads") {
      let lines = String(decoding: try contents(server.log), as: UTF8.self).split(separator: "\n").filter { $0.contains("\"PUT ") }
      return lines.count >= 2 ? lines : nil
    }
    #expect(log.count == 2 && log.allSatisfy { !$0.contains("\" 401 ") }, "\(log)")
    try await box.sluice("\(scheme)://me:wrong@\(server.authority)/x", input: .endless).failure(77, "auth")
    try await box.sluice("--no-preflight", "\(scheme)://me:wrong@\(server.authority)/x", input: bytes).failure(77, "auth")
  }

  /// Whether the server has something of an upload: a file beside its target, or, with nginx, elsewhere.
  private func hasBegun(on server: Peer, in folder: String) -> Bool {
    names(in: server.file(folder)).contains { $0.hasPrefix(".") } || !names(in: server.temporary + "/body").isEmpty
  }
}

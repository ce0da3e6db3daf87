import Foundation
import Support
import Testing

/// WebDAV as AList and OpenList have it, which writes under the final name from the first byte on, and removes folders.
@Suite(.sandboxed)
struct AListWebDAVTests {
  private static let flavors = ["openlist", "alist"]
  private static let cut = 100_000

  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private let large = [UInt8](repeating: 7, count: 3_000_000)

  @Test("an object arrives whole, new or in place of another one, and missing parents are made", arguments: flavors)
  func put(flavor: String) async throws {
    let server = try await start(flavor)
    var generator = SeededGenerator(7)
    for size in [1, 3_000_000, 2] {
      let bytes = generator.bytes(size)
      let result = try await box.sluice("--verify", server.dav("/one/two/x"), input: bytes).success()
      try expectSame(contents(server.alistFile("/one/two/x")), bytes)
      #expect(result["endpoint"].text == "dav")
      #expect(result["path"].text == "/dav/one/two/x")
      #expect(result["verified"].text == "size")
      #expect(result["attempts"].int == 1)
      #expect(names(in: server.alistFile("/one/two")) == ["x"])
    }
    #expect(try server.log().allSatisfy { $0["path"].text?.hasPrefix("/dav") == true })
    #expect(box.spoolNames.isEmpty)
  }

  @Test("an empty object is one on OpenList; AList would make a line break of it, which is refused, and what was there stays")
  func empty() async throws {
    let openList = try await start("openlist")
    try await box.sluice("--min-size", "0", "--verify", openList.dav("/x"), input: []).success()
    #expect(try contents(openList.alistFile("/x")).isEmpty)
    let alist = try await start("alist")
    try write(bytes, to: alist.alistFile("/x"))
    let run = try await box.sluice("--min-size", "0", alist.dav("/x"), input: [])
    let result = try run.failure(73, "rejected")
    #expect(result["attempts"].int == 1)
    #expect(run.errorText.contains("line break"), "\(run.summary)")
    try expectSame(contents(alist.alistFile("/x")), bytes)
    #expect(names(in: alist.alistFile("")) == ["x"])
    // Straight to the name it is there before anyone can tell; then that is said at least.
    try await box.sluice("--min-size", "0", "-o", "direct", "--verify", alist.dav("/y"), input: []).failure(73, "rejected")
  }

  @Test("every name arrives as it is written", arguments: flavors)
  func awkwardNames(flavor: String) async throws {
    let server = try await start(flavor)
    let awkward = [
      "with blank", "100%", "a%20b", "a+b", "what?", "#1", "a&b=c;d", "数据库备份", "🗄️📦", "e\u{301}té", "\"quoted\"", "it's", "[x]{y}", "-dash",
      "a..b", ".hidden", "~", "<&>", String(repeating: "n", count: 255), String(repeating: "漢", count: 85),
    ]
    for name in awkward {
      let folder = "/d \(name.prefix(20))%"
      try await box.sluice("--verify", server.dav("\(folder)/\(name)"), input: Array(name.utf8)).success()
      #expect(names(in: server.alistFile(folder)) == [name], "\(name)")
      try expectSame(contents(server.alistFile("\(folder)/\(name)")), Array(name.utf8), name)
    }
  }

  @Test(
    "a backslash, which would become a slash, is refused before anything is made", arguments: flavors, ["/a\\b", "/new\\/x", "/d/e/a\\b"])
  func backslash(flavor: String, path: String) async throws {
    let server = try await start(flavor)
    let run = try await box.sluice(server.dav(path), input: .endless)
    try run.failure(73, "rejected")
    #expect(run.errorText.contains("backslash"), "\(run.summary)")
    try await box.sluice("check", server.dav(path)).failure(73, "rejected")
    try await box.sluice("mkdir", server.dav(path)).failure(73, "rejected")
    try await box.sluice("--no-preflight", server.dav(path), input: bytes).failure(73, "rejected")
    #expect(names(in: server.alistFile("")).isEmpty)
  }

  @Test("--no-clobber refuses before the input is read, and after it", arguments: flavors)
  func noClobber(flavor: String) async throws {
    let server = try await start(flavor)
    try await box.sluice("--no-clobber", server.dav("/x"), input: bytes).success()
    try await box.sluice("--no-clobber", server.dav("/x"), input: .endless).failure(73, "exists")
    try await box.sluice("--no-clobber", "--no-preflight", server.dav("/x"), input: [1]).failure(73, "exists")
    try await box.sluice("--no-clobber", "-o", "direct", "--no-preflight", server.dav("/x"), input: [1]).failure(73, "exists")
    try expectSame(contents(server.alistFile("/x")), bytes)
    #expect(names(in: server.alistFile("")) == ["x"])
  }

  @Test("an object or a folder that comes while the object is sent stays", arguments: flavors, [true, false])
  func lateComer(flavor: String, isFolder: Bool) async throws {
    let server = try await start(flavor)
    let options = ["--limit-rate", "2M", "--retries", "0"] + (isFolder ? [] : ["--no-clobber"])
    let run = try box.start(box.client(options + [server.dav("/x")], input: .bytes(large)))
    try await eventually("the upload has begun") { !names(in: server.alistFile("")).isEmpty }
    let place = server.alistFile(isFolder ? "/x/inside" : "/x")
    try write(bytes, to: place)
    try await run.finish().failure(73, isFolder ? "rejected" : "exists")
    try expectSame(contents(place), bytes)
    #expect(names(in: server.alistFile("")) == ["x"])
  }

  @Test("a put onto a folder is refused, and the folder stays whole", arguments: flavors)
  func ontoFolder(flavor: String) async throws {
    let server = try await start(flavor)
    try write(bytes, to: server.alistFile("/folder/inside"))
    for options in [[], ["-o", "direct"]] {
      let run = try await box.start(box.client(options + [server.dav("/folder")], input: .endless)).finish()
      try run.failure(73, "rejected")
      #expect(run.errorText.contains("is a directory"), "\(run.summary)")
      let blind = box.client(options + ["--no-preflight", server.dav("/folder")], input: .bytes([1]))
      try await box.start(blind).finish().failure(73, "rejected")
    }
    try expectSame(contents(server.alistFile("/folder/inside")), bytes)
    #expect(names(in: server.alistFile("")) == ["folder"])
    #expect(try server.log().allSatisfy { $0["method"].text == "PROPFIND" })
  }

  @Test("nothing is put below a file", arguments: flavors, ["/file/x", "/file/a/x"])
  func belowFile(flavor: String, path: String) async throws {
    let server = try await start(flavor)
    try write(bytes, to: server.alistFile("/file"))
    for arguments in [[server.dav(path)], ["--no-preflight", server.dav(path)]] {
      let run = try await box.start(box.client(arguments, input: .bytes([1]))).finish()
      try run.failure(73, "rejected")
      #expect(run.errorText.contains("/file on"), "\(run.summary)")
    }
    try expectSame(contents(server.alistFile("/file")), bytes)
  }

  @Test("an upload that is cut leaves what was there and nothing else, and is sent again", arguments: flavors)
  func cut(flavor: String) async throws {
    let server = try await start(flavor, "--on", "/dav/dir/.x", "--cut-after", "\(Self.cut)", "--times", "1")
    try write(bytes, to: server.alistFile("/dir/x"))
    // A password in a URL is not kept with what is held.
    try write(Array("machine 127.0.0.1 login admin password \(Loopback.password)".utf8), to: "\(box.home)/.netrc", mode: 0o600)
    let run = try await box.sluice("--retries", "0", server.dav("/dir/x", as: "admin"), input: large)
    let held = try #require(try run.failure(69, "unreachable")["held"].text)
    try expectSame(contents(server.alistFile("/dir/x")), bytes)
    try await eventually("nothing else is left") { names(in: server.alistFile("/dir")) == ["x"] }
    try await box.sluice("held", "push", held).success()
    try expectSame(contents(server.alistFile("/dir/x")), large)
    #expect(names(in: server.alistFile("/dir")) == ["x"])
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a cut is mended by a retry of the same run", arguments: flavors)
  func cutAndRetry(flavor: String) async throws {
    let server = try await start(flavor, "--on", "/dav/dir/.x", "--cut-after", "\(Self.cut)", "--times", "1")
    #expect(try await box.sluice(server.dav("/dir/x"), input: large).success()["attempts"].int == 2)
    try expectSame(contents(server.alistFile("/dir/x")), large)
    #expect(names(in: server.alistFile("/dir")) == ["x"])
  }

  @Test("an object that the server has in part only is not given its name", arguments: flavors)
  func truncated(flavor: String) async throws {
    let server = try await start(flavor, "--on", "/dav/.x", "--truncate-stored", "100", "--times", "1")
    try write(bytes, to: server.alistFile("/x"))
    try await box.sluice("--retries", "0", server.dav("/x"), input: large).failure(69, "server")
    try expectSame(contents(server.alistFile("/x")), bytes)
    #expect(names(in: server.alistFile("")) == ["x"])
  }

  @Test("an upload that is interrupted leaves what was there and nothing else", arguments: flavors)
  func interrupted(flavor: String) async throws {
    let server = try await start(flavor)
    try write(bytes, to: server.alistFile("/dir/x"))
    let run = try box.start(box.client(["--limit-rate", "1M", server.dav("/dir/x")], input: .bytes(large)))
    try await eventually("the upload has begun") { names(in: server.alistFile("/dir")).count == 2 }
    run.signal(SIGINT)
    try await run.finish().failure(130, "interrupted")
    try expectSame(contents(server.alistFile("/dir/x")), bytes)
    try await eventually("nothing else is left") { names(in: server.alistFile("/dir")) == ["x"] }
  }

  @Test("wrong credentials end the run before the input is read", arguments: flavors)
  func credentials(flavor: String) async throws {
    let server = try await start(flavor)
    for user in ["admin:wrong-secret", ""] {
      let run = try await box.sluice(server.dav("/x", as: user), input: .endless)
      #expect(try run.failure(77, "auth")["http_status"].int == 401)
      try await box.sluice("check", server.dav("/x", as: user)).failure(77, "auth")
      #expect(!(run.outputText + run.errorText).contains("wrong-secret"))
    }
    #expect(names(in: server.alistFile("")).isEmpty)
    let token = try box.file("token", Loopback.token, mode: 0o600)
    try await box.sluice("--token-file", token, server.dav("/x", as: ""), input: bytes).success()
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("without the right to read by WebDAV the run ends before the input is read", arguments: flavors)
  func noReading(flavor: String) async throws {
    let server = try await start(flavor, permission: [3, 4, 7, 9])
    #expect(try await box.sluice(server.dav("/x"), input: .endless).failure(77, "auth")["http_status"].int == 403)
    try await box.sluice("check", server.dav("/x")).failure(77, "auth")
  }

  @Test(
    "without the right to write by WebDAV, as a fresh OpenList's admin, or to upload, nothing is stored",
    arguments: [[3, 4, 7, 8], [4, 7, 8, 9]])
  func noWriting(permission: [Int]) async throws {
    for flavor in Self.flavors {
      let server = try await start(flavor, permission: permission)
      try write(bytes, to: server.alistFile("/x"))
      let run = try await box.sluice(server.dav("/x"), input: large)
      #expect(try run.failure(77, "auth")["http_status"].int == 403)
      #expect(run.errorText.contains("WebDAV"), "\(run.summary)")
      try await box.sluice("mkdir", server.dav("/d")).failure(77, "auth")
      try expectSame(contents(server.alistFile("/x")), bytes)
      #expect(names(in: server.alistFile("")) == ["x"])
    }
  }

  @Test("without the right to rename the object goes straight to its name, with a warning, and nothing is left", arguments: flavors)
  func noRenaming(flavor: String) async throws {
    let server = try await start(flavor, permission: [3, 7, 8, 9])
    let run = try await box.sluice("--verify", server.dav("/x"), input: bytes)
    try run.success()
    #expect(run.errorText.contains("-o direct"), "\(run.summary)")
    try expectSame(contents(server.alistFile("/x")), bytes)
    #expect(names(in: server.alistFile("")) == ["x"])
  }

  @Test("mkdir makes what is missing, and is content with what is there", arguments: flavors)
  func mkdir(flavor: String) async throws {
    let server = try await start(flavor)
    #expect(try await box.sluice("mkdir", server.dav("/a b/%/ü")).success()["http_status"].int == 201)
    #expect(names(in: server.alistFile("/a b/%")) == ["ü"])
    for path in ["/a b/%/ü", "/a b/%/ü/", "/a b", "/"] { try await box.sluice("mkdir", server.dav(path)).success() }
    try write(bytes, to: server.alistFile("/file"))
    for path in ["/file", "/file/x", "/file/a/x"] {
      let run = try await box.sluice("mkdir", server.dav(path))
      try run.failure(73, "rejected")
      #expect(run.errorText.contains("is a file"), "\(run.summary)")
    }
  }

  @Test("check says whether a put may succeed, and leaves nothing behind", arguments: flavors)
  func check(flavor: String) async throws {
    let server = try await start(flavor)
    try write(bytes, to: server.alistFile("/x"))
    try await box.sluice("check", server.dav("/x")).success()
    try await box.sluice("check", server.dav("/no/such/folder/x")).success()
    try await box.sluice("check", "--no-clobber", server.dav("/x")).failure(73, "exists")
    #expect(names(in: server.alistFile("")) == ["x"])
  }

  @Test(
    "a server that is still loading its storages is tried again, whichever call meets that, and never believed",
    arguments: ["/dav", "/dav/d/.x"],
    [[], ["-o", "direct"]])
  func loading(call: String, options: [String]) async throws {
    let server = try await start(
      "alist", "--on", call, "--code", "500", "--message", "Loading storage, please wait", "--times", "2")
    let run = try await box.start(box.client(options + [server.dav("/d/x")], input: .bytes(bytes))).finish()
    try run.success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    let plain = try await start("alist", "--on", "/dav", "--code", "500", "--message", "Loading storage, please wait")
    try await box.sluice(plain.dav("/d/x"), "--retries", "0", input: bytes).failure(69, "server")
  }

  @Test("plain HTTP does not take the words of a server that is still loading for a success either")
  func loadingPlain() async throws {
    let server = try await start("alist", "--on", "/dav", "--code", "500", "--message", "Loading storage, please wait", "--times", "2")
    let target = server.dav("/x").replacing("dav+http", with: "http")
    try await box.sluice(target, input: bytes).success()
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("the time goes along in seconds", arguments: flavors)
  func time(flavor: String) async throws {
    let server = try await start(flavor)
    try await box.sluice("--mtime", "1111111111999", server.dav("/x"), input: bytes).success()
    #expect(try modified(server.alistFile("/x")) == 1_111_111_111)
  }

  /// A server whose user has these bits, by default those that WebDAV needs.
  private func start(_ flavor: String, permission: [Int] = [3, 4, 7, 8, 9], _ options: String...) async throws -> Loopback {
    try await box.loopback(["--flavor", flavor, "--permission", "\(permission.reduce(0) { $0 | 1 << $1 })"] + options)
  }
}

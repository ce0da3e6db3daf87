import Foundation
import Support
import Synchronization
import Testing

/// WebDAV servers and rules before them that let less through than WebDAV has.
@Suite(.sandboxed)
struct WebDAVVarietyTests {
  private let box = Sandbox.here
  private let old = Array("yesterday's\n".utf8)
  private let bytes = Array("some object\n".utf8)

  @Test(
    "a rule against names with a dot at their start costs nothing: the object goes by a temporary name without one",
    .enabled(if: DAVServer.installed.contains(.nginx), "nginx is not installed"), arguments: ["403", "404"])
  func dottedNames(status: String) async throws {
    let server = try await DAVServer.nginx.start("--dotted", status)
    var generator = SeededGenerator(11)
    for bytes in [bytes, generator.bytes(3_000_000)] {
      try await box.sluice("check", server.dav("/d/x")).success()
      let run = try await box.sluice("--verify", server.dav("/d/x"), input: bytes)
      #expect(try run.success()["attempts"].int == 1)
      #expect(!run.errorText.contains("warning"), "\(run.summary)")
      try expectSame(contents(server.file("/d/x")), bytes)
      #expect(names(in: server.file("/d")) == ["x"])
    }
    // What was there stays until the whole new one is.
    let run = try box.start(
      box.client(["--limit-rate", "1M", "--retries", "0", server.dav("/d/x")], input: .bytes([UInt8](repeating: 1, count: 4_000_000))))
    try await eventually("the upload has begun") { !names(in: server.temporary + "/body").isEmpty }
    run.signal(SIGINT)
    try await run.finish().failure(130, "interrupted")
    #expect(try contents(server.file("/d/x")).count == 3_000_000)
    #expect(names(in: server.file("/d")) == ["x"])
    let refused = try await box.sluice(server.dav("/.x"), input: bytes)
    #expect(try refused.failure(status == "403" ? 77 : 73, status == "403" ? "auth" : "rejected")["http_status"].int == Int(status))
    #expect(!refused.errorText.contains("OpenList"), "\(refused.summary)")
  }

  @Test(
    "after one refusal the names of a run begin without a dot", .enabled(if: DAVServer.installed.contains(.nginx), "nginx is not installed")
  )
  func dottedOnce() async throws {
    let server = try await DAVServer.nginx.start("--dotted", "403")
    let result = try await box.sluice("--part-size", "10", server.dav("/x"), input: [UInt8](repeating: 7, count: 95)).success()
    #expect(result["parts"].int == 10)
    let lines = try await eventually("the log has all") {
      let lines = String(decoding: try contents(server.log), as: UTF8.self).split(separator: "\n").filter { $0.contains("\"PUT ") }
      return lines.count >= 11 ? lines : nil
    }
    #expect(lines.filter { $0.contains("\"PUT /.") }.count < 6, "\(lines)")
  }

  @Test(
    "where no temporary name is let through, the object goes straight to its own, with a warning",
    arguments: ["403 Forbidden", "404 Not Found"])
  func plainNamesAlone(status: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "PUT", exchange.request.target.contains("sluice") else { return false }
      exchange.answer("", status: status)
      return true
    }
    server.objects["/x"] = old
    let run = try await box.sluice("--verify", "dav+http://\(server.authority)/x", input: bytes)
    #expect(try run.success()["attempts"].int == 1)
    #expect(run.errorText.contains("warning") && run.errorText.contains("-o direct"), "\(run.summary)")
    #expect(server.objects == ["/x": bytes])
  }

  @Test("a quota that is told of as a missing permission leads to no upload that destroys what was there either")
  func quota() async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "PUT", exchange.request.header("Content-Length").flatMap({ Int($0) }) ?? 0 > 0 else { return false }
      server.objects[exchange.request.target] = exchange.readBody(3)
      exchange.answer("", status: "403 Forbidden")
      return true
    }
    server.objects["/x"] = old
    try await box.sluice("dav+http://\(server.authority)/x", input: bytes).failure(77, "auth")
    #expect(server.objects == ["/x": old])
  }

  @Test("a refusal that may mean a full disk leads to no upload that destroys what was there")
  func fullDisk() async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "PUT" else { return false }
      exchange.readBody()
      server.objects[exchange.request.target] = []
      exchange.answer("", status: "405 Method Not Allowed")
      return true
    }
    server.objects["/x"] = old
    try await box.sluice("--retries", "0", "dav+http://\(server.authority)/x", input: bytes).failure(73, "rejected")
    #expect(server.objects == ["/x": old])
  }

  @Test("who may not write at all is told so, and of other servers' permissions only where it may be one", arguments: ["/x", "/dav/x"])
  func noWriting(path: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "PUT" else { return false }
      exchange.answer("", status: "403 Forbidden")
      return true
    }
    server.objects["/dav/"] = []
    let run = try await box.sluice("dav+http://\(server.authority)\(path)", input: bytes)
    #expect(try run.failure(77, "auth")["http_status"].int == 403)
    #expect(run.errorText.contains("OpenList") == (path == "/dav/x"), "\(run.summary)")
    #expect(server.objects.keys.sorted() == ["/dav/"])
  }

  @Test(
    "-o direct needs PUT alone; without it a server that does not tell what is there is refused at once",
    arguments: ["405 Method Not Allowed", "403 Forbidden"])
  func dropBox(status: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method != "PUT" else { return false }
      exchange.answer("", status: status)
      return true
    }
    let url = "dav+http://\(server.authority)/in/x"
    let kind = status.hasPrefix("403") ? (77, "auth") as (Int32, String) : (76, "protocol")
    for arguments in [[url], ["check", url], ["--no-preflight", url]] {
      let run = try await box.start(box.client(arguments, input: arguments.count == 1 ? .endless : .bytes(bytes))).finish()
      try run.failure(kind.0, kind.1)
      #expect(run.errorText.contains("-o direct"), "\(run.summary)")
    }
    #expect(server.objects.isEmpty)
    for options in [[], ["--no-preflight"], ["--no-clobber"]] {
      let run = try await box.start(box.client(options + ["-o", "direct", url], input: .bytes(bytes))).finish()
      try run.success()
      #expect(server.objects == ["/in/x": bytes])
    }
    try await box.sluice("check", "-o", "direct", url).success()
    // Nobody can say that the object is there.
    let run = try await box.sluice("-o", "direct", "--verify", url, input: bytes)
    #expect(run.exit != 0 && run.errorText.contains("verif"), "\(run.summary)")
  }

  @Test("a directory that takes the place of the object that is to be replaced stays")
  func lateDirectory() async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      if exchange.request.method == "PUT" {
        server.objects["/x"] = nil
        server.objects["/x/"] = []
        server.objects["/x/inside"] = []
      }
      return false
    }
    server.objects["/x"] = old
    let run = try await box.sluice("dav+http://\(server.authority)/x", input: bytes)
    try run.failure(73, "rejected")
    #expect(run.errorText.contains("is a directory"), "\(run.summary)")
    #expect(server.objects.keys.sorted() == ["/x/", "/x/inside"])
  }

  @Test("who may put and rename, but not remove, is told of the rest of an attempt that was cut, and the next one goes on")
  func noRemoving() async throws {
    let isCut = Mutex(false)
    let server = try ScriptedDAV(in: box) { exchange, server in
      switch exchange.request.method {
      case "DELETE": exchange.answer("", status: "403 Forbidden")
      case "PUT" where !isCut.withLock({ $0 }):
        isCut.withLock { $0 = true }
        server.objects[exchange.request.target] = exchange.readBody(3)
        exchange.reset()
      default: return false
      }
      return true
    }
    let run = try await box.sluice("dav+http://\(server.authority)/x", input: bytes)
    #expect(try run.success()["attempts"].int == 2)
    let left = try #require(server.objects.keys.first { $0 != "/x" })
    #expect(run.errorText.contains("warning") && run.errorText.contains(left), "\(run.summary)")
    #expect(server.objects["/x"] == bytes)
  }

  @Test(
    "a gateway's failure at MOVE is none of the server's: the whole object waits for its name",
    arguments: ["502 Bad Gateway", "400 Bad Request"])
  func gatewayAtMove(status: String) async throws {
    let isDown = Mutex(true)
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "MOVE", isDown.withLock({ $0 }) else { return false }
      exchange.answer("", status: status)
      return true
    }
    server.objects["/x"] = old
    let run = try await box.sluice("--retries", "1", "dav+http://\(server.authority)/x", input: bytes)
    let result = try run.failure(status.hasPrefix("502") ? 69 : 73, status.hasPrefix("502") ? "server" : "rejected")
    #expect(result["http_status"].int == Int(status.prefix(3)))
    #expect(run.errorText.contains("-o direct"), "\(run.summary)")
    #expect(server.objects["/x"] == old)
    #expect(server.requests.allSatisfy { $0.method != "PUT" || $0.target != "/x" })
    #expect(server.methods.filter { $0 == "PUT" }.count == 1)
    isDown.withLock { $0 = false }
    try await box.sluice("held", "push", try #require(result["held"].text)).success()
    #expect(server.objects == ["/x": bytes])
  }

  @Test("a refusal for the size names a size of parts below it", arguments: ["http", "dav+http"])
  func tooLarge(scheme: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "PUT" else { return false }
      exchange.answer("", status: "413 Content Too Large")
      return true
    }
    let url = "\(scheme)://\(server.authority)/x"
    for (size, hint) in [(5_000_000, "--part-size 2M"), (300, "--part-size 100")] {
      let run = try await box.sluice(url, input: [UInt8](repeating: 1, count: size))
      #expect(try run.failure(73, "rejected")["http_status"].int == 413)
      #expect(run.errorText.contains(hint), "\(run.summary)")
    }
  }

  @Test(
    "what a killed run left is removed by the next one, and nothing else is", arguments: DAVServer.installed, [true, false])
  func killed(kind: DAVServer, isFile: Bool) async throws {
    let server = try await kind.start()
    try write(old, to: server.file("/d/x"))
    let others = [".x.sluice-aaaaaaaa", ".y.sluice-bbbbbbbb", "x.sluice-cccccccc"]
    for name in others { try write(old, to: server.file("/d/\(name)")) }
    if getuid() == 0 { _ = try await box.shell("chmod -R a+rwX '\(server.data)'") }
    let input = try box.file("in", [UInt8](repeating: 7, count: 3_000_000))
    let run = try box.start(
      box.client(
        ["--limit-rate", "300k"] + (isFile ? ["--input", input] : []) + [server.dav("/d/x")],
        input: isFile ? .nothing : .bytes(try contents(input))))
    try await eventually("the upload has begun") {
      names(in: server.file("/d")).count > 4 || !names(in: server.temporary + "/body").isEmpty
    }
    run.signal(SIGKILL)
    _ = await run.finish()
    try expectSame(contents(server.file("/d/x")), old)
    try await box.sluice(server.dav("/d/x"), input: bytes).success()
    try expectSame(contents(server.file("/d/x")), bytes)
    #expect(names(in: server.file("/d")).filter { !$0.hasPrefix(".davfs") } == (others + ["x"]).sorted())
  }

  @Test(
    "a small upload with its preflight, rename and --verify takes at most six requests and seven round trips", arguments: ["", "admin"])
  func roundTrips(user: String) async throws {
    let server: (port: Int, folder: String)
    if user.isEmpty {
      let scripted = try ScriptedDAV(in: box)
      scripted.objects["/dav/"] = []
      server = (try #require(scripted.authority.split(separator: ":").last.flatMap { Int($0) }), "/dav")
    } else {
      server = (try await box.loopback("--permission", "65535").port, "/dav")
    }
    for _ in 1...2 {
      let counted = try box.roundTrips(to: server.port)
      let login = user.isEmpty ? "" : "\(user):\(Loopback.password)@"
      try await box.sluice("--verify", "dav+http://\(login)\(counted.authority)\(server.folder)/x", input: bytes).success()
      // Without TLS a server that wants a password is asked first whether it takes Digest.
      #expect(counted.requests.count <= (user.isEmpty ? 6 : 7), "\(counted.requests)")
      #expect(counted.rounds <= 7, "\(counted.requests)")
    }
  }
}

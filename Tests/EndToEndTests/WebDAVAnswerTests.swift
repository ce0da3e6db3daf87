import Foundation
import Support
import Synchronization
import Testing

/// WebDAV servers that can do less, or say what the real ones seldom say.
@Suite(.sandboxed)
struct WebDAVAnswerTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test(
    "a server that does not rename gets the object straight under its name, with a warning",
    arguments: ["405 Method Not Allowed", "501 Not Implemented", "403 Forbidden"])
  func noMove(status: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "MOVE" else { return false }
      exchange.answer("", status: status)
      return true
    }
    let run = try await box.sluice("dav+http://\(server.authority)/x", input: bytes)
    #expect(try run.success()["attempts"].int == 1)
    #expect(run.errorText.contains("warning") && run.errorText.contains("-o direct"))
    #expect(server.objects == ["/x": bytes])
    let direct = try await box.sluice("-o", "direct", "dav+http://\(server.authority)/x", input: [1])
    try direct.success()
    #expect(direct.errorText.isEmpty)
    #expect(server.objects == ["/x": [1]])
    #expect(server.methods.filter { $0 == "MOVE" }.count == 1)
  }

  @Test(
    "a server behind a proxy that takes its own address for a foreign one is told the path alone",
    arguments: ["502 Bad Gateway", "400 Bad Request"])
  func foreignDestination(status: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "MOVE", exchange.request.header("Destination")?.hasPrefix("http") == true else { return false }
      exchange.answer("", status: status)
      return true
    }
    let run = try await box.sluice("dav+http://\(server.authority)/a%20b", input: bytes)
    try run.success()
    #expect(run.errorText.isEmpty)
    #expect(server.objects == ["/a%20b": bytes])
  }

  @Test("when the MOVE alone failed, the object is not sent again", arguments: ["503 Service Unavailable", "423 Locked"])
  func moveAgain(status: String) async throws {
    let failures = Mutex(2)
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "MOVE" else { return false }
      let fails = failures.withLock { left in
        left -= 1
        return left >= 0
      }
      if fails { exchange.answer("", status: status) }
      return fails
    }
    #expect(try await box.sluice("dav+http://\(server.authority)/x", input: bytes).success()["attempts"].int == 3)
    #expect(server.objects == ["/x": bytes])
    #expect(server.methods.filter { $0 == "PUT" }.count == 1)
  }

  @Test("a MOVE whose answer is lost counts when the object is there, new or in place of one as long", arguments: [true, false])
  func lostAnswer(isNew: Bool) async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "MOVE" else { return false }
      server.objects = ["/x": server.objects[exchange.request.target] ?? []]
      exchange.close()
      return true
    }
    if !isNew { server.objects["/x"] = bytes.reversed() }
    #expect(try await box.sluice("--retries", "0", "dav+http://\(server.authority)/x", input: bytes).success()["attempts"].int == 1)
    #expect(server.objects == ["/x": bytes])
    #expect(server.methods.filter { $0 == "PUT" || $0 == "MOVE" } == ["PUT", "MOVE"])
  }

  @Test("an upload that got lost on its way to its name is sent again, although what it replaces is as long", arguments: [true, false])
  func lostUpload(knowsPropfind: Bool) async throws {
    let isFirst = Mutex(true)
    let server = try ScriptedDAV(in: box) { exchange, server in
      if exchange.request.method == "PROPFIND", !knowsPropfind {
        exchange.answer("", status: "405 Method Not Allowed")
        return true
      }
      guard exchange.request.method == "MOVE", isFirst.withLock({ $0 }) else { return false }
      isFirst.withLock { $0 = false }
      server.objects[exchange.request.target] = nil
      exchange.close()
      return true
    }
    server.objects["/x"] = bytes.reversed()
    try await box.sluice("dav+http://\(server.authority)/x", input: bytes).success()
    #expect(server.objects == ["/x": bytes])
    #expect(server.methods.filter { $0 == "PUT" }.count == 2)
  }

  @Test("a MOVE that is interrupted leaves the upload, which the next run gives its name in place of one as long")
  func interruptedMove() async throws {
    let isMoving = Mutex(false)
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "MOVE", !isMoving.withLock({ $0 }) else { return false }
      isMoving.withLock { $0 = true }
      exchange.awaitClose()
      return true
    }
    server.objects["/x"] = bytes.reversed()
    let run = try box.start(box.client(["dav+http://\(server.authority)/x"], input: .bytes(bytes)))
    try await eventually("the MOVE has come") { isMoving.withLock { $0 } }
    run.signal(SIGINT)
    let held = try #require(try await run.finish().failure(130, "interrupted")["held"].text)
    #expect(server.objects.count == 2)
    try await box.sluice("held", "push", held).success()
    #expect(server.objects == ["/x": bytes])
    #expect(server.methods.filter { $0 == "PUT" }.count == 1)
  }

  @Test("without TLS the password waits for the server's question, and the object for both", arguments: ["Basic", "Digest", "NTLM"])
  func challenge(scheme: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.header("Authorization")?.hasPrefix("\(scheme) ") != true else { return false }
      exchange.answer("", status: "401 Unauthorized", headers: ["WWW-Authenticate: \(scheme) realm=\"r\", nonce=\"n\", qop=\"auth\""])
      return true
    }
    for options in [[], ["--no-preflight"]] {
      for kind in ["dav+http", "http"] {
        let run = try await box.start(box.client(options + ["\(kind)://me:secret@\(server.authority)/x"], input: .bytes(bytes))).finish()
        if scheme == "NTLM" { try run.failure(77, "auth") } else { try run.success() }
      }
    }
    let sent = server.requests.compactMap { $0.header("Authorization") }
    #expect(sent.allSatisfy { $0.hasPrefix("\(scheme) ") }, "\(sent)")
    #expect(server.methods.filter { $0 == "PUT" }.count == (scheme == "NTLM" ? 0 : 4))
  }

  @Test("an upload that the server has not whole, although it says so, is an error, and nothing of it is left", arguments: [true, false])
  func wrongSize(isThere: Bool) async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "PUT" else { return false }
      let body = exchange.readBody()
      if isThere { server.objects[exchange.request.target] = Array(body.dropLast()) }
      exchange.answer("", status: "201 Created")
      return true
    }
    server.objects["/x"] = Array("old".utf8)
    let run = try await box.sluice("--retries", "0", "dav+http://\(server.authority)/x", input: bytes)
    try run.failure(69, "server")
    #expect(server.objects == ["/x": Array("old".utf8)])
    #expect(server.methods.last == "DELETE")
  }

  @Test("what could not be removed is named, and removed by the next run")
  func leftover() async throws {
    let isDown = Mutex(true)
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard isDown.withLock({ $0 }), ["MOVE", "DELETE"].contains(exchange.request.method) else { return false }
      exchange.answer("", status: exchange.request.method == "MOVE" ? "412 Precondition Failed" : "500 Internal Server Error")
      return true
    }
    let run = try await box.sluice("dav+http://\(server.authority)/x", input: bytes)
    let held = try #require(try run.failure(73, "rejected")["held"].text)
    let left = try #require(server.objects.keys.first)
    #expect(run.errorText.contains("is at \(left)"))
    isDown.withLock { $0 = false }
    try await box.sluice("held", "push", held).success()
    #expect(server.objects == ["/x": bytes])
  }

  @Test("without PROPFIND the server is asked with HEAD")
  func noPropfind() async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "PROPFIND" else { return false }
      exchange.answer("", status: "405 Method Not Allowed")
      return true
    }
    let url = "dav+http://\(server.authority)"
    #expect(try await box.sluice("--verify", "\(url)/dir/x", input: bytes).success()["verified"].text == "size")
    #expect(server.objects == ["/dir/": [], "/dir/x": bytes])
    try await box.sluice("--no-clobber", "\(url)/dir/x", input: .endless).failure(73, "exists")
    try await box.sluice("\(url)/dir", input: .endless).failure(73, "rejected")
    try await box.sluice("mkdir", "\(url)/dir").success()
  }

  @Test("the time and, for an ownCloud or Nextcloud, the hash go with the object; both are compared afterwards")
  func attributes() async throws {
    let (path, hash) = ("/remote.php/dav/files/me/x", "da39a3ee5e6b4b0d3255bfef95601890afd80709")
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "PROPFIND", exchange.request.target == path, server.objects[path] != nil else { return false }
      exchange.answer(
        """
        <d:multistatus xmlns:d="DAV:"><d:response><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>0</d:getcontentlength>
        <o:checksums xmlns:o="http://owncloud.org/ns"><o:checksum>SHA1:\(hash)</o:checksum></o:checksums></d:prop>
        <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>
        """, status: "207 Multi-Status")
      return true
    }
    server.objects["/remote.php/dav/files/me/"] = []
    let url = "dav+http://\(server.authority)"
    let run = try await box.sluice(
      "--min-size", "0", "--verify", "--mtime", "1700000000999", "--content-type", "image/png", url + path, input: .nothing)
    #expect(try run.success()["verified"].text == "size+hash")
    let put = try #require(server.requests.first { $0.method == "PUT" })
    #expect(put.header("X-OC-Mtime") == "1700000000")
    #expect(put.header("OC-Checksum") == "SHA1:\(hash)")
    #expect(put.header("Content-Type") == "image/png")
    try await box.sluice("\(url)/other", input: bytes).success()
    let other = try #require(server.requests.last { $0.method == "PUT" })
    #expect(other.header("OC-Checksum") == nil && other.header("X-OC-Mtime") == nil)
  }

  @Test(
    "refusals are told apart in plain words",
    arguments: [
      ("411 Length Required", 73, "rejected", "Content-Length"), ("413 Content Too Large", 73, "rejected", "too large"),
      ("423 Locked", 73, "rejected", "locked"), ("507 Insufficient Storage", 73, "rejected", "is full"),
      ("409 Conflict", 73, "rejected", "directory"), ("404 Not Found", 73, "rejected", "directory"),
      ("405 Method Not Allowed", 73, "rejected", "full"), ("500 Internal Server Error", 69, "server", "full"),
      ("403 Forbidden", 77, "auth", "permission"), ("502 Bad Gateway", 69, "server", "502"),
    ] as [(String, Int32, String, String)])
  func refusals(status: String, exit: Int32, kind: String, word: String) async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "PUT" else { return false }
      exchange.answer("", status: status)
      return true
    }
    let run = try await box.sluice("--retries", "0", "dav+http://\(server.authority)/x", input: bytes)
    let result = try run.failure(exit, kind)
    #expect(run.errorText.contains(word), "\(run.summary)")
    #expect(result["error"]["retryable"] == .bool(["423", "500", "502"].contains(status.prefix(3))))
    #expect(!run.errorText.contains("sluice-"), "\(run.summary)")
  }

  @Test("what is no WebDAV is said to be none", arguments: ["200 OK", "207 Multi-Status"])
  func noWebDAV(status: String) async throws {
    let server = try box.scripted { $0.answer("<html><p>Welcome</html>", status: status, type: "text/html") }
    try await box.sluice("dav+http://\(server.authority)/x", input: .endless).failure(76, "protocol")
  }

  @Test("dav:// is the same as dav+http://")
  func schemes() async throws {
    let server = try ScriptedDAV(in: box)
    try await box.sluice("dav://\(server.authority)/x", input: bytes).success()
    #expect(server.objects == ["/x": bytes])
  }

  @Test("a token goes as Bearer")
  func token() async throws {
    let server = try ScriptedDAV(in: box)
    let token = try box.file("token", "tok-en", mode: 0o600)
    try await box.sluice("--token-file", token, "dav+http://\(server.authority)/x", input: bytes).success()
    #expect(server.requests.allSatisfy { $0.header("Authorization") == "Bearer tok-en" })
  }

  @Test("paths that name no object are usage errors", arguments: ["/", "", "/dir/", "/a/../b", "/./a"])
  func paths(path: String) async throws {
    try await box.sluice("dav+http://127.0.0.1:1\(path)", input: .endless).usage()
  }
}

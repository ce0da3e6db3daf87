import Foundation
import Support
import Synchronization
import Testing

/// What S3 servers do that they should not, and what becomes of an upload then.
@Suite(.sandboxed)
struct S3FaultTests {
  private let box = Sandbox.here
  private let options = ["-o", "part-size=5M", "--no-preflight"]

  /// Ten parts, the last of them smaller.
  private func parts(_ count: Int = 10) -> [UInt8] {
    var generator = SeededGenerator(7)
    let block = generator.bytes(1 << 20)
    return (0..<(5 * count - 1)).flatMap { [UInt8(truncatingIfNeeded: $0)] + block.dropFirst() }
  }

  private func run(_ server: ScriptedS3, _ arguments: [String], input: Program.Input) async throws -> Finished {
    try await box.start(box.client(options + arguments, input: input, environment: server.environment)).finish()
  }

  @Test("after a connection that is cut near the end, one part is sent again and no more")
  func cut() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .part(9), call.before == 0 else { return false }
      exchange.readBody(2_000_000)
      exchange.reset()
      return true
    }
    let result = try await run(server, ["s3://b/k"], input: .bytes(parts())).success()
    #expect(result["attempts"].int == 2)
    #expect(result["http_status"].int == 200)
    #expect(result["response"]["etag"].text?.hasSuffix("-10") == true)
    #expect(server.sent == Dictionary(uniqueKeysWithValues: (1...10).map { ($0, $0 == 9 ? 2 : 1) }))
    #expect(server.size(of: "/b/k") == 49 << 20)
    #expect(server.unfinished == 0)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a server that asks to slow down is asked again", arguments: [1, 20 << 20])
  func slowDown(size: Int) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .put || call.operation == .part(2), call.before == 0 else { return false }
      exchange.readBody()
      exchange.refuse("503 Slow Down", "SlowDown")
      return true
    }
    let result = try await run(server, ["--verify", "s3://b/k"], input: .bytes([UInt8](repeating: 3, count: size))).success()
    #expect(result["attempts"].int == 2)
    #expect(result["verified"].text == "size+hash")
    #expect(server.size(of: "/b/k") == size)
  }

  @Test("an error in an answer of status 200 to the last call is one; the parts stay")
  func errorInSuccess() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .complete, call.before == 0 else { return false }
      exchange.refuse("200 OK", "InternalError")
      return true
    }
    let result = try await run(server, ["s3://b/k"], input: .bytes(parts(3))).success()
    #expect(result["attempts"].int == 2)
    #expect(server.count(of: .complete) == 2)
    #expect(server.sent == [1: 1, 2: 1, 3: 1])
  }

  @Test("an object whose answer was lost is found, and not sent again")
  func lostAnswer() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .complete, call.before == 0 else { return false }
      exchange.readBody()
      call.store()
      exchange.close()
      return true
    }
    try await run(server, ["s3://b/k"], input: .bytes(parts(3))).success()
    #expect(server.sent == [1: 1, 2: 1, 3: 1])
    #expect(server.count(of: .complete) == 1)
    #expect(server.size(of: "/b/k") == 14 << 20)
  }

  @Test("a tag that is not that of what was sent is a failure that may pass", arguments: [1, 12 << 20])
  func wrongTag(size: Int) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .put || call.operation == .part(1), call.before == 0 else { return false }
      exchange.answer("", headers: ["ETag: \"00000000000000000000000000000000\""])
      return true
    }
    let bytes = [UInt8](repeating: 3, count: size)
    let once = try await run(server, ["s3://b/k"], input: .bytes(bytes)).success()
    #expect(once["attempts"].int == 2)
    #expect(server.size(of: "/b/k") == size)
    let again = try ScriptedS3(box) { call, exchange in
      guard call.operation == .put || call.operation == .part(1) else { return false }
      exchange.answer("", headers: ["ETag: \"00000000000000000000000000000000\""])
      return true
    }
    let failed = try await run(again, ["--retries", "1", "s3://b/k"], input: .bytes(bytes))
    try failed.failure(69, "server")
    #expect(failed.errorText.contains("did not arrive as it was sent"))
  }

  @Test("held push sends the parts that are missing")
  func resume() async throws {
    let isBroken = Flag(true)
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .part(3), isBroken.isSet else { return false }
      exchange.readBody()
      exchange.refuse("500 Internal Server Error", "InternalError")
      return true
    }
    let bytes = parts(6)
    let failed = try await run(server, ["--retries", "0", "-o", "concurrency=1", "s3://b/k"], input: .bytes(bytes))
    let id = try #require(try failed.failure(69, "server")["held"].text)
    #expect(server.sent == [1: 1, 2: 1, 3: 1])
    #expect(server.count(of: .abort) == 0)
    isBroken.set(false)
    try await box.sluice("held", "push", id, environment: server.environment).success()
    #expect(server.sent == [1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 1])
    #expect(server.size(of: "/b/k") == bytes.count)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("held push begins anew where the server has forgotten the upload")
  func forgotten() async throws {
    let isBroken = Flag(true)
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .complete, isBroken.isSet else { return false }
      exchange.refuse("403 Forbidden", "ExpiredToken", "<Token-0>a-session-token</Token-0>")
      return true
    }
    var environment = server.environment
    environment["AWS_SESSION_TOKEN"] = "a-session-token"
    let failed = try await box.start(
      box.client(options + ["s3://b/k"], input: .bytes(parts(2)), environment: environment)
    ).finish()
    let result = try failed.failure(77, "auth")
    // What the server sends back of the request holds the token.
    #expect(!failed.outputText.contains("a-session-token") && !failed.errorText.contains("a-session-token"))
    #expect(server.requests.allSatisfy { $0.header("x-amz-security-token") == "a-session-token" })
    #expect(server.unfinished == 1)
    server.forget()
    isBroken.set(false)
    try await box.sluice("held", "push", try #require(result["held"].text), environment: server.environment).success()
    #expect(server.sent == [1: 2, 2: 2])
  }

  @Test("an upload that nobody will go on with is aborted", arguments: ["file", "no-hold", "refused", "interrupted"])
  func abort(why: String) async throws {
    let reached = Flag(false)
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .part(2) else { return false }
      if why == "interrupted" {
        reached.set(true)
        exchange.awaitClose()
      } else if why == "refused" {
        exchange.refuse("403 Forbidden", "QuotaExceeded")
      } else {
        exchange.refuse("503 Service Unavailable", "ServiceUnavailable")
      }
      return true
    }
    let file = try box.file("in", parts(3))
    let extra = ["file": ["--input", file], "interrupted": ["--input", file], "no-hold": ["--no-hold"], "refused": []][why]!
    let input: Program.Input = extra.contains("--input") ? .nothing : .file(file)
    let running = try box.start(
      box.client(options + ["--retries", "0", "s3://b/k"] + extra, input: input, environment: server.environment))
    if why == "interrupted" {
      try await eventually("the part is sent") { reached.isSet }
      running.signal(SIGTERM)
    }
    let run = await running.finish()
    #expect(run.exit == ["refused": 73, "interrupted": 143][why] ?? 69, "\(run.summary)")
    #expect(server.unfinished == 0)
    #expect(server.count(of: .abort) == 1)
    #expect(try (run.result()["held"].text != nil) == (why == "refused"))
  }

  @Test("a bucket of another region is found there")
  func region() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.request.header("Authorization")?.contains("/us-east-1/") == true else { return false }
      if call.operation == .head {
        exchange.send("HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-3\r\nContent-Length: 0\r\n\r\n")
      } else {
        exchange.refuse("400 Bad Request", "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>")
      }
      return true
    }
    for arguments in [[], ["--no-preflight"]] {
      try await box.start(box.client(arguments + ["s3://b/k"], input: .bytes([1]), environment: server.environment)).finish().success()
    }
    #expect(server.requests.last?.header("Authorization")?.contains("/eu-west-3/s3/aws4_request") == true)
    let stubborn = try ScriptedS3(box) { _, exchange in
      exchange.refuse("400 Bad Request", "AuthorizationHeaderMalformed", "<Region>eu-west-\(Int.random(in: 1...99))</Region>")
      return true
    }
    try await run(stubborn, ["s3://b/k"], input: .bytes([1])).failure(73, "rejected")
    #expect(stubborn.calls.count == 2)
  }

  @Test("headers that a server does not know are left out where an upload can do without", arguments: [1, 6 << 20])
  func unknownHeaders(size: Int) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.request.headers.contains(where: { $0.name.hasPrefix("x-amz-checksum") || $0.name == "If-None-Match" }) else {
        return false
      }
      exchange.refuse("501 Not Implemented", "NotImplemented")
      return true
    }
    let bytes = [UInt8](repeating: 3, count: size)
    let result = try await run(server, ["--no-clobber", "s3://b/k"], input: .bytes(bytes)).success()
    #expect(result["attempts"].int == 1)
    #expect(server.size(of: "/b/k") == size)
    try await run(server, ["--no-clobber", "s3://b/k"], input: .bytes(bytes)).failure(73, "exists")
  }

  @Test("the condition is kept where it is another header that a server does not know")
  func keptCondition() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .put else { return false }
      if call.request.header("x-amz-checksum-sha256") != nil {
        exchange.refuse("501 Not Implemented", "NotImplemented")
      } else {
        exchange.refuse("412 Precondition Failed", "PreconditionFailed")
      }
      return true
    }
    try await run(server, ["--no-hold", "--no-clobber", "s3://b/k"], input: .bytes([1])).failure(73, "exists")
    #expect(server.requests.last?.header("If-None-Match") == "*")
    #expect(server.count(of: .put) == 2)
  }

  @Test("headers that were left out in vain are sent again")
  func leftOutInVain() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .put, call.before < 3 else { return false }
      if call.before < 2 { exchange.refuse("501 Not Implemented", "NotImplemented") } else { exchange.refuse("503 Slow Down", "SlowDown") }
      return true
    }
    try await run(server, ["--no-clobber", "s3://b/k"], input: .bytes([1])).success()
    let puts = server.requests.filter { $0.method == "PUT" }
    #expect(puts.map { $0.header("If-None-Match") } == ["*", "*", nil, "*"])
    #expect(puts.map { $0.header("x-amz-checksum-sha256") != nil } == [true, false, false, true])
    let named = try ScriptedS3(box) { call, exchange in
      guard call.operation == .put else { return false }
      exchange.refuse("501 Not Implemented", "NotImplemented", "<Header>x-amz-acl</Header>")
      return true
    }
    try await run(named, ["--no-hold", "-o", "acl=private", "s3://b/k"], input: .bytes([1])).failure(73, "rejected")
    #expect(named.calls == [.put])
  }

  @Test("who may write but not look is no stranger; who may not write is found out before the input is read")
  func writeOnly() async throws {
    for mayWrite in [true, false] {
      let server = try ScriptedS3(box) { call, exchange in
        switch call.operation {
        case .head: exchange.send("HTTP/1.1 403 Forbidden\r\n\r\n")
        case .begin where !mayWrite: exchange.refuse("403 Forbidden", "AccessDenied")
        default: return false
        }
        if call.operation == .head { exchange.close() }
        return true
      }
      let run = try await box.start(
        box.client(["s3://b/k"], input: mayWrite ? .bytes([1]) : .endless, environment: server.environment)
      ).finish()
      if mayWrite { try run.success() } else { try run.failure(77, "auth") }
      #expect(server.unfinished == 0)
      #expect(server.size(of: "/b/k") == (mayWrite ? 1 : nil))
    }
  }

  @Test(
    "keys are sent as they are written",
    arguments: [
      ("a%20b", "/b/a%20b"), ("a/../b", "/b/a/../b"), ("./x", "/b/./x"), ("a//b", "/b/a//b"), ("/a", "/b//a"), ("+%25%3f", "/b/%2B%25%3F"),
      ("文", "/b/%E6%96%87"), ("a%2Fb", "/b/a/b"), ("~!*'()", "/b/~%21%2A%27%28%29"),
    ])
  func keys(key: String, target: String) async throws {
    let server = try ScriptedS3(box)
    try await run(server, ["s3://b/\(key)"], input: .bytes([1])).success()
    #expect(server.requests.last?.target == target)
  }

  @Test("the object carries what the options say")
  func headers() async throws {
    let server = try ScriptedS3(box)
    let extra = [
      "-o", "storage-class=GLACIER", "-o", "sse=AES256", "-o", "metadata=a=b,c=d e", "-o", "acl=private", "--content-type", "text/x",
      "--mtime", "1500",
    ]
    for (size, operation) in [(1, ScriptedS3.Operation.put), (6 << 20, .begin)] {
      try await run(server, extra + ["s3://b/k"], input: .bytes([UInt8](repeating: 1, count: size))).success()
      let index = try #require(server.calls.firstIndex(of: operation))
      let request = server.requests[index]
      let expected = [
        "x-amz-storage-class": "GLACIER", "x-amz-server-side-encryption": "AES256", "x-amz-meta-a": "b", "x-amz-meta-c": "d e",
        "x-amz-acl": "private", "Content-Type": "text/x", "x-amz-meta-mtime": "1.500",
      ]
      // The user's own time comes before the one that is known.
      let mine = try await run(server, ["-o", "metadata=MTime=7", "--mtime", "1500", "s3://b/k"], input: .bytes([1]))
      try mine.success()
      #expect(server.requests.last?.headers.filter { $0.name.lowercased() == "x-amz-meta-mtime" }.map(\.value) == ["7"])
      for (name, value) in expected { #expect(request.header(name) == value, "\(name)") }
      #expect(request.header("Transfer-Encoding") == nil)
    }
    #expect(server.requests.first?.header("x-amz-checksum-sha256") == "S/USLzRFVMU73i67jNK349FgCtYxw4Wl18ziPHeFRZo=")
  }

  @Test("a remote of type s3 has an endpoint, keys, a region and a style of its own")
  func remote() async throws {
    let server = try ScriptedS3(box)
    let endpoint = try #require(server.environment["AWS_ENDPOINT_URL"] ?? nil)
    try box.file("secret", "from-a-file\n", mode: 0o600)
    let config = try box.file(
      "config.yaml",
      """
      remotes:
        store:
          type: s3
          url: \(endpoint)
          username: MINE
          password-file: \(box.work)/secret
          region: garage
          part-size: 5M
      """, mode: 0o600)
    let environment: [String: String?] = ["SLUICE_CONFIG": config, "SLUICE_REMOTE_STORE_REGION": "mars"]
    let run = try await box.sluice("store:b/a b%20", input: [UInt8](repeating: 1, count: 6 << 20), environment: environment)
    #expect(try run.success()["path"].text == "b/a b%20")
    #expect(server.sent == [1: 1, 2: 1])
    #expect(server.requests.allSatisfy { $0.header("Authorization")?.contains("Credential=MINE/") == true })
    #expect(server.requests.allSatisfy { $0.header("Authorization")?.contains("/mars/s3/") == true })
  }

  @Test("an upload in parts that is held goes in one piece where it is not to be cut any more, and none of its parts stays")
  func notCutAnyMore() async throws {
    let isDown = Mutex(true)
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .part(2), isDown.withLock({ $0 }) else { return false }
      exchange.refuse("503 Service Unavailable", "SlowDown")
      return true
    }
    let endpoint = try #require(server.environment["AWS_ENDPOINT_URL"] ?? nil)
    func remote(_ key: String) throws -> [String: String?] {
      let text = "remotes:\n  store:\n    type: s3\n    url: \(endpoint)\n\(key)"
      return server.environment.merging(["SLUICE_CONFIG": try box.file("config.yaml", text, mode: 0o600)]) { $1 }
    }
    let object = [UInt8](repeating: 1, count: 6 << 20)
    try await box.sluice(
      "--no-preflight", "--retries", "0", "store:b/k", input: object, environment: try remote("    part-size: 5M\n")
    ).failure(69, "server")
    #expect(server.unfinished == 1)
    isDown.withLock { $0 = false }
    try await box.sluice("held", "push", "--all", "--retries", "0", environment: try remote("")).success()
    #expect(server.size(of: "/b/k") == object.count)
    #expect(server.count(of: .put) == 1)
    #expect(server.unfinished == 0)
  }

  @Test(
    "what can't be is a usage error before the input is read",
    arguments: [
      ["s3://b"], ["s3://b/"], ["s3://b/dir/"], ["s3://me@b/k"], ["s3://b:9000/k"], ["s3://b/k", "-o", "part-size=1M"],
      ["s3://b/k", "-o", "concurrency=many"], ["s3://b/k", "-o", "metadata=x"], ["s3://b/k", "--token-file", "t"],
    ])
  func usage(arguments: [String]) async throws {
    try await box.start(box.client(arguments, input: .endless)).finish().usage()
  }

  @Test("S3 has no directories to make, and without credentials nothing begins")
  func withoutCredentials() async throws {
    let run = try await box.sluice("mkdir", "s3://b/d")
    run.usage()
    #expect(run.errorText.contains("no directories"))
    let bare = try await box.sluice("s3://b/k", input: .endless)
    try bare.failure(77, "auth")
    #expect(bare.errorText.contains("AWS_ACCESS_KEY_ID"))
    let named = try await box.start(box.client(["s3://b/k"], input: .endless, environment: ["AWS_PROFILE": "nobody"])).finish()
    try named.failure(78, "config")
  }
}

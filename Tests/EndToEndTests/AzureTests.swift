import Crypto
import Foundation
import Support
import Testing

/// Azure Blob Storage with a shared access signature. Nothing that a run prints or leaves has the signature in it.
@Suite(.sandboxed)
struct AzureTests {
  private let box = Sandbox.here
  private let blocks = ["-o", "block-size=64k"]

  private func azure(
    fault: @escaping @Sendable (ScriptedAzure.Call, Exchange) -> Bool = { _, _ in false }
  ) throws -> ScriptedAzure {
    try ScriptedAzure(box, md5: { Array(Insecure.MD5.hash(data: $0)) }, fault: fault)
  }

  private func run(
    _ arguments: [String], _ input: [UInt8]? = nil, with signature: String?, location: SourceLocation = #_sourceLocation
  ) async throws -> Finished {
    let run = try await box.start(
      box.client(
        arguments + ["-v"] + (arguments.contains("--retries") ? [] : ["--retries", "2"]), input: input.map { .bytes($0) } ?? .nothing,
        environment: ["AZURE_STORAGE_SAS_TOKEN": signature])
    ).finish()
    let left = box.spoolNames.map { (try? contents("\(box.spool)/\($0)")).map { String(decoding: $0, as: UTF8.self) } ?? "" }
    for text in [run.outputText, run.errorText] + left {
      for shown in ["sig=K", "%2Bsecret", "+secret"] {
        #expect(!text.contains(shown), "the signature is shown: \(run.summary)", sourceLocation: location)
      }
    }
    return run
  }

  private func bytes(_ count: Int) -> [UInt8] {
    var generator = SeededGenerator(5)
    return generator.bytes(count)
  }

  @Test("an object goes in one call, is kept with what is known of it, and replaces another")
  func put() async throws {
    let server = try azure()
    for text in ["first", "second, and longer"] {
      let run = try await run(
        ["--verify", "--content-type", "text/x", "--mtime", "2026-01-31T12:00:00.25Z", server.destination("d/a b+?.txt")],
        Array(text.utf8), with: "?" + server.signature())
      let result = try run.success()
      #expect(result["endpoint"].text == "azure")
      #expect(result["path"].text == "/acct/box/d/a b+?.txt")
      #expect(result["http_status"].int == 201)
      #expect(result["verified"].text == "size+hash")
      #expect(result["response"]["etag"].text?.isEmpty == false)
      let blob = try #require(server.blob("d/a b+?.txt"))
      #expect(blob.bytes == Array(text.utf8))
      #expect(blob.headers == ["x-ms-blob-content-type": "text/x", "x-ms-meta-mtime": "2026-01-31T12:00:00.250Z"])
    }
    #expect(server.count(of: .put) == 2)
    #expect(server.names == ["d/a b+?.txt"])
    #expect(box.spoolNames.isEmpty)
  }

  @Test("the preflight stores nothing, says what the signature does not allow, and asks at most two things")
  func preflight() async throws {
    let server = try azure()
    #expect(try await run(["check", server.destination("x")], with: server.signature()).exit == 0)
    #expect(server.calls.count == 2)
    // Who may write need not be allowed to look.
    #expect(try await run(["check", server.destination("x")], with: server.signature("cw")).exit == 0)
    let reader = try await run([server.destination("x")], [1], with: server.signature("rl"))
    try reader.failure(77, "auth")
    #expect(reader.errorText.contains("sp=cw") && reader.errorText.contains("permissions rl"), "\(reader.summary)")
    let elsewhere = try await run(["check", server.destination("").replacing("/box", with: "/none/x")], with: server.signature())
    try elsewhere.failure(73, "rejected")
    #expect(elsewhere.errorText.contains("make the container first"), "\(elsewhere.summary)")
    #expect(server.names.isEmpty && server.uncommitted == 0)
  }

  @Test("--no-clobber keeps what is there, also what has come there unseen, and what may not be looked at", arguments: [1, 200_000])
  func noClobber(size: Int) async throws {
    let server = try azure()
    server.plant([1], "x")
    for signature in [server.signature(), server.signature("cw"), server.signature("c")] {
      for more in [[], ["--no-preflight"]] {
        let run = try await run(
          blocks + more + ["--no-clobber", "--no-hold", server.destination("x")], bytes(size), with: signature)
        try run.failure(73, "exists")
      }
    }
    #expect(server.blob("x")?.bytes == [1])
    try await run(blocks + ["--no-clobber", server.destination("y")], bytes(size), with: server.signature("c")).success()
    #expect(server.blob("y")?.bytes == bytes(size))
  }

  @Test(
    "after a cut the blocks that are there are not sent again, with a signature that may read and one that may not",
    arguments: ["rcw", "cw"])
  func cut(permissions: String) async throws {
    let server = try azure { call, exchange in
      guard call.operation == .block(7), call.before == 0 else { return false }
      exchange.readBody(20_000)
      exchange.reset()
      return true
    }
    let bytes = bytes(10 * 65_536 - 1)
    let more = permissions == "cw" ? [] : ["--verify"]
    let run = try await run(blocks + more + [server.destination("x")], bytes, with: server.signature(permissions))
    let result = try run.success()
    #expect(result["attempts"].int == 2)
    #expect(server.sent == Dictionary(uniqueKeysWithValues: (0..<10).map { ($0, $0 == 7 ? 2 : 1) }))
    #expect(server.blob("x")?.bytes == bytes)
    #expect(server.blob("x")?.md5 == Data(Insecure.MD5.hash(data: bytes)).base64EncodedString())
    if permissions == "rcw" { #expect(result["verified"].text == "size+hash") }
    #expect(server.uncommitted == 0)
  }

  @Test("a push of what is held goes on with the blocks of the run before; what has been lost is sent again", arguments: [false, true])
  func held(isLost: Bool) async throws {
    let server = try azure { call, exchange in
      guard call.operation == .commit, call.before == 0 else { return false }
      exchange.readBody()
      exchange.reset()
      return true
    }
    let (bytes, signature) = (bytes(200_000), server.signature())
    let run = try await run(["--retries", "0"] + blocks + [server.destination("x")], bytes, with: signature)
    let id = try #require(try run.failure(69, "unreachable")["held"].text)
    #expect(server.uncommitted == 4)
    if isLost { server.forget() }
    try await self.run(["held", "push", id], with: signature).success()
    #expect(server.blob("x")?.bytes == bytes)
    #expect(server.sent == Dictionary(uniqueKeysWithValues: (0..<4).map { ($0, isLost ? 2 : 1) }))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("an answer that is lost when the object was stored is found out, and nothing is sent twice", arguments: [10, 200_000])
  func lostAnswer(size: Int) async throws {
    let server = try azure()
    let relay = try box.relay(to: server.port) { _, request, answer in
      let isMeant = request.method == "PUT" && !request.target.contains("comp=block&") && request.header("If-Match") == nil
      return isMeant && server.count(of: .put) + server.count(of: .commit) == 1 ? [] : answer
    }
    let destination = server.destination("x").replacing(":\(server.port)/", with: ":\(relay.port)/")
    let run = try await run(blocks + ["--no-clobber", destination], bytes(size), with: server.signature())
    try run.success()
    #expect(server.count(of: .put) + server.count(of: .commit) == 1, "\(run.summary)")
    #expect(server.blob("x")?.bytes == bytes(size))
  }

  @Test("a wrong signature, one that has ended, none, and what is none: before the input is read")
  func refused() async throws {
    let server = try azure()
    let good = server.signature()
    let wrong = try await run([server.destination("x")], [1], with: good.replacing("sig=K", with: "sig=L"))
    try wrong.failure(77, "auth")
    #expect(wrong.errorText.contains("AuthenticationFailed"), "\(wrong.summary)")
    let ended = try await run([server.destination("x")], [1], with: server.signature(seconds: -60))
    try ended.failure(77, "auth")
    #expect(ended.errorText.contains("ends 20"), "\(ended.summary)")
    let none = try await run([server.destination("x")], [1], with: nil)
    try none.failure(77, "auth")
    #expect(none.errorText.contains("AZURE_STORAGE_SAS_TOKEN"), "\(none.summary)")
    try await run([server.destination("x")], [1], with: "sv=2020&se=x y").failure(78, "config")
    // As it is copied from the portal.
    let pasted = try await run([server.destination("x") + "?" + good], [1], with: good)
    pasted.usage()
    #expect(pasted.errorText.contains("from the ? on"), "\(pasted.summary)")
    #expect(server.names.isEmpty)
  }

  @Test("a remote has its own signature, in a file, and the container in its address")
  func remote() async throws {
    let server = try azure()
    let good = server.signature()
    let file = try box.file("sas", "https://acct.blob.core.windows.net/box?\(good)\n", mode: 0o600)
    let environment: [String: String?] = [
      "SLUICE_REMOTE_STORE_TYPE": "azure", "SLUICE_REMOTE_STORE_URL": "http://127.0.0.1:\(server.port)/acct/box",
      "SLUICE_REMOTE_STORE_TOKEN_FILE": file, "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=other",
    ]
    let result = try await box.sluice("--verify", "store:d/x", input: [1, 2], environment: environment).success()
    #expect(result["path"].text == "/d/x")
    #expect(server.blob("d/x")?.bytes == [1, 2])
  }

  @Test(
    "a server that is busy is asked again; what arrives otherwise than it was sent is sent again", arguments: ["ServerBusy", "Md5Mismatch"])
  func passing(code: String) async throws {
    let server = try azure { call, exchange in
      guard call.operation == .put, call.before == 0 else { return false }
      exchange.answer(
        "<Error><Code>\(code)</Code><Message>So it is.</Message></Error>",
        status: code == "ServerBusy" ? "503 Busy" : "400 No", headers: ["x-ms-error-code: \(code)", "x-ms-request-id: 1"])
      return true
    }
    let result = try await run([server.destination("x")], [1], with: server.signature()).success()
    #expect(result["attempts"].int == 2)
  }

  @Test("the page of a proxy that writes what it was asked for, and a redirect, show no signature; no other server gets it")
  func echoed() async throws {
    let other = try azure()
    let server = try azure { call, exchange in
      if call.operation == .probe {
        exchange.answer("<p>No \(exchange.request.target)</p>", status: "404 Not Found", type: "text/html")
      } else {
        let location = "http://127.0.0.1:\(other.port)\(exchange.request.target)"
        exchange.answer("", status: "307 Elsewhere", headers: ["Location: \(location)", "x-ms-request-id: 1"])
      }
      return true
    }
    try await run(["check", server.destination("x")], with: server.signature()).failure(76, "protocol")
    try await run(["--no-preflight", "--no-hold", server.destination("x")], [1], with: server.signature()).failure(76, "protocol")
    #expect(other.requests.isEmpty)
  }

  @Test("names that no blob can have, and no blob's, are refused before anything is asked")
  func names() async throws {
    let server = try azure()
    let signature = server.signature()
    for name in ["a.", "d./x"] {
      try await run([server.destination(name)], [1], with: signature).failure(73, "rejected")
    }
    try await run([server.destination("")], [1], with: signature).usage()
    try await run(["-o", "block-size=1", server.destination("x")], [1], with: signature).usage()
    #expect(server.calls.isEmpty)
  }
}

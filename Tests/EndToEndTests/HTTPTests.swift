import Foundation
import Support
import Testing

/// What servers and networks do when they do not behave.
@Suite(.sandboxed)
struct HTTPTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test(
    "an answer that comes while the body is still being sent is reported as itself",
    arguments: [("401", 77, "auth"), ("413", 73, "rejected"), ("403", 77, "auth"), ("507", 73, "rejected")] as [(String, Int32, String)],
    ["alist", "siyuan"])
  func earlyAnswer(answer: (status: String, exit: Int32, kind: String), endpoint: String) async throws {
    let server = try await box.loopback("--refuse-early", answer.status)
    let input = try box.file("in", [UInt8](repeating: 1, count: 20 << 20))
    let destination = endpoint == "alist" ? server.alist("/x") : server.siyuan("/data/x")
    let run = try await box.sluice("--no-preflight", "--retries", "0", "--input", input, destination)
    let result = try run.failure(answer.exit, answer.kind)
    #expect(result["http_status"].int == Int(answer.status))
    #expect(result["attempts"].int == 1)
  }

  @Test("--retry-max-time ends the tries, however many are left")
  func retryMaxTime() async throws {
    let closed = try box.scripted { _ in }
    closed.stop()
    let run = try await box.sluice(
      "--no-preflight", "--retries", "1000", "--retry-max-time", "1500ms", "alist+http://\(closed.authority)/x", input: bytes)
    let attempts = try #require(try run.failure(69, "unreachable")["attempts"].int)
    #expect(attempts > 1 && attempts < 100)
    #expect(run.duration < .seconds(20))
    try await box.sluice("--retries", "0", "--retry-max-time", "1s", "./out", input: .endless).usage()
  }

  @Test("an early answer followed by a reset is reported as itself", arguments: 1...5)
  func earlyAnswerAndReset(_: Int) async throws {
    let server = box.keep(
      try .alist { exchange in
        exchange.readBody(300_000)
        let body = #"{"code":403,"message":"permission denied","data":null}"#
        exchange.send(
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        exchange.readBody(100_000)
        exchange.close()
      })
    let run = try await put(to: server, input: [UInt8](repeating: 1, count: 30 << 20))
    try run.failure(77, "auth")
  }

  @Test("success that is said before the object was sent is not believed")
  func earlySuccess() async throws {
    let server = box.keep(
      try .alist { exchange in
        exchange.readBody(100_000)
        let body = #"{"code":200,"message":"success","data":null}"#
        exchange.send(
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        exchange.close()
      })
    let run = try await put(to: server, input: [UInt8](repeating: 1, count: 30 << 20))
    #expect(run.exit != 0)
    #expect(try run.result()["ok"].bool == false)
  }

  @Test("success that is said when the end of the object had not left yet is not believed")
  func earlySuccessNearTheEnd() async throws {
    let server = box.keep(
      try .alist { exchange in
        exchange.readBody(100_000)
        let body = #"{"code":200,"message":"success","data":null}"#
        exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        // What it reads afterwards does not make the answer true.
        exchange.readBody()
        exchange.close()
      })
    // More than the buffers of the connection hold, and little enough that all of it is handed to the client soon.
    let run = try await put(to: server, input: [UInt8](repeating: 1, count: 16 << 20))
    #expect(run.exit != 0)
    #expect(try run.result()["ok"].bool == false)
  }

  @Test("an HTML page with status 200 is no success", arguments: ["alist", "siyuan"])
  func html(endpoint: String) async throws {
    let server = try await box.loopback("--html")
    let run = try await box.sluice("--retries", "2", endpoint == "alist" ? server.alist("/x") : server.siyuan("/data/x"), input: bytes)
    let result = try run.failure(76, "protocol")
    #expect(result["attempts"].int == 1)
    #expect(result["response"]["text"].text?.contains("<") == true)
    #expect((result["response"]["text"].text?.count ?? 0) < 5000)
  }

  @Test("JSON that is cut is no success")
  func cutJSON() async throws {
    let server = try await box.loopback("--cut-json")
    let run = try await box.sluice("--retries", "0", server.alist("/x"), input: bytes)
    try run.failure(76, "protocol")
  }

  @Test("where JSON is cut, an object whose bytes are there is a success all the same")
  func cutJSONAndProof() async throws {
    let server = try await box.loopback("--cut-json")
    let run = try await box.sluice("--retries", "0", server.siyuan("/data/x"), input: bytes)
    #expect(try run.success()["verified"].text == "size+hash")
    #expect(run.errorText.contains("the object is there"), "\(run.summary)")
    #expect(try contents(server.siyuanFile("/data/x")) == bytes)
  }

  @Test(
    "an answer that is no JSON object with a code is no success",
    arguments: ["", "null", "[]", "{}", "{\"code\":\"200\"}", "200", "{\"code\":200}x{", "\u{0}", "{\"code\":200.5}", "{\"code\":1e400}"])
  func noEnvelope(body: String) async throws {
    let server = box.keep(try .alist { $0.answer(body) })
    let run = try await put(to: server)
    #expect(try run.failure(76, "protocol")["ok"].bool == false)
  }

  @Test("deeply nested JSON is an error and no crash", arguments: ["[", "{\"a\":"])
  func nested(open: String) async throws {
    let server = box.keep(try .alist { $0.answer(#"{"code":200,"message":"success","data":"# + String(repeating: open, count: 100_000)) })
    let run = try await put(to: server)
    #expect(run.signal == nil, "\(run.summary)")
    #expect(run.exit != 0)
  }

  @Test("an answer without end is cut off, in bounded memory", arguments: ["--endless", "--endless-headers"])
  func endless(fault: String) async throws {
    let server = try await box.loopback(fault)
    var client = box.client(["--retries", "0", server.alist("/x")], input: .bytes(bytes))
    client.measuresMemory = true
    let run = try await box.start(client).finish()
    try run.failure(76, "protocol")
    #expect(run.peakKiB <= 48 << 10, "peak: \(run.peakKiB) KiB")
  }

  @Test("an answer that breaks off is not taken for whole")
  func brokenAnswer() async throws {
    let server = box.keep(
      try .alist { exchange in
        exchange.readBody()
        exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"code\":200,\"mess")
        exchange.close()
      })
    let run = try await put(to: server)
    #expect(run.exit == 76 || run.exit == 69, "\(run.summary)")
  }

  @Test(
    "what is no HTTP is told apart",
    arguments: ["SSH-2.0-OpenSSH_9.6\r\n", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}", "HTTP/9.9 banana\r\n\r\n"])
  func noHTTP(words: String) async throws {
    let server = try box.scripted { exchange in
      exchange.send(words)
      exchange.close()
    }
    let run = try await box.sluice("--no-preflight", "--retries", "0", "alist+http://\(server.authority)/x", input: bytes)
    #expect(run.exit == 76 || run.exit == 69, "\(run.summary)")
  }

  @Test("a refused connection is tried as often as asked for, and the input is kept")
  func refused() async throws {
    let server = try await box.loopback()
    await server.stop()
    let run = try await box.sluice("--retries", "1", server.alist("/x"), input: bytes)
    let result = try run.failure(69, "unreachable")
    #expect(result["attempts"].int == 2)
    #expect(result["error"]["retryable"].bool == true)
    #expect(result["held"].text != nil)
    #expect(run.errorText.contains(server.authority))
  }

  @Test("a host that there is not is unreachable")
  func noHost() async throws {
    let run = try await box.sluice("--retries", "0", "alist+http://no-such-host.invalid/x", input: bytes)
    try run.failure(69, "unreachable")
    #expect(run.errorText.contains("no-such-host.invalid"))
  }

  @Test("a server that never answers is a time-out", arguments: [["--timeout", "700ms"], ["--answer-timeout", "700ms"]])
  func hanging(options: [String]) async throws {
    let server = try await box.loopback("--hang")
    let run = try await box.start(box.client(options + ["--retries", "0", server.alist("/x")], input: .bytes(bytes))).finish()
    try run.failure(69, "timeout")
    #expect(run.duration < .seconds(30))
  }

  @Test("a server that takes no more bytes is a time-out of silence")
  func stalled() async throws {
    let server = try await box.loopback("--stall-after", "100000")
    let input = try box.file("in", [UInt8](repeating: 1, count: 30 << 20))
    let run = try await box.sluice("--idle-timeout", "1s", "--retries", "0", "--input", input, server.alist("/x"))
    try run.failure(69, "timeout")
    #expect(run.duration < .seconds(30))
  }

  @Test("a server that answers late is waited for")
  func late() async throws {
    let server = try await box.loopback("--delay", "1500")
    try await box.sluice("--idle-timeout", "500ms", server.alist("/x"), input: bytes).success()
  }

  @Test("--limit-rate keeps an upload below the rate", arguments: ["alist", "siyuan", "file"])
  func limitRate(endpoint: String) async throws {
    let server = try await box.loopback()
    let destination = ["alist": server.alist("/x"), "siyuan": server.siyuan("/data/x"), "file": "./x"][endpoint]!
    let run = try await box.sluice("--limit-rate", "400k", destination, input: [UInt8](repeating: 1, count: 600 << 10))
    // A second and a half, less the first piece, which goes at once.
    #expect(try #require(run.success()["upload_s"].double) > 1)
  }

  @Test("503 twice and then success is success at the third attempt")
  func unavailable() async throws {
    let server = try await box.loopback("--status", "503", "--times", "2")
    let result = try await box.sluice(server.alist("/x"), input: bytes).success()
    #expect(result["attempts"].int == 3)
    #expect(try contents(server.alistFile("/x")) == bytes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("Retry-After is honoured")
  func retryAfter() async throws {
    let server = try await box.loopback("--status", "503", "--times", "1", "--retry-after", "2")
    let run = try await box.sluice(server.alist("/x"), input: bytes)
    #expect(try run.success()["attempts"].int == 2)
    #expect(run.duration > .seconds(2))
  }

  @Test(
    "a status that another try won't change is tried once",
    arguments: [("404", 76), ("400", 73), ("405", 76), ("501", 69)] as [(String, Int32)])
  func finalStatus(status: String, exit: Int32) async throws {
    let server = try await box.loopback("--status", status)
    let run = try await box.sluice("--retries", "3", server.alist("/x"), input: bytes)
    #expect(run.exit == exit, "\(run.summary)")
    #expect(try run.result()["attempts"].int == 1)
    #expect(try run.result()["http_status"].int == Int(status))
  }

  @Test("a connection that is cut in the middle is tried again, and what arrives is whole", arguments: ["0", "1", "1000000"])
  func cut(after: String) async throws {
    let server = try await box.loopback("--cut-after", after, "--times", "1")
    let large = [UInt8](repeating: 7, count: 5_000_000)
    let result = try await box.sluice(server.alist("/x"), input: large).success()
    #expect(result["attempts"].int == 2)
    try expectSame(contents(server.alistFile("/x")), large)
  }

  @Test("an object that was stored though the answer was lost is success, or is stored again")
  func storedThenCut() async throws {
    let server = try await box.loopback("--store-then-cut", "--times", "1")
    let result = try await box.sluice(server.alist("/x"), input: bytes).success()
    #expect(try contents(server.alistFile("/x")) == bytes)
    #expect(try #require(result["attempts"].int) <= 2)
  }

  @Test("--no-clobber does not take its own lost answer for somebody else's object")
  func storedThenCutNoClobber() async throws {
    let server = try await box.loopback("--store-then-cut", "--times", "1")
    try await box.sluice("--no-clobber", server.alist("/x"), input: bytes).success()
    #expect(try contents(server.alistFile("/x")) == bytes)
  }

  @Test("307 and 308 on the same server are followed with method and body", arguments: ["307", "308"])
  func redirect(status: String) async throws {
    let server = try await box.loopback("--redirect", status, "--location", "", "--times", "1")
    try await box.sluice("--retries", "0", server.alist("/x"), input: bytes).success()
    #expect(try contents(server.alistFile("/x")) == bytes)
  }

  @Test("301, 302 and 303 of an upload are not followed", arguments: ["301", "302", "303"])
  func noRedirect(status: String) async throws {
    let other = try box.scripted { $0.answer(#"{"code":200,"message":"success","data":null}"#) }
    let server = try await box.loopback("--redirect", status, "--location", "http://\(other.authority)")
    let run = try await box.sluice("--retries", "0", server.alist("/x"), input: bytes)
    try run.failure(76, "protocol")
    #expect(run.errorText.contains(other.authority))
    #expect(other.requests.isEmpty)
  }

  @Test("the query of a redirect's target, which may be a signature, is not shown", arguments: ["302 Found", "307 Temporary Redirect"])
  func signedRedirect(status: String) async throws {
    let other = try box.scripted { $0.answer("", status: "403 Forbidden") }
    let server = try box.scripted { exchange in
      exchange.answer("", status: status, headers: ["Location: http://T0KEN@\(other.authority)/x?signature=s3cr3t"])
    }
    let run = try await box.sluice("-v", "--no-preflight", "--retries", "0", "http://\(server.authority)/x", input: bytes)
    #expect(run.exit != 0)
    #expect(run.errorText.contains(other.authority))
    for secret in ["s3cr3t", "T0KEN"] { #expect(!(run.outputText + run.errorText).contains(secret), "\(run.summary)") }
  }

  @Test("credentials never go to another host", arguments: ["307", "308"])
  func foreignRedirect(status: String) async throws {
    let other = try box.scripted { $0.answer(#"{"code":200,"message":"success","data":null}"#) }
    let server = try await box.loopback("--redirect", status, "--location", "http://\(other.authority)")
    _ = try await box.sluice("--retries", "0", server.alist("/x"), input: bytes)
    for request in other.requests {
      #expect(request.header("Authorization") == nil)
      #expect(!request.headers.contains { $0.value.contains(Loopback.token) })
    }
  }

  @Test("a redirect in a circle ends")
  func circle() async throws {
    let server = try await box.loopback("--redirect", "307", "--location", "")
    let run = try await box.sluice("--retries", "0", server.alist("/x"), input: bytes)
    try run.failure(76, "protocol")
  }

  @Test("a server that can't be reached at the preflight is only warned of: the input is kept and sent when it is there")
  func unreachablePreflight() async throws {
    let server = try await box.loopback("--status", "503", "--times", "1", "--on", "/api/fs/form")
    let run = try await box.sluice("--retries", "2", server.alist("/x"), input: bytes)
    try run.success()
    #expect(run.errorText.contains("warning: "))
  }

  private func put(to server: ScriptedServer, input: [UInt8]? = nil) async throws -> Finished {
    try await box.sluice("--retries", "0", "alist+http://\(server.authority)/x", input: input ?? bytes)
  }
}

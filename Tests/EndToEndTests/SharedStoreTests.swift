import Crypto
import Foundation
import Support
import Synchronization
import Testing

/// What one store does for several destinations of a run, one after the other and at a time.
@Suite(.sandboxed)
struct SharedStoreTests {
  private let box = Sandbox.here
  private let old = Array("yesterday's\n".utf8)
  private let bytes = Array("some object\n".utf8)

  @Test("none of many destinations at one server waits for another to end")
  func manyDestinations() async throws {
    let count = 20
    let waiting = Mutex(0)
    let server = try box.scripted { exchange in
      guard exchange.request.method == "PUT" else { return exchange.answer("", status: "404 Not Found") }
      exchange.readBody()
      waiting.withLock { $0 += 1 }
      // Nobody is answered before all have come.
      for _ in 0..<1000 where waiting.withLock({ $0 }) < count { usleep(10_000) }
      exchange.answer("", status: "201 Created")
    }
    let urls = (0..<count).map { "http://\(server.authority)/\($0)" }
    let run = try await box.start(
      box.client(["--no-preflight", "--connect-timeout", "5", "--retries", "0"] + urls, input: .bytes(bytes))
    ).finish()
    #expect(run.exit == 0, "\(run.summary)")
    #expect(waiting.withLock { $0 } == count)
  }

  @Test("-o direct is for those destinations that know it: a file beside them is whole or as it was")
  func directForSome() async throws {
    let server = try ScriptedDAV(in: box)
    try write(old, to: "\(box.work)/x")
    let arguments = ["-o", "direct", "dav+http://\(server.authority)/x", "./x"]
    let run = try await box.start(box.client(arguments, input: .bytes(bytes))).finish()
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try contents("\(box.work)/x") == bytes)
    #expect(server.objects == ["/x": bytes])
    #expect(!server.methods.contains("MOVE"))
    // Neither is it there before it is whole.
    let slow = try box.start(
      box.client(["--limit-rate", "100k", "--no-hold"] + arguments, input: .bytes([UInt8](repeating: 7, count: 1_000_000))))
    try await eventually("the copy has begun") { names(in: box.work).contains { $0.hasPrefix(".x.sluice-") } }
    #expect(try contents("\(box.work)/x") == bytes)
    slow.signal(SIGINT)
    _ = await slow.finish()
    #expect(try contents("\(box.work)/x") == bytes)
  }

  @Test("what one object has put at a name is known when the next one is put there a moment later")
  func oneAfterTheOther() async throws {
    let isDown = Mutex(true)
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard isDown.withLock({ $0 }) else { return false }
      exchange.answer("", status: "503 Service Unavailable")
      return true
    }
    let url = "dav+http://\(server.authority)/x"
    for object in [old, bytes] {
      try await box.sluice("--no-preflight", "--retries", "0", url, input: object).failure(69, "server")
    }
    isDown.withLock { $0 = false }
    let run = try await box.sluice("held", "push", "--all")
    #expect(run.exit == 0, "\(run.summary)")
    #expect(server.objects == ["/x": bytes])
    // One that thinks that the name is free would not replace what is there, and have to look again.
    #expect(server.requests.filter { $0.method == "MOVE" }.compactMap { $0.header("Overwrite") } == ["F", "T"])
  }

  @Test("a task that one object has left at a server is not taken for that of the next one of the name")
  func taskOfAnother() async throws {
    let server = try await box.loopback("--task-delay", "60000", "--on", "/api/fs/put", "--times", "2", "--status", "503")
    for object in [old, bytes] {
      try await box.sluice("--retries", "0", "-o", "as-task", server.alist("/d/x"), input: object).failure(69, "server")
    }
    let run = try await box.sluice("held", "push", "--all", "--retries", "0")
    #expect(run.exit == 0, "\(run.summary)")
    let tasks = Set(try resultLines(run.outputText).compactMap { $0["task"]["id"].text })
    #expect(tasks.count == 2)
    #expect(try server.log("/api/fs/put").count == 4)
  }

  @Test("buckets of different regions at one server do not send each other away")
  func regions() async throws {
    let regions = ["b": "eu-west-3", "c": "eu-north-1"]
    let away = Mutex(0)
    let server = try box.scripted { exchange in
      let bucket = exchange.request.target.split(whereSeparator: { "/?".contains($0) }).first.map(String.init) ?? ""
      let region = regions[bucket] ?? ""
      let body = exchange.readBody()
      guard exchange.request.header("Authorization")?.contains("/\(region)/s3/") == true else {
        away.withLock { $0 += 1 }
        // As seldom as it may be, a call to the other bucket comes between.
        usleep(20_000)
        exchange.send("HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: \(region)\r\nContent-Length: 0\r\n\r\n")
        return
      }
      let tag = Insecure.MD5.hash(data: body).map { String(format: "%02x", $0) }.joined()
      switch exchange.request.method {
      case "POST": return exchange.answer("<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
      case "PUT": break
      default:
        exchange.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return
      }
      exchange.send("HTTP/1.1 200 OK\r\nETag: \"\(tag)\"\r\nContent-Length: 0\r\n\r\n")
    }
    let environment: [String: String?] = [
      "AWS_ENDPOINT_URL": "http://\(server.authority)", "AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    ]
    let run = try await box.start(
      box.client(
        ["--no-preflight", "--retries", "0", "--part-size", "10", "s3://b/k", "s3://c/k"], input: .bytes([UInt8](repeating: 7, count: 95)),
        environment: environment)
    ).finish()
    #expect(run.exit == 0, "\(run.summary)")
    // The first two of each, which may be side by side.
    #expect(away.withLock { $0 } <= 4)
  }
}

import Foundation
import Support
import Testing

/// What is found out of an S3 server before the input is read, and whether it is one.
@Suite(.sandboxed)
struct S3PreflightTests {
  private let box = Sandbox.here

  private func run(_ server: ScriptedS3, _ arguments: [String], input: Program.Input) async throws -> Finished {
    try await box.start(box.client(arguments, input: input, environment: server.environment)).finish()
  }

  @Test("a web server that says 200 to everything has stored nothing")
  func webServer() async throws {
    let server = try ScriptedS3(box) { _, exchange in
      exchange.readBody()
      exchange.answer("<h1>Welcome</h1>", type: "text/html", headers: ["Server: a-web-server"])
      return true
    }
    let late = try await run(server, ["--no-preflight", "--no-hold", "s3://b/k"], input: .bytes([1]))
    let result = try late.failure(76, "protocol")
    #expect(late.errorText.contains("gives no ETag"))
    #expect(result["http_status"].int == 200)
    #expect(result["response"]["text"].text?.contains("Welcome") == true)
    #expect(server.calls == [.put, .head], "the question whether it is there all the same")
    let early = try await run(server, ["s3://b/k"], input: .endless)
    try early.failure(76, "protocol")
    #expect(server.calls.contains(.begin) && server.count(of: .put) == 1)
  }

  @Test("one that finds nothing and takes everything is found out before the input is read")
  func strangeAnswer() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .begin else { return false }
      exchange.answer("thanks", type: "text/plain")
      return true
    }
    try await run(server, ["s3://b/k"], input: .endless).failure(76, "protocol")
  }

  @Test("options and the permission to put are tried where nothing is there yet, and where something is", arguments: [true, false])
  func refusedOption(exists: Bool) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.request.header("x-amz-storage-class") == "NONE" else { return false }
      exchange.refuse("400 Bad Request", "InvalidStorageClass")
      return true
    }
    if exists { try await run(server, ["--no-preflight", "s3://b/k"], input: .bytes([1])).success() }
    let refused = try await run(server, ["-o", "storage-class=NONE", "s3://b/k"], input: .endless)
    #expect(try refused.failure(73, "rejected")["response"]["code"].text == "InvalidStorageClass")
    try await run(server, ["s3://b/k"], input: .bytes([1])).success()
    // The look and the first of them go side by side.
    #expect(server.calls.suffix(4).filter { $0 != .head } == [.begin, .abort, .put])
    #expect(server.unfinished == 0)
  }

  @Test("a server without uploads in parts takes small objects", arguments: ["405 Method Not Allowed", "501 Not Implemented"])
  func noMultipart(status: String) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .begin else { return false }
      exchange.answer("", status: status)
      return true
    }
    try await run(server, ["s3://b/k"], input: .bytes([1])).success()
    #expect(server.calls.filter { $0 != .head } == [.begin, .objects, .put])
    try await run(server, ["s3://elsewhere/k"], input: .endless).failure(73, "rejected")
  }

  @Test("an upload of the preflight that can't be aborted is told of, and stops nothing")
  func noAbort() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .abort else { return false }
      exchange.refuse("403 Forbidden", "AccessDenied")
      return true
    }
    let done = try await run(server, ["s3://b/k"], input: .bytes([1]))
    try done.success()
    #expect(done.errorText.contains("cannot abort the upload"))
    #expect(server.size(of: "/b/k") == 1)
  }

  @Test("an object without an ETag is an object")
  func headWithoutTag() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .head, call.request.target == "/b/k" else { return false }
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
      return true
    }
    try await box.start(box.client(["check", "s3://b/k"], environment: server.environment)).finish().success()
    try await run(server, ["s3://b/k"], input: .bytes([1])).success()
    #expect(server.size(of: "/b/k") == 1)
    try await run(server, ["--no-clobber", "s3://b/k"], input: .endless).failure(73, "exists")
  }

  @Test("a web server that has pages and takes no uploads is found out before the input is read")
  func pages() async throws {
    let server = try ScriptedS3(box) { call, exchange in
      switch exchange.request.method {
      case "HEAD": exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n")
      case "GET": exchange.answer("<h1>Welcome</h1>", type: "text/html")
      default: exchange.answer("<h1>No</h1>", status: "405 Method Not Allowed", type: "text/html")
      }
      return true
    }
    let run = try await run(server, ["s3://b/k"], input: .endless)
    try run.failure(76, "protocol")
    #expect(run.errorText.contains("does not speak S3"), "\(run.summary)")
  }

  @Test("a bucket stands in the path where the server is an address, whatever the style")
  func addresses() async throws {
    let server = try ScriptedS3(box)
    let config = try box.file("aws", "[default]\ns3 =\n  addressing_style = virtual\n")
    let environment = server.environment.merging(["AWS_CONFIG_FILE": config]) { $1 }
    try await box.sluice("s3://b/k", input: [1], environment: environment).success()
    #expect(server.size(of: "/b/k") == 1)
  }

  @Test("who wants the bucket in the name of the host is told how; who can't find that host too")
  func styleHint() async throws {
    let server = try ScriptedS3(box) { _, exchange in
      exchange.refuse("403 Forbidden", "SecondLevelDomainForbidden")
      return true
    }
    let refused = try await run(server, ["--no-preflight", "--no-hold", "s3://b/k"], input: .bytes([1]))
    try refused.failure(73, "rejected")
    #expect(refused.errorText.contains("addressing-style: virtual"), "\(refused.summary)")
    #expect(refused.errorText.contains("addressing_style = virtual"), "\(refused.summary)")
    let config = try box.file(
      "config.yaml", "remotes:\n  r:\n    type: s3\n    url: http://no-such-host.invalid\n    addressing-style: virtual\n")
    let environment = server.environment.merging(["SLUICE_CONFIG": config, "AWS_ENDPOINT_URL": nil]) { $1 }
    let lost = try await box.sluice("check", "--retries", "0", "r:bucket/k", environment: environment)
    #expect(lost.errorText.contains("bucket.no-such-host.invalid"), "\(lost.summary)")
    #expect(lost.errorText.contains("addressing-style: path"), "\(lost.summary)")
  }
}

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
    #expect(server.calls == [.put, .head, .head])
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
    #expect(server.calls.suffix(4) == [.head, .begin, .abort, .put])
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
    #expect(server.calls == [.head, .begin, .head, .put])
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
}

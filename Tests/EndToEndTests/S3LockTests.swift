import Crypto
import Foundation
import Support
import Testing

/// Buckets whose objects are locked for a time.
@Suite(.sandboxed)
struct S3LockTests {
  private let box = Sandbox.here
  private static let demand = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"

  private func run(_ server: ScriptedS3, _ arguments: [String], size: Int = 1) async throws -> Finished {
    let options = ["--no-preflight", "-o", "part-size=5M"]
    let bytes = [UInt8](repeating: 3, count: size)
    return try await box.start(box.client(options + arguments, input: .bytes(bytes), environment: server.environment)).finish()
  }

  @Test("a bucket that asks for Content-MD5 gets it, for each part too", arguments: [1, 12 << 20])
  func contentMD5(size: Int) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.request.method == "PUT" else { return false }
      let sent = call.request.header("Content-MD5")
      guard sent == nil else {
        let length = min(size, 5 << 20, size - (call.operation == .part(3) ? 10 << 20 : 0))
        let digest = Data(Insecure.MD5.hash(data: [UInt8](repeating: 3, count: length))).base64EncodedString()
        #expect(sent == digest)
        return false
      }
      exchange.refuse("400 Bad Request", "InvalidRequest", message: S3LockTests.demand)
      return true
    }
    let result = try await run(server, ["s3://b/k"], size: size).success()
    #expect(result["attempts"].int == 1)
    #expect(server.size(of: "/b/k") == size)
    #expect(server.requests.filter { $0.method == "PUT" }.allSatisfy { $0.header("x-amz-checksum-sha256") != nil })
  }

  @Test(
    "a checksum that was left out by guess is sent again where it is asked for, and the condition is what goes", arguments: [1, 6 << 20])
  func keptChecksum(size: Int) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      if call.request.header("If-None-Match") != nil {
        exchange.refuse("501 Not Implemented", "NotImplemented")
      } else if call.request.method == "PUT", call.request.header("x-amz-checksum-sha256") == nil {
        exchange.refuse("400 Bad Request", "InvalidRequest", message: S3LockTests.demand)
      } else {
        return false
      }
      return true
    }
    for key in ["k", "l"] {
      let result = try await run(server, ["--no-clobber", "s3://b/\(key)"], size: size).success()
      #expect(result["attempts"].int == 1)
      #expect(server.size(of: "/b/\(key)") == size)
    }
  }

  @Test("an object is locked until the time that is given", arguments: [1, 6 << 20])
  func lockUntil(size: Int) async throws {
    let server = try ScriptedS3(box)
    for (options, mode) in [([], "GOVERNANCE"), (["-o", "lock-mode=compliance"], "COMPLIANCE")] {
      try await run(server, ["-o", "lock-until=2031-02-03T04:05:06+02:00", "s3://b/k"] + options, size: size).success()
      let operation = size == 1 ? ScriptedS3.Operation.put : .begin
      let index = try #require(server.calls.lastIndex(of: operation))
      #expect(server.requests[index].header("x-amz-object-lock-retain-until-date") == "2031-02-03T02:05:06Z")
      #expect(server.requests[index].header("x-amz-object-lock-mode") == mode)
    }
  }

  @Test("a server that takes an object and forgets its lock is told of", arguments: [1, 6 << 20], [true, false])
  func forgottenLock(size: Int, isLocked: Bool) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation == .head, isLocked else { return false }
      exchange.answer("", headers: ["ETag: \"x\"", "x-amz-object-lock-mode: GOVERNANCE"])
      return true
    }
    let run = try await run(server, ["-o", "lock-until=2031-02-03T04:05:06Z", "s3://b/k"], size: size)
    try run.success()
    #expect(run.errorText.contains("does not say that it is locked") != isLocked)
  }

  @Test(
    "what is no time, or a mode without one, is a usage error",
    arguments: [
      ["lock-until=tomorrow"], ["lock-until=2031-02-03"], ["lock-until="], ["lock-mode=compliance"],
      ["lock-until=2031-02-03T04:05:06Z", "lock-mode=hard"],
    ])
  func usage(options: [String]) async throws {
    let arguments = options.flatMap { ["-o", $0] }
    try await box.start(box.client(arguments + ["s3://b/k"], input: .endless)).finish().usage()
  }
}

import Foundation
import Support
import Testing

/// What an entity tag of an S3 server proves, and what not.
@Suite(.sandboxed)
struct S3TagTests {
  private let box = Sandbox.here
  private let warning = "are not the MD5 of what was sent"

  private func server(
    _ tags: ScriptedS3.Tags, whole: ScriptedS3.Tags? = nil, checksums: Bool = false,
    corrupts: @escaping @Sendable (ScriptedS3.Operation, Int) -> Bool = { _, _ in false }
  ) throws -> ScriptedS3 {
    try ScriptedS3(
      box, ScriptedS3.Manner(tags: tags, wholeTags: whole ?? tags, hasChecksums: checksums, corrupts: corrupts))
  }

  private func run(_ server: ScriptedS3, _ arguments: [String], size: Int) async throws -> Finished {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 >> 10) }
    let options = ["--no-preflight", "-o", "part-size=5M"]
    return try await box.start(box.client(options + arguments, input: .bytes(bytes), environment: server.environment)).finish()
  }

  @Test(
    "tags that a server makes in another way are no reason to send it again; it is warned once", arguments: [1, 12 << 20], [true, false])
  func otherTags(size: Int, checksums: Bool) async throws {
    let server = try server(.others, checksums: checksums)
    let done = try await run(server, ["--verify", "s3://b/k"], size: size)
    let result = try done.success()
    #expect(result["attempts"].int == 1)
    #expect(result["verified"].text == (checksums ? "size+hash" : "size"))
    #expect(done.errorText.components(separatedBy: warning).count == 2, "\(done.summary)")
    #expect(done.errorText.contains("-o etag=ignore"))
    #expect(server.size(of: "/b/k") == size)
    #expect(server.count(of: .complete) + server.count(of: .put) == 1)
    let quiet = try await run(server, ["-o", "etag=ignore", "s3://b/k"], size: size)
    try quiet.success()
    #expect(!quiet.errorText.contains(warning), "\(quiet.summary)")
    #expect(server.count(of: .complete) + server.count(of: .put) == 2)
  }

  @Test("a vendor's own tag of an object in parts is no reason to send it again", arguments: [true, false])
  func otherWholeTags(checksums: Bool) async throws {
    let server = try server(.digests, whole: .others, checksums: checksums)
    let done = try await run(server, ["--verify", "s3://b/k"], size: 12 << 20)
    let result = try done.success()
    #expect(result["attempts"].int == 1)
    #expect(result["verified"].text == (checksums ? "size+hash" : "size"))
    #expect(done.errorText.components(separatedBy: warning).count == 2, "\(done.summary)")
    #expect(server.sent == [1: 1, 2: 1, 3: 1])
    #expect(server.count(of: .complete) == 1)
  }

  @Test("no tag at all, of an object or of its parts, stops nothing", arguments: [1, 12 << 20])
  func noTags(size: Int) async throws {
    // A part that has none in its own answer has one in the list.
    let server = try ScriptedS3(box, ScriptedS3.Manner(tags: size == 1 ? .none : .digests, wholeTags: .none)) { call, exchange in
      guard case .part(2) = call.operation, call.before == 0, let store = call.storePart else { return false }
      store(exchange.readBody())
      exchange.answer("")
      return true
    }
    let done = try await run(server, ["--verify", "s3://b/k"], size: size)
    #expect(try done.success()["attempts"].int == 1)
    #expect(server.size(of: "/b/k") == size)
  }

  @Test("what arrives as something else is found by the checksum, whatever the tags are", arguments: [1, 12 << 20])
  func corruptByChecksum(size: Int) async throws {
    let server = try server(.others, checksums: true) { operation, before in
      before == 0 && (operation == .put || operation == .part(2))
    }
    let result = try await run(server, ["--verify", "s3://b/k"], size: size).success()
    #expect(result["attempts"].int == 2)
    #expect(result["verified"].text == "size+hash")
    #expect(server.count(of: .put) == (size == 1 ? 2 : 0))
    #expect(server.count(of: .complete) == (size == 1 ? 0 : 1), "what is wrong is not published")
    #expect(server.sent[2] == (size == 1 ? nil : 2))
  }

  @Test("what arrives as something else is found by the tag where others of this run were right")
  func corruptByTag() async throws {
    let server = try server(.digests) { operation, before in operation == .part(1) && before == 0 }
    let parts = try await run(server, ["s3://b/k"], size: 12 << 20).success()
    #expect(parts["attempts"].int == 2)
    #expect(server.sent == [1: 2, 2: 1, 3: 1])
    #expect(server.count(of: .complete) == 1)
    // Objects that are put one after the other: the second one is judged by the first one.
    let set = try self.server(.digests) { operation, before in operation == .put && before == 1 }
    let done = try await run(set, ["--part-size", "1M", "s3://b/k"], size: 3 << 20)
    #expect(done.exit == 0, "\(done.summary)")
    #expect(set.count(of: .put) == 5, "three parts, one of them twice, and the list of them")
    #expect(!done.errorText.contains(warning))
  }

  @Test("a size that is not right is found, whatever the tags are")
  func wrongSize() async throws {
    let server = try ScriptedS3(box, ScriptedS3.Manner(tags: .others)) { call, exchange in
      guard call.operation == .head else { return false }
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
      return true
    }
    let failed = try await run(server, ["--retries", "1", "s3://b/k"], size: 3)
    try failed.failure(69, "server")
    #expect(failed.errorText.contains("did not arrive as it was sent"), "\(failed.summary)")
  }
}

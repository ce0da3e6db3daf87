import Foundation
import Support
import Testing

/// `input_sha256`: what the input was, where the object is another one.
@Suite(.sandboxed)
struct InputHashTests {
  private let box = Sandbox.here
  private let bytes: [UInt8] = {
    var generator = SeededGenerator(41)
    return generator.text(1_300_000)
  }()

  @Test("an object that is the input has no other hash", arguments: [[], ["--check", "cat >/dev/null"]])
  func plain(options: [String]) async throws {
    let result = try await box.start(box.client(options + ["./out"], input: .bytes(bytes))).finish().success()
    try await #expect(result["sha256"].text == sha256(bytes))
    #expect(result["input_sha256"] == .null)
  }

  @Test(
    "the input of gzip and of filters is hashed as it came",
    arguments: [
      ["-z"], ["-z", "--level", "auto"], ["-z", "--threads", "1"], ["--through", "tr a-z A-Z"],
      ["-z", "--through", "cat", "--through", "cat"],
      ["-z", "--check", "cat >/dev/null"], ["--through", "head -c 10"],
    ])
  func changed(options: [String]) async throws {
    let result = try await box.start(box.client(options + ["./out"], input: .bytes(bytes))).finish().success()
    try await #expect(result["input_sha256"].text == sha256(bytes))
    try await #expect(result["sha256"].text == sha256(contents("\(box.work)/out")))
  }

  @Test("a regular file, a command and nothing at all have theirs")
  func inputs() async throws {
    let file = try box.file("in", bytes)
    let hash = try await sha256(bytes)
    #expect(try await box.sluice("-z", "--input", file, "./1").success()["input_sha256"].text == hash)
    #expect(try await box.sluice("-z", "./2", "--", "cat", file).success()["input_sha256"].text == hash)
    let copy = try await box.sluice("-z", "--tee", "--result", "r", "./3", input: bytes)
    expectSame(copy.output, bytes)
    #expect(try resultLines(String(decoding: contents("\(box.work)/r"), as: UTF8.self))[0]["input_sha256"].text == hash)
    let empty = try await box.sluice("-z", "--min-size", "0", "./4", input: []).success()
    try await #expect(empty["input_sha256"].text == sha256([]))
  }

  @Test("the result and the manifest of a set of parts have it")
  func parts() async throws {
    let hash = try await sha256(bytes)
    let result = try await box.sluice("-z", "--part-size", "100k", "./x", input: bytes).success()
    #expect(result["input_sha256"].text == hash)
    let manifest = try JSON(parsing: String(decoding: contents("\(box.work)/x.parts.json"), as: UTF8.self))
    #expect(manifest["input_sha256"].text == hash && manifest["input_bytes"].int == bytes.count)
    _ = try await box.sluice("--part-size", "1M", "./y", input: bytes).success()
    let plain = try JSON(parsing: String(decoding: contents("\(box.work)/y.parts.json"), as: UTF8.self))
    #expect(plain["input_sha256"] == .null && plain["input_bytes"] == .null && plain["sha256"].text == hash)
  }

  @Test("a held object keeps it")
  func held() async throws {
    let server = try await box.loopback("--code", "500", "--times", "1")
    let held = try await box.sluice("--no-preflight", "--retries", "0", "-z", server.alist("/x"), input: bytes).failure(69, "server")
    let hash = try await sha256(bytes)
    #expect(held["input_sha256"].text == hash)
    let pushed = try await box.sluice("held", "push", #require(held["held"].text)).success()
    #expect(pushed["input_sha256"].text == hash && pushed["sha256"] == held["sha256"])
  }
}

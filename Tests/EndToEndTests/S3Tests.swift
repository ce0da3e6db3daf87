import Foundation
import Support
import Testing

/// Uploads to S3 servers that others wrote.
@Suite(
  .enabled(if: !S3Server.installed.isEmpty, "neither Ceph's radosgw nor rclone 1.75 is installed"), .s3Servers, .sandboxed)
struct S3Tests {
  private let box = Sandbox.here

  @Test("objects arrive whole, in one piece and in parts", arguments: S3Server.installed, [0, 1, 5 << 20, (5 << 20) + 1, 23_456_789])
  func roundTrip(server: S3Server, size: Int) async throws {
    let bucket = try await server.bucket(box)
    var generator = SeededGenerator(UInt64(size))
    let bytes = generator.bytes(size)
    let run = try await box.sluice(
      "--min-size", "0", "--verify", "-o", "part-size=5M", "--content-type", "text/x-test", "-o", "metadata=colour=dark  blue",
      "s3://\(bucket)/a/x", input: bytes, environment: server.environment)
    let result = try run.success()
    #expect(result["verified"].text == "size+hash")
    #expect(result["path"].text == "\(bucket)/a/x")
    try await expectSame(server.object(box, "\(bucket)/a/x"), bytes)
    let head = try await server.curl(box, "-I", "/\(bucket)/a/x").outputText.lowercased()
    #expect(head.contains("content-type: text/x-test"))
    #expect(head.contains("x-amz-meta-colour: dark  blue"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a regular file is sent from where it lies, with its time", arguments: S3Server.installed)
  func regularFile(server: S3Server) async throws {
    let bucket = try await server.bucket(box)
    var generator = SeededGenerator(9)
    let bytes = generator.bytes(12_000_000)
    let file = try box.file("in", bytes)
    let run = try await box.sluice(
      "--verify", "-o", "part-size=5M", "--mtime", "1500000000123", "--input", file, "s3://\(bucket)/x", environment: server.environment)
    try run.success()
    try await expectSame(server.object(box, "\(bucket)/x"), bytes)
    #expect(try await server.curl(box, "-I", "/\(bucket)/x").outputText.lowercased().contains("x-amz-meta-mtime: 1500000000.123"))
  }

  @Test("what the server would refuse is refused before the input is read", arguments: S3Server.installed)
  func preflight(server: S3Server) async throws {
    let bucket = try await server.bucket(box)
    for (key, value) in [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "NOBODY")] {
      let environment = server.environment.merging([key: value]) { $1 }
      let run = try await box.start(box.client(["s3://\(bucket)/x"], input: .endless, environment: environment)).finish()
      try run.failure(77, "auth")
      let check = try await box.sluice("check", "s3://\(bucket)/x", environment: environment)
      try check.failure(77, "auth")
    }
    let missing = try await box.start(
      box.client(["s3://no-such-\(bucket)/x"], input: .endless, environment: server.environment)
    ).finish()
    try missing.failure(73, "rejected")
    let late = try await box.sluice(
      "--no-preflight", "--no-hold", "s3://no-such-\(bucket)/x", input: [1], environment: server.environment)
    #expect(try late.failure(73, "rejected")["response"]["code"].text == "NoSuchBucket")
    try await box.sluice("check", "s3://\(bucket)/x", environment: server.environment).success()
    #expect(try await !server.curl(box, "/\(bucket)").outputText.contains("<Key>"))
  }

  @Test("--no-clobber keeps what is there", arguments: S3Server.installed, [1, 6 << 20])
  func noClobber(server: S3Server, size: Int) async throws {
    let bucket = try await server.bucket(box)
    let bytes = [UInt8](repeating: 7, count: size)
    let options = ["--no-clobber", "-o", "part-size=5M", "s3://\(bucket)/x"]
    func run(_ more: [String], _ input: Program.Input) async throws -> Finished {
      try await box.start(box.client(options + more, input: input, environment: server.environment)).finish()
    }
    try await run([], .bytes(bytes)).success()
    try await run([], .endless).failure(73, "exists")
    try await run(["--no-preflight", "--no-hold"], .bytes([1])).failure(73, "exists")
    try await expectSame(server.object(box, "\(bucket)/x"), bytes)
  }

  @Test("--verify finds that an object is another one", arguments: S3Server.installed)
  func replaced(server: S3Server) async throws {
    let bucket = try await server.bucket(box)
    for bytes in [[UInt8](repeating: 1, count: 100), [UInt8](repeating: 2, count: 100)] {
      try await box.sluice("--verify", "s3://\(bucket)/x", input: bytes, environment: server.environment).success()
      try await expectSame(server.object(box, "\(bucket)/x"), bytes)
    }
  }

  @Test(
    "keys arrive as they are written", .enabled(if: S3Server.installed.contains(.ceph), "Ceph's radosgw is not installed"),
    arguments: ["a b", "a+b", "a%b", "a/../b", "a//b", "./a", "/a", "a?b=c#d", "文件/🎉", "e\u{301}", "~!*'()", "a\\b", "a;b:c@d,e=f$g"])
  func keys(key: String) async throws {
    let server = S3Server.ceph
    let bucket = try await server.bucket(box)
    let config = try box.file("config.yaml", "remotes:\n  store:\n    type: s3\n    url: \(server.peer.url)\n")
    let environment = server.environment.merging(["SLUICE_CONFIG": config, "AWS_ENDPOINT_URL": nil]) { $1 }
    let run = try await box.sluice("--verify", "store:\(bucket)/\(key)", input: [1, 2, 3], environment: environment)
    #expect(try run.success()["path"].text == "\(bucket)/\(key)")
    let list = try await server.curl(box, "/\(bucket)").outputText
    let escaped = key.replacing("&", with: "&amp;").replacing("'", with: "&apos;")
    #expect(list.contains("<Key>\(key)</Key>") || list.contains("<Key>\(escaped)</Key>"), "\(list)")
  }

  @Test("an interrupted upload goes on where it was", arguments: S3Server.installed)
  func resume(server: S3Server) async throws {
    let bucket = try await server.bucket(box)
    var generator = SeededGenerator(11)
    let bytes = generator.bytes(30 << 20)
    let slow = ["-v", "--no-preflight", "-o", "part-size=5M", "-o", "concurrency=2", "--limit-rate", "8M", "s3://\(bucket)/x"]
    let running = try box.start(box.client(slow, input: .bytes(bytes), environment: server.environment))
    try await eventually("two parts are there") { running.errorSoFar.components(separatedBy: "HTTP 200").count > 3 }
    running.signal(SIGTERM)
    let stopped = await running.finish()
    let id = try #require(try stopped.failure(143, "interrupted")["held"].text)
    let pushed = try await box.sluice("held", "push", "-v", id, environment: server.environment)
    try pushed.success()
    let sent = pushed.errorText.components(separatedBy: "PUT ").count - 1
    #expect((1...4).contains(sent), "\(pushed.summary)")
    try await expectSame(server.object(box, "\(bucket)/x"), bytes)
    #expect(try await !server.curl(box, "/\(bucket)?uploads=").outputText.contains("<UploadId>"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("parts on their way at a time take no memory of their size", arguments: S3Server.installed)
  func memory(server: S3Server) async throws {
    let bucket = try await server.bucket(box)
    let file = try box.file("in", [UInt8](repeating: 5, count: 200 << 20))
    var program = box.client(
      ["-q", "-o", "part-size=32M", "--input", file, "s3://\(bucket)/x"], environment: server.environment)
    program.measuresMemory = true
    let run = try await box.start(program).finish()
    try run.success()
    #expect(run.peakKiB > 0 && run.peakKiB < 64 << 10, "\(run.peakKiB) KiB")
  }
}

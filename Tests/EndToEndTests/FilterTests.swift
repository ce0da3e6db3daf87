import Foundation
import Support
import Testing

/// What stands between the input and the object: filters, guards, the least size, the copy.
@Suite(.sandboxed)
struct FilterTests {
  private let box = Sandbox.here

  @Test("a check that ends and leaves a child with its input does not hang the run")
  func checkLeavesChild() async throws {
    let check = "exec 3<&0; (sleep 600 0<&3 3<&-; :) & echo $! > pid; exit 0"
    let run = try await box.sluice("--check", check, "./out", input: [UInt8](repeating: 1, count: 3_000_000))
    try run.success()
    #expect(run.duration < .seconds(60))
    _ = try await box.shell("kill $(cat pid); pkill -P $(cat pid)")
  }

  @Test("a check that takes bytes slowly, but takes them, is no hanging one")
  func checkTakesSlowly() async throws {
    let check = "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 4096 > /dev/null; sleep 0.3; done; cat > /dev/null"
    try await box.sluice("--check", check, "--check-timeout", "2s", "./out", input: [UInt8](repeating: 1, count: 200_000)).success()
  }

  @Test("SIGTERM ends a run whose copy nobody takes, or whose check takes nothing", arguments: ["tee", "check"])
  func blockedCopy(what: String) async throws {
    let pipe = try PipeEnds()
    let options = what == "tee" ? ["--tee", "--result", "result"] : ["--check", "echo > started; sleep 600"]
    var client = box.client(options + ["./out"], input: .endless)
    if what == "tee" { client.output = .descriptor(pipe.write) }
    let running = try box.start(client)
    // What is written before anybody reads is little; from then on the run waits.
    try await eventually("the run has begun") { what == "tee" ? !box.spoolNames.isEmpty : exists("\(box.work)/started") }
    running.signal(SIGTERM)
    let run = await running.finish()
    #expect(run.exit == 143, "\(run.summary)")
    close(pipe.read)
    close(pipe.write)
  }

  @Test("a filter's output is the object")
  func cat() async throws {
    var generator = SeededGenerator(1)
    let bytes = generator.bytes(1_500_000)
    let result = try await box.sluice("--through", "cat", "./out", input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(result["input_bytes"].int == bytes.count)
  }

  @Test("filters follow each other in the order given")
  func order() async throws {
    let result = try await box.sluice("--through", "tr a b", "--through", "sed s/b/cc/", "./out", input: Array("a\n".utf8)).success()
    try expectSame(contents("\(box.work)/out"), Array("cc\n".utf8))
    #expect(result["input_bytes"].int == 2)
    #expect(result["bytes"].int == 3)
  }

  @Test("gzip comes before the filters")
  func gzipFirst() async throws {
    var generator = SeededGenerator(2)
    let bytes = generator.text(400_000)
    try await box.sluice("-z", "--through", "gunzip -c", "./out", input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
  }

  @Test(
    "a filter that fails uploads nothing, wherever it stands and whatever it printed",
    arguments: [
      ["exit 3"], ["cat; exit 3"], ["cat", "cat >&2; exit 1"], ["head -c 1; exit 9", "cat"], ["kill -9 $$"], ["no-such-filter-x"],
    ])
  func failing(filters: [String]) async throws {
    let server = try await box.loopback()
    let arguments = filters.flatMap { ["--through", $0] } + [server.alist("/out")]
    let run = try await box.start(box.client(arguments, input: .bytes([UInt8](repeating: 65, count: 1_000_000)))).finish()
    try run.failure(65, "input")
    #expect(!exists(server.alistFile("/out")))
    #expect(try server.log("/api/fs/put").isEmpty)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a filter that fails ends a producer without end")
  func failingEndless() async throws {
    let run = try await box.sluice("--through", "head -c 10 >/dev/null; exit 1", "./out", input: .endless)
    try run.failure(65, "input")
    #expect(run.duration < .seconds(20))
  }

  @Test("a filter that is content with the beginning gives a whole object", arguments: [100, 1_000_000])
  func headFilter(size: Int) async throws {
    try await box.sluice("--through", "head -c 10", "./out", input: [UInt8](repeating: 65, count: size)).success()
    try expectSame(contents("\(box.work)/out"), [UInt8](repeating: 65, count: 10))
  }

  @Test("a check that accepts lets the object through, and reads the input as it came")
  func checkPasses() async throws {
    var generator = SeededGenerator(3)
    let bytes = generator.bytes(900_000)
    try await box.sluice("-z", "--check", "cat > seen", "./out", input: bytes).success()
    try expectSame(contents("\(box.work)/seen"), bytes)
  }

  @Test("a check that refuses uploads nothing, and is named", arguments: [["false"], ["true", "cat >/dev/null; exit 4"], ["kill -9 $$"]])
  func checkFails(checks: [String]) async throws {
    let server = try await box.loopback()
    let arguments = checks.flatMap { ["--check", $0] } + [server.alist("/out")]
    let run = try await box.start(box.client(arguments, input: .bytes(Array("data".utf8)))).finish()
    try run.failure(65, "input")
    #expect(run.errorText.contains(checks.last!.suffix(6)))
    #expect(try server.log("/api/fs/put").isEmpty)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a check that is content with the beginning does not stop the rest", arguments: ["head -c 1 >/dev/null", "true"])
  func checkEndsEarly(check: String) async throws {
    let bytes = [UInt8](repeating: 66, count: 3_000_000)
    try await box.sluice("--check", check, "--check", "wc -c > count", "./out", input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(String(decoding: try contents("\(box.work)/count"), as: UTF8.self).contains("3000000"))
  }

  @Test("a check reads a regular file too")
  func checkFile() async throws {
    let file = try box.file("in", "not a tar")
    let run = try await box.sluice("--input", file, "--check", "tar -tf - >/dev/null 2>&1", "./out")
    try run.failure(65, "input")
    #expect(!exists("\(box.work)/out"))
    try await box.sluice("--input", file, "--check", "grep -q 'a tar'", "./out").success()
  }

  @Test("a check that hangs is ended, whether it reads nothing or does not end", arguments: ["sleep 600", "cat > /dev/null; sleep 600"])
  func checkHangs(check: String) async throws {
    let run = try await box.sluice(
      "--check", "echo $$ > pid; \(check)", "--check-timeout", "500ms", "./out", input: [UInt8](repeating: 1, count: 3_000_000))
    try run.failure(65, "input")
    #expect(run.errorText.contains("--check-timeout"))
    #expect(!exists("\(box.work)/out"))
    let pid = try #require(
      pid_t(String(decoding: contents("\(box.work)/pid"), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)))
    try await eventually("the check is gone") { kill(pid, 0) != 0 }
  }

  @Test("a check that is slow but moves on is waited for")
  func checkIsSlow() async throws {
    let slow = "for i in 1 2 3 4 5 6; do head -c 500000 > /dev/null; sleep 0.3; done; cat > /dev/null"
    let bytes = [UInt8](repeating: 1, count: 3_000_000)
    try await box.sluice("--check", slow, "--check-timeout", "20s", "./out", input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
  }

  @Test(
    "a check that reads only the beginning is judged by its exit status",
    arguments: [("head -c 1 >&2", true), ("head -c 1; exit 3", false)])
  func checkReadsLittle(check: String, passes: Bool) async throws {
    let run = try await box.sluice("--check", check, "./out", input: [UInt8](repeating: 0x2e, count: 3_000_000))
    if passes { try run.success() } else { try run.failure(65, "input") }
    #expect(exists("\(box.work)/out") == passes)
  }

  @Test("two checks and a filter see the same input at the same time")
  func checksTogether() async throws {
    var generator = SeededGenerator(8)
    let bytes = generator.bytes(2_000_000)
    try await box.sluice(
      "--check", "sha256sum > a", "--check", "sha256sum > b", "--through", "cat", "./out", input: bytes
    ).success()
    #expect(try contents("\(box.work)/a") == contents("\(box.work)/b"))
    #expect(try await String(decoding: contents("\(box.work)/a"), as: UTF8.self).hasPrefix(sha256(bytes)))
    try expectSame(contents("\(box.work)/out"), bytes)
  }

  @Test(
    "an input shorter than --min-size is refused, one of that size is not",
    arguments: [("10", 9, false), ("10", 10, true), ("1k", 1023, false), ("1KiB", 1024, true)])
  func minimum(limit: String, size: Int, passes: Bool) async throws {
    let run = try await box.sluice("--min-size", limit, "./out", input: [UInt8](repeating: 1, count: size))
    if passes {
      try run.success()
    } else {
      try run.failure(65, "input")
      #expect(run.errorText.contains("\(size)"))
      #expect(!exists("\(box.work)/out"))
      #expect(box.spoolNames.isEmpty)
    }
  }

  @Test("--min-size counts the input, not what gzip makes of it, and holds for files")
  func minimumOfInput() async throws {
    let file = try box.file("in", [UInt8](repeating: 0, count: 5000))
    try await box.sluice("-z", "--min-size", "5000", "--input", file, "./out").success()
    try await box.sluice("--min-size", "5001", "--input", file, "./out2").failure(65, "input")
    #expect(!exists("\(box.work)/out2"))
  }

  @Test("--tee copies the input to standard output, and the result goes to its file")
  func tee() async throws {
    var generator = SeededGenerator(6)
    let bytes = generator.bytes(1_000_000)
    let run = try await box.sluice("-z", "--tee", "--result", "result", "./out", input: bytes)
    #expect(run.exit == 0, "\(run.errorText)")
    expectSame(run.output, bytes)
    let results = try resultLines(String(decoding: contents("\(box.work)/result"), as: UTF8.self))
    #expect(results.map { $0["ok"] } == [.bool(true)])
    try await expectSame(gunzipped(contents("\(box.work)/out")), bytes)
  }

  @Test("a reader of the copy that goes away does not stop the upload")
  func teeToNobody() async throws {
    let bytes = [UInt8](repeating: 3, count: 1_000_000)
    let pipe = try PipeEnds()
    close(pipe.read)
    var client = box.client(["--tee", "--result", "result", "./out"], input: .bytes(bytes))
    client.output = .descriptor(pipe.write)
    let running = try box.start(client)
    close(pipe.write)
    let run = await running.finish()
    #expect(run.exit == 0, "\(run.summary)")
    try expectSame(contents("\(box.work)/out"), bytes)
  }

  @Test("a copy that is cut by a full disk is told of, with -q too, and the run does not end as if all were well", arguments: [[], ["-q"]])
  func teeToFullDisk(options: [String]) async throws {
    let bytes = [UInt8](repeating: 3, count: 1_000_000)
    var client = box.client(options + ["--tee", "--result", "result", "./out"], input: .bytes(bytes))
    let full = open("/dev/full", O_WRONLY)
    client.output = .descriptor(full)
    let running = try box.start(client)
    close(full)
    let run = await running.finish()
    #expect(run.exit == 74, "\(run.summary)")
    #expect(run.errorText.contains("the copy is cut there"), "\(run.summary)")
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(try resultLines(String(decoding: contents("\(box.work)/result"), as: UTF8.self)).map { $0["ok"] } == [.bool(true)])
  }

  @Test("--result writes the result there instead")
  func resultFile() async throws {
    let run = try await box.sluice("--result", "result", "./out", input: Array("x".utf8))
    #expect(run.exit == 0)
    #expect(run.output.isEmpty)
    #expect(try resultLines(String(decoding: contents("\(box.work)/result"), as: UTF8.self)).count == 1)
  }
}

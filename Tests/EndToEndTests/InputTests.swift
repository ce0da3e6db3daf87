import Foundation
import Support
import Testing

/// What may be an input, and what becomes of one that can't be trusted.
@Suite(.sandboxed)
struct InputTests {
  private let box = Sandbox.here

  @Test("standard input is stored byte for byte, and the result says what is stored")
  func standardInput() async throws {
    var generator = SeededGenerator(1)
    let bytes = generator.bytes(300_000)
    let result = try await box.sluice("./out", input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(result["input_bytes"].int == bytes.count)
    #expect(result["bytes"].int == bytes.count)
    #expect(result["gzip"].bool == false)
    #expect(result["endpoint"].text == "file")
    #expect(result["attempts"].int == 1)
    #expect(try await result["sha256"].text == sha256(bytes))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("an empty input is an empty object where that is asked for", arguments: [false, true])
  func empty(gzip: Bool) async throws {
    var client = box.client((gzip ? ["-z"] : []) + ["--min-size", "0", "./out"], input: .bytes([]))
    client.limit = .seconds(30)
    let result = try await box.start(client).finish().success()
    #expect(result["input_bytes"].int == 0)
    #expect(try contents("\(box.work)/out").count == result["bytes"].int)
    #expect((result["bytes"].int == 0) == !gzip)
  }

  @Test("a file as standard input is stored")
  func redirect() async throws {
    let file = try box.file("in", "from a file")
    try await box.sluice("./out", input: .file(file)).success()
    try expectSame(contents("\(box.work)/out"), Array("from a file".utf8))
  }

  @Test("what comes in little by little is stored whole")
  func steps() async throws {
    let running = try box.start(box.client(["./out"], input: .pipe))
    for word in ["a", "bc", "def", "\n"] { await running.write(Array(word.utf8)) }
    running.closeInput()
    try await running.finish().success()
    try expectSame(contents("\(box.work)/out"), Array("abcdef\n".utf8))
  }

  @Test("a regular file is sent from where it lies: nothing comes into the spool")
  func regularFile() async throws {
    var generator = SeededGenerator(2)
    let bytes = generator.bytes(2_000_000)
    let file = try box.file("in", bytes)
    // The spool can't be made, so the run shows that none is needed.
    let result = try await box.sluice(
      "--input", file, "./out", environment: ["SLUICE_SPOOL_DIR": "/proc/no-spool"]
    ).success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(result["sha256"].text == (try await sha256(bytes)))
    #expect(result["input_bytes"].int == bytes.count)
  }

  @Test("a file that is cut short while it is sent is noticed, however slow the server is")
  func fileIsCutShort() async throws {
    let server = try await box.loopback("--stall-after", "1000")
    let file = try box.file("in", [UInt8](repeating: 1, count: 40 << 20))
    let running = try box.start(box.client(["--retries", "0", "-o", "direct", "--input", file, server.alist("/x")]))
    try await eventually("the upload has begun") { exists(server.alistFile("/x")) }
    #expect(truncate(file, 100) == 0)
    try await running.finish().failure(65, "input")
  }

  @Test("a regular file keeps its time of last change")
  func modificationTime() async throws {
    let file = try box.file("in", "x")
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1_000_000_000)], ofItemAtPath: file)
    try await box.sluice("--input", file, "./out").success()
    #expect(try modified("\(box.work)/out") == 1_000_000_000)
    try await box.sluice("--input", file, "--mtime", "2001-02-03T04:05:06Z", "./out2").success()
    #expect(try modified("\(box.work)/out2") == 981_173_106)
    try await box.sluice("--mtime", "1234567890123", "./out3", input: [1]).success()
    #expect(try modified("\(box.work)/out3").rounded(.down) == 1_234_567_890)
  }

  @Test("a named pipe is read to its end, whoever opens it first", arguments: [true, false], 1...3)
  func namedPipe(writerFirst: Bool, _: Int) async throws {
    #expect(mkfifo("\(box.work)/fifo", 0o600) == 0)
    var writer = Program("/bin/sh", ["-c", "echo > ready; echo one > fifo"])
    writer.directory = box.work
    var writing: RunningProgram?
    if writerFirst {
      writing = try box.start(writer)
      try await eventually("the writer is there") { exists("\(box.work)/ready") }
    }
    var client = box.client(["--input", "fifo", "./out"])
    client.limit = .seconds(20)
    let running = try box.start(client)
    if !writerFirst {
      try await eventually("the input is being read") { !box.spoolNames.isEmpty }
      writing = try box.start(writer)
    }
    try await running.finish().success()
    _ = await writing?.finish()
    try expectSame(contents("\(box.work)/out"), Array("one\n".utf8))
  }

  @Test("a command's output is the input, its arguments whole")
  func command() async throws {
    let run = try await box.sluice("./out", "--", "printf", "%s|%s|%s", "a b", "", "c'd\"e $HOME")
    try run.success()
    try expectSame(contents("\(box.work)/out"), Array("a b||c'd\"e $HOME".utf8))
  }

  @Test("a command that fails after some output uploads nothing")
  func commandFails() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.alist("/x"), "--", "sh", "-c", "echo partial; exit 3")
    let result = try run.failure(65, "input")
    #expect(result["attempts"].int == 0)
    #expect(run.errorText.contains("3"))
    #expect(try server.log("/api/fs/put").isEmpty)
    #expect(!exists(server.alistFile("/x")))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a command that a signal ends uploads nothing, and the signal is named")
  func commandKilled() async throws {
    let run = try await box.sluice("./out", "--", "sh", "-c", "echo partial; kill -KILL $$")
    try run.failure(65, "input")
    #expect(run.errorText.contains("9") || run.errorText.contains("KILL"))
    #expect(!exists("\(box.work)/out"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a command that is not there is named, and uploads nothing")
  func commandMissing() async throws {
    let run = try await box.sluice("./out", "--", "no-such-command-xyz", "a")
    try run.failure(65, "input")
    #expect(run.errorText.contains("no-such-command-xyz"))
    #expect(!exists("\(box.work)/out"))
  }

  @Test("the end of a command counts, not that of a child that keeps its output open")
  func commandLeavesChild() async throws {
    let run = try await box.sluice("./out", "--", "sh", "-c", "echo partial; (sleep 30; echo late) & exit 4")
    #expect(run.exit == 65, "\(run.summary)")
    #expect(run.duration < .seconds(20))
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a terminal on standard input is refused, with a hint")
  func terminal() async throws {
    let terminal = try PseudoTerminal()
    let run = try await box.sluice("./out", input: .descriptor(terminal.child))
    run.usage()
    #expect(run.errorText.contains("hint: "))
    #expect(run.errorText.contains("terminal"))
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a command needs no standard input that is no terminal")
  func terminalWithCommand() async throws {
    let terminal = try PseudoTerminal()
    try await box.sluice("./out", "--", "echo", "hi", input: .descriptor(terminal.child)).success()
  }

  @Test("two inputs are refused")
  func twoInputs() async throws {
    let file = try box.file("in", "x")
    let run = try await box.sluice("--input", file, "./out", "--", "echo", "hi")
    run.usage()
    #expect(!exists("\(box.work)/out"))
  }

  @Test("-- with nothing behind it is refused")
  func emptyCommand() async throws {
    let run = try await box.sluice("./out", "--", input: Array("x".utf8))
    run.usage()
  }

  @Test("an input that can't be read is named", arguments: ["directory", "missing", "unreadable"])
  func unreadable(kind: String) async throws {
    // Root may read all.
    if kind == "unreadable", getuid() == 0 { return }
    if kind == "directory" { try makeDirectory("\(box.work)/directory") }
    if kind == "unreadable" { try box.file("unreadable", "x", mode: 0) }
    let run = try await box.sluice("--input", kind, "./out")
    try run.failure(65, "input")
    #expect(run.errorText.contains(kind))
    #expect(!exists("\(box.work)/out"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a file that says it is empty and is not, as those of /proc, is read", .enabled(if: exists("/proc/version"), "there is no /proc"))
  func unknownSize() async throws {
    try await box.sluice("--input", "/proc/version", "./out").success()
    try expectSame(contents("\(box.work)/out"), contents("/proc/version"))
  }

  @Test("a read error is not taken for the end of the input")
  func readError() async throws {
    // Reading a directory gives EISDIR.
    let run = try await box.sluice("./out", input: .file(box.work))
    try run.failure(65, "input")
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a closed standard input is refused")
  func closed() async throws {
    let run = try await box.sluice("./out", input: .closed)
    #expect(run.exit == 65 || run.exit == 64, "\(run.summary)")
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a file that grows while it is sent is an error, and no object is taken for whole")
  func growing() async throws {
    let file = try box.file("in", [UInt8](repeating: 7, count: 400_000))
    let server = try await box.loopback()
    let running = try box.start(box.client(["--limit-rate", "200k", "--retries", "0", "--input", file, server.alist("/x")]))
    try await eventually("the upload begins") { names(in: server.alistFile("/")).contains { $0.hasPrefix(".x.sluice-") } }
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("more".utf8))
    try handle.close()
    let run = await running.finish()
    try run.failure(65, "input")
  }
}

/// Seconds since 1970.
func modified(_ path: String) throws -> Double {
  let date = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
  return (try #require(date)).timeIntervalSince1970
}

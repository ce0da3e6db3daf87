import Foundation
import Support
import Testing

/// What stands on standard output, and the exit status.
@Suite(.sandboxed)
struct ResultTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  /// Each row of the contract's table of exit statuses, with the shortest way there.
  enum Row: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case usage, input, unreachable, timeout, server, rejected, exists, spool, `protocol`, auth, config, interrupted
    var testDescription: String { rawValue }
  }

  @Test("each kind of failure has its exit status, and one line of JSON alone on standard output", arguments: Row.allCases)
  func exitStatus(row: Row) async throws {
    switch row {
    case .usage: try await box.sluice("nothing-that-is-a-destination", input: bytes).usage()
    case .input: try await box.sluice("./out", "--", "false").failure(65, "input")
    case .unreachable:
      let closed = try box.scripted { _ in }
      closed.stop()
      try await box.sluice("--retries", "0", "alist+http://\(closed.authority)/x", input: bytes).failure(69, "unreachable")
    case .timeout:
      let server = try await box.loopback("--hang")
      try await box.sluice("--timeout", "500ms", "--retries", "0", server.alist("/x"), input: bytes).failure(69, "timeout")
    case .server:
      let server = try await box.loopback("--status", "500")
      try await box.sluice("--retries", "0", server.alist("/x"), input: bytes).failure(69, "server")
    case .rejected:
      try makeDirectory("\(box.work)/out")
      try await box.sluice("./out", input: bytes).failure(73, "rejected")
    case .exists:
      try box.file("out", "x")
      try await box.sluice("--no-clobber", "./out", input: bytes).failure(73, "exists")
    case .spool: try await box.sluice("--spool-dir", "/proc/none", "./out", input: bytes).failure(74, "spool")
    case .protocol:
      let server = try await box.loopback("--html")
      try await box.sluice("--retries", "0", server.alist("/x"), input: bytes).failure(76, "protocol")
    case .auth:
      let server = try await box.loopback()
      try await box.sluice(server.alist("/x"), input: bytes, environment: ["ALIST_TOKEN": "wrong"]).failure(77, "auth")
    case .config: try await box.sluice("no-such-remote:/x", input: bytes).failure(78, "config")
    case .interrupted:
      let running = try box.start(box.client(["./out"], input: .pipe))
      await running.write(bytes)
      try await eventually("the input is being read") { !box.spoolNames.isEmpty }
      running.signal(SIGTERM)
      try await running.finish().failure(143, "interrupted")
    }
  }

  @Test("a success has all that the contract names, in its order")
  func keys() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice("-z", server.alist("/x"), input: bytes)
    let result = try run.success()
    let expected: Set = [
      "ok", "destination", "endpoint", "path", "input_bytes", "input_sha256", "bytes", "gzip", "sha256", "attempts", "elapsed_s",
      "upload_s", "http_status",
      "response",
    ]
    #expect(result.keys == expected)
    #expect(run.outputText.hasPrefix(#"{"ok":true,"destination":"#))
    #expect(!run.outputText.contains(": "), "the JSON is compact")
    #expect(try #require(result["upload_s"].double) <= #require(result["elapsed_s"].double))
    #expect(run.errorText.isEmpty)
  }

  @Test("a failure has its error, what was read, and where it is held")
  func failureKeys() async throws {
    let server = try await box.loopback("--code", "403", "--message", "permission denied")
    let result = try await box.sluice("--no-preflight", server.alist("/x"), input: bytes).failure(77, "auth")
    for key in ["input_bytes", "bytes", "gzip", "sha256", "http_status", "response", "held"] { #expect(result[key] != .null, "\(key)") }
    #expect(result["response"]["message"].text == "permission denied")
  }

  @Test("each destination has its line, and the status is that of the first that failed in the order given")
  func several() async throws {
    let server = try await box.loopback("--code", "403", "--message", "permission denied", "--on", "/api/fs/put")
    try makeDirectory("\(box.work)/directory")
    for (order, exit) in [(["./out", server.alist("/x"), "./directory"], 77), (["./out", "./directory", server.alist("/x")], 73)]
      as [([String], Int32)]
    {
      let run = try await box.start(box.client(["--no-preflight", "--retries", "0"] + order, input: .bytes(bytes))).finish()
      #expect(run.exit == exit, "\(run.summary)")
      let results = try run.results()
      #expect(Set(results.compactMap { $0["destination"].text }) == Set(order))
      #expect(results.filter { $0["ok"].bool == true }.count == 1)
      try expectSame(contents("\(box.work)/out"), bytes)
    }
  }

  @Test("one destination that is refused at the preflight does not keep the others from the object")
  func severalWithRefusal() async throws {
    let server = try await box.loopback()
    try makeDirectory("\(box.work)/directory")
    let run = try await box.sluice("./directory", server.alist("/x"), input: bytes)
    #expect(run.exit == 73, "\(run.summary)")
    #expect(try run.results().count == 2)
    #expect(try contents(server.alistFile("/x")) == bytes)
  }

  @Test("results that can't be written do not lose the upload, and are told of, with -q too", arguments: ["no reader", "/dev/full"])
  func unwritableOutput(how: String) async throws {
    let server = try await box.loopback()
    for words in [["./out"], ["-q", server.alist("/x")], ["mkdir", server.alist("/d")], ["check", "./out"]] {
      let run = try await unwritable(how, box.client(words, input: .bytes(bytes)))
      #expect(run.exit == 74, "\(run.summary)")
      #expect(run.errorText.contains("succeeded"), "\(run.summary)")
      #expect(run.errorText.split(separator: "\n").count == 1, "\(run.summary)")
    }
    #expect(try contents("\(box.work)/out") == bytes)
    #expect(try contents(server.alistFile("/x")) == bytes)
    #expect(box.spoolNames.isEmpty)
    // What failed, and how, counts more.
    let failed = try await unwritable(how, box.client(["-q", "./no/such/x", "./out"], input: .bytes(bytes)))
    #expect(failed.exit == 73, "\(failed.summary)")
    #expect(failed.errorText.contains("./out: the upload succeeded"), "\(failed.summary)")
    // Nothing but the message tells what is held.
    let held = try await unwritable(how, box.client(["held", "list"]))
    #expect(held.exit == 74 && held.errorText.contains("cannot write to standard output"), "\(held.summary)")
    try makeDirectory("\(box.work)/no")
    try makeDirectory("\(box.work)/no/such")
    let pushed = try await unwritable(how, box.client(["held", "push", "-q", "--all"]))
    #expect(pushed.exit == 74 && pushed.errorText.contains("the upload succeeded"), "\(pushed.summary)")
    #expect(try contents("\(box.work)/no/such/x") == bytes)
  }

  @Test("what was asked for and can't be printed is an error", arguments: ["no reader", "/dev/full"])
  func unwritableText(how: String) async throws {
    for words in [["--version"], ["--help"], ["held", "--help"], ["endpoints"]] {
      let run = try await unwritable(how, box.client(words))
      #expect(run.exit == 74 && run.errorText.contains("cannot write to standard output"), "\(run.summary)")
    }
  }

  @Test("a result file that can't be written does not lose the upload, and is told of")
  func unwritableFile() async throws {
    let run = try await box.sluice("-q", "--result", "/dev/full", "./out", input: bytes)
    #expect(run.exit == 74 && run.errorText.contains("the result could not be written to /dev/full"), "\(run.summary)")
    #expect(try contents("\(box.work)/out") == bytes)
  }

  @Test(
    "a long result too is one write to a file, so that runs which add to one log do not mix their lines",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"))
  func oneWrite() async throws {
    let server = try box.scripted { exchange in
      exchange.readBody()
      let body = #"{"a":"\#(String(repeating: "x", count: 6000))"}"#
      exchange.answer(body, status: exchange.request.method == "HEAD" ? "404 Not Found" : "201 Created")
    }
    let log = try box.file("log", "")
    var traced = box.client(["--no-preflight", "--result", log, "http://\(server.authority)/x"], input: .bytes(bytes))
    traced.arguments = ["-f", "-qq", "-o", "\(box.work)/trace", "-P", log, "-e", "trace=write", traced.path] + traced.arguments
    traced.path = try #require(Program.installed("strace"))
    let run = try await box.start(traced).finish()
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try contents(log).count > 6000)
    let trace = String(decoding: try contents("\(box.work)/trace"), as: UTF8.self)
    #expect(trace.split(separator: "\n").count { $0.contains("write(") } == 1, "\(trace)")
  }

  @Test("nobody wants results on a standard output that was closed from the start, and no file gets its number")
  func closedOutput() async throws {
    for words in [["./out"], ["--no-clobber", "--verify", "./new"], ["mkdir", "./d"], ["--version"], ["held"], ["endpoints"]] {
      var client = box.client(words, input: .bytes(bytes))
      client.output = .closed
      let run = try await box.start(client).finish()
      #expect(run.exit == 0 && run.errorText.isEmpty, "\(words): \(run.summary)")
    }
    #expect(try contents("\(box.work)/out") == bytes)
    #expect(try contents("\(box.work)/new") == bytes)
    #expect(box.spoolNames.isEmpty)
    var client = box.client(["./no/such/x"], input: .bytes(bytes))
    client.output = .closed
    #expect(try await box.start(client).finish().exit == 73)
  }

  /// Runs the client with a standard output that is full, or that nobody reads.
  private func unwritable(_ how: String, _ client: Program) async throws -> Finished {
    var client = client
    let ends = try PipeEnds()
    close(ends.read)
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    defer {
      close(ends.write)
      close(full)
    }
    client.output = .descriptor(how == "no reader" ? ends.write : full)
    return try await box.start(client).finish()
  }

  @Test("a standard error that is closed does not lose the upload", arguments: ["closed", "no reader", "/dev/full"])
  func closedError(how: String) async throws {
    let server = try await box.loopback("--status", "503", "--times", "1")
    var client = box.client(["-v", "--progress", "always", server.alist("/x")], input: .bytes(bytes))
    let ends = try PipeEnds()
    close(ends.read)
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    defer {
      close(ends.write)
      close(full)
    }
    client.error = how == "closed" ? .closed : .descriptor(how == "no reader" ? ends.write : full)
    let run = try await box.start(client).finish()
    try run.success()
    #expect(try contents(server.alistFile("/x")) == bytes)
  }

  @Test("with all of standard input, output and error closed a command's output arrives")
  func allClosed() async throws {
    var client = box.client(["./out", "--", "echo", "hi"], input: .closed)
    client.output = .closed
    client.error = .closed
    let run = try await box.start(client).finish()
    #expect(run.exit == 0)
    try expectSame(contents("\(box.work)/out"), Array("hi\n".utf8))
  }

  @Test("a server's words can't draw on the terminal, nor break the line of JSON")
  func hostileWords() async throws {
    let server = box.keep(
      try .alist { $0.answer(#"{"code":500,"message":"upload not supported \u001b[2J\u0007\n{\"ok\":true}\u202e","data":null}"#) })
    let run = try await box.sluice("--retries", "0", "alist+http://\(server.authority)/x", input: bytes)
    try run.failure(73, "rejected")
    #expect(!run.errorText.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    #expect(!run.errorText.contains("\u{202e}"))
    #expect(!run.errorText.split(separator: "\n").contains { $0.hasPrefix("{") })
  }

  @Test(
    "an answer that is no strict JSON in UTF-8 is shown as text on one line, one with a byte order mark as what it says",
    arguments: [
      ("\u{feff}{\"code\":0,\"n\":12345678901234567890}", String.Encoding.utf8, 0), ("{\"code\":0}", .utf16, 76),
      ("{\"code\":0}", .utf32LittleEndian, 76), ("{\"code\":0,\n}", .utf8, 76),
      ("{\"code\":0,\"msg\":\"\u{9b}2J\u{202e}\u{7f}\"}", .utf8, 0),
      ("{\"code\":0,\"msg\":\"\u{0}\u{1b}[2J\"}", .utf8, 76),
    ] as [(String, String.Encoding, Int32)])
  func strictJSON(body: String, encoding: String.Encoding, exit: Int32) async throws {
    let bytes = [UInt8](try #require(body.data(using: encoding)))
    let server = try box.scripted { exchange in
      exchange.readBody()
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
      exchange.send(bytes: bytes)
    }
    let run = try await box.sluice("--no-preflight", "--retries", "0", "siyuan+http://\(server.authority)/data/x", input: self.bytes)
    #expect(run.exit == exit, "\(run.summary)")
    let result = try run.result()
    #expect(result["response"]["text"].text == nil || exit != 0)
    #expect(
      run.outputText.unicodeScalars.allSatisfy { $0 == "\n" || (0x20..<0x7f).contains($0.value) || $0.value == 0xfffd }, "\(run.summary)")
    #expect(run.outputText.split(separator: "\n").count == 1)
    if body.contains("12345678901234567890") { #expect(run.outputText.contains("\"n\":12345678901234567890")) }
  }

  @Test("a response of many bytes is cut in the result")
  func longResponse() async throws {
    let server = box.keep(try .alist { $0.answer("<html>" + String(repeating: "é", count: 100_000), type: "text/html") })
    let run = try await box.sluice("--retries", "0", "alist+http://\(server.authority)/x", input: bytes)
    try run.failure(76, "protocol")
    #expect(run.output.count < 10_000)
  }

  @Test("--dry-run says what would be done, reads nothing and uploads nothing")
  func dryRun() async throws {
    let server = try await box.loopback()
    let result = try await box.sluice("-n", "-z", server.alist("/x"), input: .endless).success()
    #expect(result["dry_run"].bool == true)
    #expect(result["path"].text == "/x")
    #expect(try server.log("/api/fs/put").isEmpty)
    try await box.sluice("-n", server.alist("/x"), input: .endless, environment: ["ALIST_TOKEN": "wrong"]).failure(77, "auth")
  }

  @Test("messages begin with the program's name, and -q leaves errors alone")
  func messages() async throws {
    let server = try await box.loopback()
    let loud = try await box.sluice(server.siyuan("/conf/x"), input: bytes)
    #expect(loud.errorText.split(separator: "\n").allSatisfy { $0.hasPrefix("sluice: ") })
    #expect(loud.errorText.contains("warning"))
    #expect(try await box.sluice("-q", server.siyuan("/conf/x"), input: bytes).errorText.isEmpty)
    let failed = try await box.sluice("-q", "./no/such/dir/x", input: bytes)
    #expect(failed.errorText.hasPrefix("sluice: "))
  }

  @Test(
    "Python's validator agrees that the lines follow the schema",
    .enabled(if: Program.installed("python3") != nil, "python3 is not installed"))
  func pythonSchema() async throws {
    guard try await box.shell("python3 -c 'import jsonschema'").exit == 0 else {
      print("skipped: Python has no jsonschema")
      return
    }
    let server = try await box.loopback()
    var lines = ""
    lines += try await box.sluice("--verify", server.alist("/x"), input: bytes).outputText
    lines += try await box.sluice("-z", server.siyuan("/data/x"), "./out", input: bytes).outputText
    lines += try await box.sluice("-n", server.alist("/x"), input: bytes).outputText
    lines += try await box.sluice("-o", "as-task", "-o", "wait", server.alist("/t"), input: bytes).outputText
    lines += try await box.sluice("./out", "--", "false").outputText
    lines += try await box.sluice("nowhere:/x", input: bytes).outputText
    lines += try await box.sluice("mkdir", server.alist("/d"), "./d").outputText
    lines += try await box.sluice("check", server.alist("/d"), "./d").outputText
    try box.file("lines", lines)
    let script =
      "import json,sys,jsonschema; s=json.load(open(sys.argv[1])); jsonschema.Draft202012Validator.check_schema(s); "
      + "[jsonschema.validate(json.loads(l), s) for l in open('lines')]; print('ok')"
    try box.file("check.py", script)
    let checked = try await box.shell("python3 check.py '\(ResultSchema.file)'")
    #expect(checked.outputText == "ok\n", "\(checked.summary)\n\(lines)")
    #expect(lines.split(separator: "\n").count == 11)
    // And that it refuses what is wrong.
    for wrong in [#"{"ok":true}"#, #"{"ok":false,"destination":"x","attempts":1,"elapsed_s":1}"#] {
      try box.file("lines", wrong)
      #expect(try await box.shell("python3 check.py '\(ResultSchema.file)'").exit != 0)
      #expect(!ResultSchema.shared.problems(in: try JSON(parsing: wrong)).isEmpty)
    }
  }
}

import Foundation
import Support
import Testing

/// What is held: who waits for it, how long it stays, and what is said of it.
@Suite(.sandboxed)
struct HeldKeepingTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  /// Leaves an object behind that could not be uploaded.
  private func hold(_ destinations: String...) async throws -> String {
    let run = try await box.start(
      box.client(["--no-preflight", "--retries", "0"] + destinations, input: .bytes(bytes))
    ).finish()
    return try #require(try run.results().lazy.compactMap { $0["held"].text }.first, "\(run.summary)")
  }

  private func config(_ server: Loopback) throws -> [String: String?] {
    let text = "remotes:\n  nas:\n    type: http\n    url: \(server.url)/plain\n"
    return ["SLUICE_CONFIG": try box.file("config.yaml", text)]
  }

  @Test("who still waits is asked of the job: a destination that can't be opened now keeps the object")
  func whoWaits() async throws {
    let server = try await box.loopback("--on", "/plain/b", "--status", "503", "--times", "1")
    let environment = try config(server)
    let run = try await box.start(
      box.client(["--no-preflight", "--retries", "0", "nas:/b", "./t/f"], input: .bytes(bytes), environment: environment)
    ).finish()
    let id = try #require(try run.results().compactMap { $0["held"].text }.first, "\(run.summary)")
    try makeDirectory("\(box.work)/t")
    let push = try await box.sluice("held", "push", "--all")
    #expect(push.exit == 78, "\(push.summary)")
    try expectSame(contents("\(box.work)/t/f"), bytes)
    #expect(try push.results().compactMap { $0["held"].text } == [id])
    #expect(Set(box.spoolNames) == ["\(id).data", "\(id).json"])
    try await box.sluice("held", "push", id, environment: environment).success()
    try expectSame(contents(server.plainFile("/b")), bytes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("the exit status of a push is that of the first destination, in the order given, that failed")
  func firstInOrder() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "503")
    let environment = try config(server)
    let run = try await box.start(
      box.client(["--no-preflight", "--retries", "0", server.plain("/a"), "nas:/b"], input: .bytes(bytes), environment: environment)
    ).finish()
    #expect(run.exit == 69, "\(run.summary)")
    let push = try await box.sluice("held", "push", "--all", "--retries", "0")
    #expect(try push.results().map { $0["error"]["kind"].text } == ["config", "server"])
    #expect(push.exit == 69, "\(push.summary)")
  }

  @Test("the last line of a failed run says how to send what is held, also with -q", arguments: [[], ["--part-size", "5"]])
  func quiet(options: [String]) async throws {
    // Slow enough for the input to have ended: what fails before is not held.
    let name = options.isEmpty ? "/plain/x" : "/plain/x.part-00001"
    let server = try await box.loopback("--on", name, "--status", "503", "--delay", "200")
    let run = try await box.start(
      box.client(["-q", "--no-preflight", "--retries", "0", server.plain("/x")] + options, input: .bytes(Array("five".utf8)))
    ).finish()
    let id = try #require(try run.failure(69, "server")["held"].text)
    let lines = run.errorText.split(separator: "\n")
    #expect(lines.last == "sluice: the object is held; send it with: sluice held push \(id)", "\(run.summary)")
  }

  @Test("what was refused is left out by --all until it is named; what was full is tried again", arguments: [405, 507])
  func refused(status: Int) async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "\(status)", "--times", "1")
    let id = try await hold(server.plain("/x"))
    let all = try await box.sluice("held", "push", "--all")
    #expect(all.exit == 0, "\(all.summary)")
    if status == 405 {
      #expect(all.output.isEmpty)
      #expect(all.errorText.contains("sluice held push \(id)"), "\(all.summary)")
      #expect(!exists(server.plainFile("/x")))
      try await box.sluice("held", "push", id).success()
    }
    try expectSame(contents(server.plainFile("/x")), bytes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("held drop --older-than discards what is older, and nothing else")
  func dropOlder() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "503")
    let id = try await hold(server.plain("/x"))
    // Of the year 2016.
    let old = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for ending in ["data", "json"] { try write(contents("\(box.spool)/\(id).\(ending)"), to: "\(box.spool)/\(old).\(ending)", mode: 0o600) }
    #expect(try await box.sluice("held", "drop", "--older-than", "30d").exit == 0)
    #expect(Set(box.spoolNames) == ["\(id).data", "\(id).json"])
    #expect(try await box.sluice("held", "drop").exit == 64)
    #expect(try await box.sluice("held", "drop", "--older-than", "30d", id).exit == 64)
    #expect(try await box.sluice("held", "drop", "--older-than", "1ms").exit == 0)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("held drop asks on the terminal, and never takes its answer from standard input", arguments: ["n\n", "y\n", "--yes"])
  func dropAsks(answer: String) async throws {
    let setsid = try #require(Program.installed("setsid"))
    let server = try await box.loopback("--on", "/plain/", "--status", "503")
    let id = try await hold(server.plain("/x"))
    let terminal = try PseudoTerminal()
    let isToAsk = answer != "--yes"
    let line = "yes | '\(Program.built("sluice"))' held drop \(isToAsk ? "" : answer) \(id)"
    var program = Program(setsid, ["-c", "-w", "sh", "-c", line])
    program.environment = box.environment
    program.directory = box.work
    program.input = .descriptor(terminal.child)
    program.error = .descriptor(terminal.child)
    let running = try box.start(program)
    if isToAsk {
      try await eventually("it asks") { terminal.text.contains("discard \(id)") }
      terminal.type(answer)
    }
    let run = await running.finish()
    #expect(run.exit == 0, "\(run.summary) \(terminal.text)")
    #expect(box.spoolNames.isEmpty == (answer != "n\n"))
    #expect(terminal.text.contains("[y/N]") == isToAsk)
  }

  @Test("held list takes no lock, and tells age, size, destination and reason below a header")
  func list() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "503")
    let id = try await hold(server.plain("/x"), server.plain("/y"))
    let sluice = Program.built("sluice")
    let locked = try await box.shell("flock '\(box.spool)/\(id).data' '\(sluice)' held list")
    let entry = try JSON(parsing: locked.outputText)
    #expect(entry["id"].text == id, "\(locked.summary)")
    #expect(entry["destinations"].items.map { $0["kind"].text } == ["server", "server"])
    let terminal = try PseudoTerminal()
    var client = box.client(["held"])
    client.output = .descriptor(terminal.child)
    _ = try await box.start(client).finish()
    try await eventually("the table is there") { terminal.text.contains("/plain/y") }
    let lines = terminal.text.split(whereSeparator: \.isNewline)
    #expect(lines.count == 3)
    for word in ["ID", "AGE", "SIZE", "DESTINATION", "REASON"] { #expect(lines.first?.contains(word) == true, "\(terminal.text)") }
    for word in [id, "12 B", server.plain("/x"), "503"] { #expect(lines.dropFirst().first?.contains(word) == true, "\(terminal.text)") }
  }

  @Test(
    "a job of a newer version is named as such, and whatever is odd is kept",
    arguments: [(#""version":1"#, #""version":2"#), (#""destinations":\[.*?\]"#, #""destinations":[]"#), (#""bytes":12"#, #""bytes":-1"#)])
  func odd(part: String, other: String) async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "503", "--times", "1")
    let id = try await hold(server.plain("/x"))
    let job = "\(box.spool)/\(id).json"
    var text = String(decoding: try contents(job), as: UTF8.self)
    text.replace(try Regex(part), with: other)
    #expect(text.contains(other))
    try write(Array(text.utf8), to: job, mode: 0o600)
    for selection in ["--all", id] {
      let push = try await box.sluice("held", "push", selection)
      #expect(push.exit == 74, "\(push.summary)")
      #expect(push.errorText.contains("newer sluice") == other.contains("version"), "\(push.summary)")
    }
    let list = try await box.sluice("held", "list")
    #expect(list.exit == 0 && list.errorText.contains(id), "\(list.summary)")
    try expectSame(contents("\(box.spool)/\(id).data"), bytes)
    #expect(exists(job))
  }

  @Test(
    "data, job and folder get to the disk in this order, the job before it has its name; an upload that is short pays nothing",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"))
  func order() async throws {
    let server = try await box.loopback("--on", "/plain/x", "--status", "503")
    let calls = try await traced(box.client(["--retries", "0", "--no-preflight", server.plain("/x")], input: .bytes(bytes)))
    let synchronized = calls.filter { $0.hasPrefix("fsync") }
    #expect(synchronized.count == 3, "\(calls)")
    let last = calls.suffix(4).map { $0.replacing(box.spool, with: "SPOOL").replacing(#/[0-9A-Z]{26}/#, with: "ID") }
    #expect(last[0].contains("SPOOL/ID.data"), "\(last)")
    #expect(last[1].contains("SPOOL/ID.json.new"), "\(last)")
    #expect(last[2].hasPrefix("renameat") && last[2].contains("ID.json"), "\(last)")
    #expect(last[3].contains("<SPOOL>"), "\(last)")
    let short = try await traced(box.client([server.plain("/y")], input: .bytes(bytes)))
    #expect(!short.contains { $0.hasPrefix("fsync") }, "\(short)")
  }

  @Test(
    "where something is held beside a file gets to the disk before it has its name",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"))
  func placeOrder() async throws {
    var client = box.client(["./x"], input: .pipe, environment: ["SLUICE_SPOOL_DIR": nil])
    let (traced, log) = try trace(client)
    client = traced
    let running = try box.start(client)
    await running.write(bytes)
    try await eventually("there is a spool") { !names(in: "\(box.work)/.sluice-\(getuid())").isEmpty }
    // It can't be replaced, so that the object is held.
    try makeDirectory("\(box.work)/x")
    running.closeInput()
    _ = await running.finish()
    let calls = try self.calls(log)
    let index = try #require(calls.lastIndex { $0.hasPrefix("renameat") && $0.contains(".place") }, "\(calls)")
    #expect(calls[index - 1].hasPrefix("fsync") && calls[index - 1].contains(".place.new"), "\(calls)")
    #expect(calls[index + 1].hasPrefix("fsync"), "\(calls)")
  }

  private func trace(_ client: Program) throws -> (Program, log: String) {
    let log = "\(box.path)/trace-\(UInt32.random(in: 0 ... .max))"
    var traced = client
    traced.path = try #require(Program.installed("strace"))
    traced.arguments = ["-qq", "-f", "-y", "-o", log, "-e", "trace=fsync,fdatasync,renameat,renameat2", client.path] + client.arguments
    return (traced, log)
  }

  /// The calls that bring files to the disk or rename them in the spool folder, as strace writes them, in their order.
  private func traced(_ client: Program) async throws -> [String] {
    let (program, log) = try trace(client)
    _ = try await box.start(program).finish()
    return try calls(log)
  }

  private func calls(_ log: String) throws -> [String] {
    String(decoding: try contents(log), as: UTF8.self).split(separator: "\n").map { line in
      String(line.drop { $0.isNumber }.drop { $0 == " " })
    }.filter { !$0.contains("/.names") }
  }

  @Test(
    "a job that can't be written is no reason not to send the object",
    .enabled(if: SmallDisk.isPossible, "a small file system can be mounted by root alone"), arguments: ["./out", "fails"])
  func unwritableJob(destination: String) async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "503")
    try await withSmallDisk(at: box.spool, kibibytes: 256) {
      let object = [UInt8](repeating: 7, count: 256 << 10)
      let place = destination == "fails" ? server.plain("/x") : destination
      let run = try await box.sluice("--no-preflight", "--retries", "0", place, input: object)
      #expect(run.errorText.contains("warning: cannot write the job"), "\(run.summary)")
      if destination == "fails" {
        #expect(try run.failure(69, "server")["held"] == .null)
      } else {
        try run.success()
        try expectSame(contents("\(box.work)/out"), object)
      }
      #expect(box.spoolNames.isEmpty)
    }
  }
}

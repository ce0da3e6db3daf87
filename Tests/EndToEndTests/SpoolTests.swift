import Foundation
import Support
import Testing

/// Where the object is kept between its input and its upload.
@Suite(.sandboxed)
struct SpoolTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("what is not ours in the spool folder stays", arguments: [[], ["held"], ["held", "drop", "--all"]])
  func foreignFiles(arguments: [String]) async throws {
    let foreign = ["package.json", "results.data", "notes.txt", "a.json.new", "01ABC.json", "b.place"]
    for name in foreign { try write(bytes, to: "\(box.spool)/\(name)") }
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: box.spool)
    let run = try await box.start(box.client(arguments.isEmpty ? ["./out"] : arguments, input: .bytes(bytes))).finish()
    #expect(run.exit == 0, "\(run.summary)")
    #expect(Set(names(in: box.spool)) == Set(foreign))
    if arguments == ["held"] { #expect(run.output.isEmpty) }
  }

  @Test("folder and files belong to the user alone, whatever the umask")
  func modes() async throws {
    let running = try box.start(box.client(["./out"], input: .pipe))
    await running.write(bytes)
    try await eventually("there is a spool") { !box.spoolNames.isEmpty }
    #expect(mode(box.spool) == 0o700)
    for name in names(in: box.spool) { #expect(mode("\(box.spool)/\(name)") == 0o600, "\(name)") }
    running.closeInput()
    try await running.finish().success()
    #expect(box.spoolNames.isEmpty)
    let closed = try box.scripted { _ in }
    closed.stop()
    let held = try await box.shell("umask 0; echo x | '\(Program.built("sluice"))' --retries 0 alist+http://\(closed.authority)/x")
    #expect(held.exit == 69)
    #expect(mode("\(box.spool)/.names") == 0o700)
    for name in box.spoolNames + names(in: "\(box.spool)/.names").map({ ".names/\($0)" }) {
      #expect(mode("\(box.spool)/\(name)") == 0o600, "\(name)")
    }
  }

  @Test("the folder is --spool-dir, else SLUICE_SPOOL_DIR, else sluice-UID in TMPDIR", arguments: ["flag", "variable", "TMPDIR"])
  func place(how: String) async throws {
    let environment: [String: String?] = how == "TMPDIR" ? ["SLUICE_SPOOL_DIR": nil] : [:]
    // Two, because a lone file is spooled beside itself.
    let arguments = ["./out", "./out2"]
    let running = try box.start(
      box.client(how == "flag" ? ["--spool-dir", "here"] + arguments : arguments, input: .pipe, environment: environment))
    await running.write(bytes)
    let expected = ["flag": "\(box.work)/here", "variable": box.spool, "TMPDIR": "\(box.path)/tmp/sluice-\(getuid())"][how]!
    try await eventually("there is a spool in \(expected)") { !names(in: expected).filter { !$0.hasPrefix(".") }.isEmpty }
    #expect(mode(expected) == 0o700)
    running.closeInput()
    #expect(try await running.finish().results().count == 2)
  }

  @Test("a folder that is not safe is refused before the input is read", arguments: ["link", "writable", "file", "foreign"])
  func unsafe(kind: String) async throws {
    switch kind {
    case "link":
      try makeDirectory("\(box.path)/elsewhere", mode: 0o700)
      try FileManager.default.createSymbolicLink(atPath: box.spool, withDestinationPath: "\(box.path)/elsewhere")
    case "writable": try makeDirectory(box.spool, mode: 0o777)
    case "file": try write(bytes, to: box.spool)
    default:
      try makeDirectory(box.spool, mode: 0o700)
      guard chown(box.spool, 12345, 12345) == 0 else { return }
    }
    let run = try await box.sluice("./out", input: .endless)
    try run.failure(74, "spool")
    #expect(run.duration < .seconds(20))
    #expect(run.errorText.contains(box.spool))
    #expect(names(in: "\(box.path)/elsewhere").isEmpty)
  }

  @Test(
    "a full disk is exit 74, says what is needed and what is free, and leaves nothing",
    .enabled(if: SmallDisk.isPossible, "a small file system can be mounted by root alone"))
  func fullDisk() async throws {
    try await withSmallDisk(at: box.spool, kibibytes: 1024) {
      let run = try await box.sluice("./out", input: .endless)
      let result = try run.failure(74, "spool")
      #expect(run.duration < .seconds(20))
      #expect(run.errorText.lowercased().contains("no space"))
      #expect(run.errorText.contains("hint: "))
      #expect(run.errorText.contains { $0.isNumber } && run.errorText.contains("free"))
      #expect(result["attempts"].int == 0)
      #expect(box.spoolNames.isEmpty)
      #expect(!exists("\(box.work)/out"))
      // With little enough it works.
      try await box.sluice("./out", input: bytes).success()
    }
  }

  @Test(
    "a file that the disk has no room for is refused before it is read",
    .enabled(if: SmallDisk.isPossible, "a small file system can be mounted by root alone"))
  func noRoom() async throws {
    let file = try box.file("in", [UInt8](repeating: 1, count: 2_000_000))
    try await withSmallDisk(at: box.spool, kibibytes: 1024) {
      let run = try await box.sluice("./out", input: .file(file))
      try run.failure(74, "spool")
      #expect(run.errorText.contains("needs 2000000 bytes"))
      #expect(box.spoolNames.isEmpty)
      // Compressed it may fit.
      try await box.sluice("-z", "./out", input: .file(file)).success()
    }
  }

  @Test("--max-spool is refused where there is no spool")
  func maximumWithoutSpool() async throws {
    let file = try box.file("in", "something")
    let run = try await box.sluice("--max-spool", "300k", "--input", file, "./out")
    #expect(run.exit == 64, "\(run.summary)")
    #expect(run.errorText.contains("--max-spool"))
    try await box.sluice("-z", "--max-spool", "300k", "--input", file, "./out").success()
  }

  @Test("--max-spool bounds the spool, whatever the transforms make of the input", arguments: [[], ["-z"], ["--through", "cat"]])
  func maximum(options: [String]) async throws {
    let large = try await box.start(box.client(options + ["--max-spool", "300k", "./out"], input: .endless)).finish()
    try large.failure(74, "spool")
    #expect(large.duration < .seconds(20))
    #expect(large.errorText.contains("--max-spool"))
    #expect(box.spoolNames.isEmpty)
    #expect(!exists("\(box.work)/out"))
    try await box.start(box.client(["--max-spool", "300k", "./out"], input: .bytes([UInt8](repeating: 1, count: 300 << 10)))).finish()
      .success()
  }

  @Test("a limit for the size of files is exit 74 too, and no death by signal")
  func fileSizeLimit() async throws {
    var client = box.client(["./out"], input: .endless)
    client.fileSizeLimit = 1 << 20
    let run = try await box.start(client).finish()
    try run.failure(74, "spool")
    #expect(box.spoolNames.isEmpty)
  }

  @Test(
    "nothing is left after an input that failed",
    arguments: [["--", "false"], ["--check", "false"], ["--min-size", "1G"], ["--through", "false"]])
  func afterFailure(options: [String]) async throws {
    let isCommand = options[0] == "--"
    let run = try await box.start(box.client(isCommand ? ["./out"] + options : options + ["./out"], input: .bytes(bytes))).finish()
    try run.failure(65, "input")
    #expect(box.spoolNames.isEmpty)
  }

  @Test("what a run left that was killed during the input, the next run removes")
  func sweep() async throws {
    let running = try box.start(box.client(["./out"], input: .pipe))
    await running.write(bytes)
    try await eventually("there is a spool") { !box.spoolNames.isEmpty }
    let left = box.spoolNames
    running.signal(SIGKILL)
    _ = await running.finish()
    #expect(box.spoolNames == left)
    try await box.sluice("./out", input: bytes).success()
    #expect(box.spoolNames.isEmpty)
  }

  @Test("the spool of a run that lives is left alone by others")
  func concurrent() async throws {
    let running = try box.start(box.client(["./one"], input: .pipe))
    await running.write(bytes)
    try await eventually("there is a spool") { !box.spoolNames.isEmpty }
    let left = box.spoolNames
    try await box.sluice("./two", input: bytes).success()
    #expect(box.spoolNames == left)
    running.closeInput()
    try await running.finish().success()
    try expectSame(contents("\(box.work)/one"), bytes)
  }

  @Test("what is not sluice's in the folder is left alone")
  func foreignFiles() async throws {
    try makeDirectory(box.spool, mode: 0o700)
    for name in ["notes.txt", "01J", "README"] { try write(bytes, to: "\(box.spool)/\(name)") }
    try await box.sluice("./out", input: bytes).success()
    #expect(names(in: box.spool).filter { !$0.hasPrefix(".") } == ["01J", "README", "notes.txt"])
  }
}

/// Spools kept after an upload that did not succeed.
@Suite(.sandboxed)
struct HeldTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("after an upload that failed for good the object is held, and held push sends it")
  func push() async throws {
    let server = try await box.loopback("--status", "500", "--times", "1")
    let run = try await box.sluice(
      "-z", "--retries", "0", "--mtime", "1577934245678", "--content-type", "a/b", server.alist("/dir/x.gz"), input: bytes)
    let failed = try run.failure(69, "server")
    let id = try #require(failed["held"].text)
    #expect(run.errorText.contains("sluice held push \(id)"))

    let listed = try await box.sluice("held", "list")
    #expect(listed.exit == 0)
    let entry = try JSON(parsing: listed.outputText)
    #expect(entry["id"].text == id)
    #expect(entry["bytes"] == failed["bytes"])
    #expect(listed.outputText.contains(server.alist("/dir/x.gz")))

    let pushed = try await box.sluice("held", "push", id)
    let result = try pushed.success()
    #expect(result["bytes"] == failed["bytes"])
    #expect(result["sha256"] == failed["sha256"])
    #expect(result["input_bytes"].int == bytes.count)
    #expect(result["gzip"].bool == true)
    try await expectSame(gunzipped(contents(server.alistFile("/dir/x.gz"))), bytes)
    let headers = try await server.puts(2)[1]["headers"]
    #expect(headers["last-modified"].text == "1577934245678")
    #expect(headers["content-type"].text == "a/b")
    #expect(box.spoolNames.isEmpty)
    #expect(try await box.sluice("held").output.isEmpty)
  }

  @Test("held push that fails keeps it")
  func pushFails() async throws {
    let server = try await box.loopback("--status", "500")
    let id = try await hold(server.alist("/x"))
    let result = try await box.sluice("held", "push", "--retries", "0", id).failure(69, "server")
    #expect(result["held"].text == id)
    #expect(try await box.sluice("held", "list").outputText.contains(id))
  }

  @Test("of several destinations those that failed alone are sent again")
  func several() async throws {
    let server = try await box.loopback("--status", "500", "--times", "1")
    let run = try await box.sluice("--retries", "0", "./out", server.alist("/x"), input: bytes)
    #expect(run.exit == 69, "\(run.summary)")
    let id = try #require(try run.results().compactMap { $0["held"].text }.first)
    #expect(try run.results().filter { $0["held"] != .null }.count == 1)
    try FileManager.default.removeItem(atPath: "\(box.work)/out")
    let pushed = try await box.sluice("held", "push", id).success()
    #expect(pushed["endpoint"].text == "alist")
    #expect(!exists("\(box.work)/out"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("held drop discards", arguments: [true, false])
  func drop(all: Bool) async throws {
    let server = try await box.loopback("--status", "500")
    let id = try await hold(server.alist("/x"))
    let other = try await hold(server.alist("/y"))
    #expect(try await box.sluice("held", "drop", all ? "--all" : id).exit == 0)
    let left = try await box.sluice("held").outputText
    #expect(!left.contains(id))
    #expect(left.contains(other) != all)
    #expect(box.spoolNames.isEmpty == all)
  }

  @Test("held push --all sends all of them")
  func pushAll() async throws {
    let server = try await box.loopback("--status", "500", "--times", "2")
    _ = try await hold(server.alist("/x"))
    _ = try await hold(server.alist("/y"))
    let run = try await box.sluice("held", "push", "--all")
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try run.results().count == 2)
    try expectSame(contents(server.alistFile("/y")), bytes)
  }

  @Test("an ID that there is not is an error", arguments: ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "../../etc/passwd", ""])
  func unknownID(id: String) async throws {
    for verb in ["push", "drop"] {
      let run = try await box.sluice("held", verb, id)
      #expect(run.exit == 64, "\(run.summary)")
    }
    #expect(try await box.sluice("held", "push").exit == 64)
  }

  @Test("an object that was changed while it was held is not sent")
  func tampered() async throws {
    let server = try await box.loopback("--status", "500", "--times", "1")
    let id = try await hold(server.alist("/x"))
    try write(Array("SOME OBJECT\n".utf8), to: "\(box.spool)/\(id).data", mode: 0o600)
    let run = try await box.sluice("held", "push", id)
    #expect(run.exit == 74, "\(run.summary)")
    #expect(!exists(server.alistFile("/x")))
  }

  @Test("--no-hold keeps nothing")
  func noHold() async throws {
    let server = try await box.loopback("--status", "500")
    let result = try await box.sluice("--no-hold", "--retries", "0", server.alist("/x"), input: bytes).failure(69, "server")
    #expect(result["held"] == .null)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a regular file that lies where it lies is not held")
  func regularFile() async throws {
    let server = try await box.loopback("--status", "500")
    let file = try box.file("in", bytes)
    let result = try await box.sluice("--retries", "0", "--input", file, server.alist("/x")).failure(69, "server")
    #expect(result["held"] == .null)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("no secret is in the spool")
  func noSecret() async throws {
    let server = try await box.loopback("--status", "500")
    _ = try await box.sluice(
      "--retries", "0", "alist+http://admin:\(Loopback.password)@\(server.authority)/x", server.alist("/y"), input: bytes)
    #expect(!box.spoolNames.isEmpty)
    for name in box.spoolNames {
      let text = String(decoding: try contents("\(box.spool)/\(name)"), as: UTF8.self)
      #expect(!text.contains(Loopback.password) && !text.contains(Loopback.token), "\(name)")
    }
  }

  @Test("a run that is killed during the upload leaves a spool that held push sends")
  func killedUpload() async throws {
    let server = try await box.loopback("--hang", "--times", "1")
    let running = try box.start(box.client([server.alist("/x")], input: .bytes(bytes)))
    try await eventually("the upload has begun") { box.spoolNames.contains { $0.hasSuffix(".json") } }
    running.signal(SIGKILL)
    _ = await running.finish()
    let id = try #require(try JSON(parsing: await box.sluice("held").outputText)["id"].text)
    // If the upload had not yet reached the server its fault is still to come.
    try await box.sluice("held", "push", "--timeout", "3s", "--retries", "2", id).success()
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  /// Leaves an object behind that could not be uploaded.
  private func hold(_ destination: String) async throws -> String {
    try #require(try await box.sluice("--retries", "0", destination, input: bytes).result()["held"].text)
  }
}

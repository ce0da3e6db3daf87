import Foundation
import Support
import Testing

/// Local files: whole or absent.
@Suite(.sandboxed)
struct LocalFileTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test(
    "every way to write a path leads to the file",
    arguments: ["./out", "file:out", "file:./out", "../work/out", "ABSOLUTE", "file:ABSOLUTE", "~/../work/out", "file:~/../work/out"])
  func paths(path: String) async throws {
    let destination = path.replacingOccurrences(of: "ABSOLUTE", with: "\(box.work)/out")
    let result = try await box.sluice(destination, input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(names(in: box.work) == ["out"])
    #expect(result["endpoint"].text == "file")
  }

  @Test("what is there is replaced at once, and keeps its mode")
  func replace() async throws {
    let file = try box.file("out", "old", mode: 0o640)
    let handle = try #require(FileHandle(forReadingAtPath: file))
    try await box.sluice("./out", input: bytes).success()
    try expectSame(contents(file), bytes)
    // Whoever had it open reads the old one: it was not written into.
    #expect(try handle.readToEnd() == Data("old".utf8))
    #expect(mode(file) == 0o640)
    #expect(names(in: box.work) == ["out"])
  }

  @Test("a new file has the mode that the umask leaves")
  func newMode() async throws {
    let run = try await box.shell("umask 027; echo x | '\(Program.built("sluice"))' ./out")
    #expect(run.exit == 0)
    #expect(mode("\(box.work)/out") == 0o640)
  }

  @Test("a link at the target stays, and what it names is written")
  func link() async throws {
    try box.file("real", "old")
    try FileManager.default.createSymbolicLink(atPath: "\(box.work)/out", withDestinationPath: "real")
    try await box.sluice("./out", input: bytes).success()
    try expectSame(contents("\(box.work)/real"), bytes)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(box.work)/out") == "real")
  }

  @Test("nothing is to be seen at the target before the input has ended")
  func notBefore() async throws {
    let running = try box.start(box.client(["./out"], input: .pipe))
    await running.write([UInt8](repeating: 1, count: 1_000_000))
    try await eventually("the spool grows") { !box.spoolNames.isEmpty }
    #expect(names(in: box.work).isEmpty)
    running.closeInput()
    try await running.finish().success()
    #expect(names(in: box.work) == ["out"])
  }

  @Test("a lone file is spooled beside its target and becomes it without a copy", arguments: [[], ["--no-clobber"]])
  func spooledBeside(options: [String]) async throws {
    let running = try box.start(box.client(options + ["./out"], input: .pipe, environment: besideTarget))
    await running.write(bytes)
    let folder = "\(box.work)/.sluice-\(getuid())"
    try await eventually("there is a spool") { names(in: folder).contains { $0.hasSuffix(".data") } }
    #expect(mode(folder) == 0o700)
    let spool = try #require(names(in: folder).first { $0.hasSuffix(".data") })
    let before = try inode("\(folder)/\(spool)")
    running.closeInput()
    try await running.finish().success()
    #expect(try inode("\(box.work)/out") == before)
    #expect(mode("\(box.work)/out") == 0o644)
    #expect(names(in: box.work) == ["out"])
    try expectSame(contents("\(box.work)/out"), bytes)
  }

  @Test("many that are spooled in one folder do not disturb each other, and leave nothing there")
  func manyBeside() async throws {
    let box = box
    let environment = besideTarget
    let exits = try await withThrowingTaskGroup(of: Int32?.self) { group in
      for number in 0..<24 {
        group.addTask { try await box.start(box.client(["./\(number)"], input: .bytes([1]), environment: environment)).finish().exit }
      }
      return try await group.reduce(into: [Int32?]()) { $0.append($1) }
    }
    #expect(exits == Array(repeating: 0, count: 24))
    #expect(names(in: box.work).count == 24, "\(names(in: box.work))")
  }

  /// Runs sluice until its spool is held beside `./out`, in whose place a folder stands then.
  private func holdBeside() async throws -> Finished {
    let running = try box.start(box.client(["./out"], input: .pipe, environment: besideTarget))
    await running.write(bytes)
    try await eventually("there is a spool") { !names(in: "\(box.work)/.sluice-\(getuid())").isEmpty }
    try makeDirectory("\(box.work)/out")
    running.closeInput()
    let run = await running.finish()
    try run.failure(73, "rejected")
    try FileManager.default.removeItem(atPath: "\(box.work)/out")
    return run
  }

  @Test("a file that could not be put in place is held beside it, is listed, and what is printed sends it")
  func heldBeside() async throws {
    let run = try await holdBeside()
    let id = try #require(try run.result()["held"].text)
    let list = try await box.sluice("held", environment: besideTarget)
    #expect(try list.outputText.split(separator: "\n").map { try JSON(parsing: $0)["id"].text } == [id])
    let command = try #require(run.errorText.firstMatch(of: /send it with: sluice (held push .*)/)).1
    let pushed = try await box.shell("unset SLUICE_SPOOL_DIR; '\(Program.built("sluice"))' \(command)")
    #expect(pushed.exit == 0, "\(pushed.summary)")
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(names(in: box.work) == ["out"])
    #expect(try await box.sluice("held", environment: besideTarget).output.isEmpty)
    #expect(names(in: "\(box.path)/tmp/sluice-\(getuid())").isEmpty)
  }

  @Test("what is held beside a file is pushed by its ID, as it was refused before, and dropped with --all", arguments: ["push", "drop"])
  func heldBesideAll(verb: String) async throws {
    let id = try #require(try await holdBeside().result()["held"].text)
    let all = try await box.sluice("held", verb, verb == "push" ? id : "--all", environment: besideTarget)
    #expect(all.exit == 0, "\(all.summary)")
    #expect(names(in: box.work) == (verb == "push" ? ["out"] : []))
    #expect(names(in: "\(box.path)/tmp/sluice-\(getuid())").isEmpty)
  }

  @Test("what was held beside a file and has gone with its folder is not listed any more")
  func heldBesideGone() async throws {
    _ = try await holdBeside()
    try FileManager.default.removeItem(atPath: "\(box.work)/.sluice-\(getuid())")
    let list = try await box.sluice("held", environment: besideTarget)
    #expect(list.exit == 0 && list.output.isEmpty, "\(list.summary)")
    #expect(names(in: "\(box.path)/tmp/sluice-\(getuid())").allSatisfy { $0 == ".names" })
  }

  @Test("a spool on another file system is copied", .enabled(if: exists("/dev/shm"), "there is no /dev/shm"))
  func otherFileSystem() async throws {
    let folder = "/dev/shm/sluice-test-\(UInt64.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await box.sluice("--spool-dir", folder, "./out", input: bytes).success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(names(in: folder).isEmpty)
    #expect(mode("\(box.work)/out") == 0o644)
  }

  private let besideTarget: [String: String?] = ["SLUICE_SPOOL_DIR": nil]

  private func inode(_ path: String) throws -> Int {
    try #require(FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int)
  }

  @Test("--no-clobber refuses before the input is read")
  func noClobber() async throws {
    try box.file("out", "old")
    let run = try await box.sluice("--no-clobber", "./out", input: .endless)
    try run.failure(73, "exists")
    #expect(run.duration < .seconds(20))
    try expectSame(contents("\(box.work)/out"), Array("old".utf8))
  }

  @Test("--no-clobber keeps what appears while the input is read")
  func noClobberLater() async throws {
    let running = try box.start(box.client(["--no-clobber", "./out"], input: .pipe))
    await running.write(bytes)
    try await eventually("the input is being read") { !box.spoolNames.isEmpty }
    try box.file("out", "mine")
    running.closeInput()
    try await running.finish().failure(73, "exists")
    try expectSame(contents("\(box.work)/out"), Array("mine".utf8))
    #expect(names(in: box.work) == ["out"])
  }

  @Test("of many that must not replace each other exactly one wins")
  func noClobberRace() async throws {
    let box = box
    let exits = try await withThrowingTaskGroup(of: Int32?.self) { group in
      for number in 0..<8 {
        group.addTask { try await box.sluice("--no-clobber", "./out", input: Array("writer \(number)".utf8)).exit }
      }
      return try await group.reduce(into: [Int32?]()) { $0.append($1) }
    }
    #expect(exits.filter { $0 == 0 }.count == 1)
    #expect(exits.filter { $0 == 73 }.count == 7)
    #expect(String(decoding: try contents("\(box.work)/out"), as: UTF8.self).hasPrefix("writer "))
    #expect(names(in: box.work) == ["out"])
  }

  @Test("mkdir makes a directory and its parents; an existing one is a success, a file there is not")
  func makeFolder() async throws {
    for _ in 1...2 { try await box.sluice("mkdir", "./a/b/c").success() }
    #expect(exists("\(box.work)/a/b/c"))
    try box.file("file", "x")
    #expect(try await box.sluice("mkdir", "./file").failure(73, "rejected")["endpoint"].text == "file")
    #expect(try await box.sluice("mkdir", "./file/sub").exit == 73)
  }

  @Test("a missing parent is refused before the input is read, with a hint")
  func missingParent() async throws {
    let run = try await box.sluice("./no/such/out", input: .endless)
    try run.failure(73, "rejected")
    #expect(run.duration < .seconds(20))
    #expect(run.errorText.contains("hint: "))
    #expect(run.errorText.contains("mkdir"))
  }

  @Test("a target that is no file is refused before the input is read", arguments: ["directory", "/dev/full"])
  func noFile(target: String) async throws {
    try makeDirectory("\(box.work)/directory")
    let run = try await box.sluice(target.hasPrefix("/") ? target : "./\(target)", input: .endless)
    try run.failure(73, "rejected")
    #expect(run.duration < .seconds(20))
    #expect(exists("\(box.work)/directory"))
  }

  @Test(
    "a directory that may not be written in is refused before the input is read", .enabled(if: getuid() != 0, "root may write everywhere"))
  func unwritable() async throws {
    try makeDirectory("\(box.work)/closed", mode: 0o555)
    let run = try await box.sluice("./closed/out", input: .endless)
    try run.failure(77, "auth")
    #expect(run.duration < .seconds(20))
  }

  @Test(
    "a full target leaves nothing behind, and what was there stays",
    .enabled(if: SmallDisk.isPossible, "a small file system can be mounted by root alone"))
  func fullDisk() async throws {
    let disk = "\(box.work)/small"
    try await withSmallDisk(at: disk, kibibytes: 1024) {
      try write(Array("old".utf8), to: "\(disk)/out")
      let run = try await box.sluice("--retries", "0", "./small/out", input: [UInt8](repeating: 1, count: 4 << 20))
      #expect(run.exit == 73 || run.exit == 74, "\(run.summary)")
      #expect(run.errorText.lowercased().contains("no space"))
      #expect(names(in: disk) == ["out"])
      try expectSame(contents("\(disk)/out"), Array("old".utf8))
    }
  }

  @Test("a limit for the size of files is an error and no death by signal")
  func fileSizeLimit() async throws {
    let file = try box.file("in", [UInt8](repeating: 1, count: 4 << 20))
    var client = box.client(["--retries", "0", "--input", file, "./out"])
    client.fileSizeLimit = 1 << 20
    let run = try await box.start(client).finish()
    #expect(run.signal == nil, "\(run.summary)")
    #expect(run.exit == 73 || run.exit == 74, "\(run.summary)")
    #expect(try run.result()["ok"].bool == false)
    #expect(names(in: box.work) == ["in"])
  }

  @Test("--verify reads it again")
  func verify() async throws {
    #expect(try await box.sluice("--verify", "./out", input: bytes).success()["verified"].text == "size+hash")
  }

  @Test("the input may be the target itself", arguments: [[], ["-z"]])
  func itself(options: [String]) async throws {
    let file = try box.file("out", "itself")
    let run = try await box.start(box.client(options + ["--input", file, file])).finish()
    try run.success()
    let stored = try contents(file)
    try await expectSame((options.isEmpty ? stored : gunzipped(stored)), Array("itself".utf8))
  }

  @Test("what names no file is a usage error", arguments: ["./", "file:", "../", "/", "~/", "file:dir/", "./.", "./.."])
  func noName(destination: String) async throws {
    let run = try await box.sluice(destination, input: .endless)
    run.usage()
    #expect(run.duration < .seconds(20))
  }
}

import Foundation
import Support
import Testing

/// `put --sum`: `NAME.sha256` beside the object, which is of that object or is not there.
@Suite(.sandboxed)
struct SumTests {
  private let box = Sandbox.here
  private let monday = Array("monday's\n".utf8)
  private let tuesday = Array("tuesday's, which is longer\n".utf8)

  private func line(_ bytes: [UInt8], _ name: String = "x") async throws -> [UInt8] { Array("\(try await sha256(bytes))  \(name)\n".utf8) }

  /// Expects the object, and beside it its sum.
  private func expect(_ bytes: [UInt8], at bench: StoreBench, _ location: SourceLocation = #_sourceLocation) async throws {
    try await expectSame(bench.stored() ?? [], bytes, location: location)
    try await expectSame(bench.stored("x.sha256") ?? [], line(bytes), "the sum", location: location)
  }

  @Test(
    "the sum comes with the object and is replaced with it",
    arguments: (StoreServer.fakes + StoreServer.installed).filter { $0 != .plugin && $0 != .http(nil) })
  func written(server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    for bytes in [monday, tuesday] {
      let result = try await bench.put(bytes, "--sum", "--content-type", "text/x-other").success()
      #expect(result["sum"].text == (result["path"].text ?? "") + ".sha256")
      try await expect(bytes, at: bench)
    }
    let file = try box.file("in", monday)
    try await bench.sluice("--sum", "--input", file, bench.destination("x")).success()
    try await expect(monday, at: bench)
    #expect(bench.leftovers().isEmpty && box.spoolNames.isEmpty && names(in: "\(box.spool)/.names").filter { $0 != "counter" }.isEmpty)
    if let names = bench.names() { #expect(Set(names).isSuperset(of: ["x", "x.sha256"])) }
  }

  @Test("sha256sum -c takes it, whatever the object is called and wherever it comes from")
  func accepted() async throws {
    try makeDirectory("\(box.work)/store")
    for name in ["x", "a b", "*x", "x\\y", "ä😀", "-x", "#x"] {
      for arguments in [[], ["-z"], ["--through", "tr a b"]] {
        try await box.start(box.client(["--sum"] + arguments + ["./store/\(name)"], input: .bytes(monday))).finish().success()
        var check = Program("/usr/bin/env", ["sha256sum", "--strict", "-c", "--", "\(name).sha256"])
        check.directory = "\(box.work)/store"
        let run = try await box.start(check).finish()
        #expect(run.exit == 0, "\(name): \(run.summary)")
      }
    }
    // One that had to be copied to its place, and one of a file.
    try await box.sluice("--sum", "./store/x", "./store/y", input: tuesday).results().forEach { #expect($0["ok"].bool == true) }
    try await box.sluice("--sum", "--input", "store/y", "./store/z").success()
    #expect(try await box.shell("cd store && cat x.sha256 y.sha256 z.sha256 | sha256sum --strict -c").exit == 0)
    let mode = try #require(FileManager.default.attributesOfItem(atPath: "\(box.work)/store/x.sha256")[.posixPermissions] as? Int)
    #expect(mode & 0o777 == 0o644)
  }

  @Test("nothing of an older pair changes when there is no new object")
  func noObject() async throws {
    try await box.sluice("--sum", "./x", input: monday).success()
    #expect(try await box.sluice("--sum", "./x", "--", "sh", "-c", "echo half; exit 1").exit == 65)
    #expect(try await box.sluice("--sum", "./x", input: []).exit == 65)
    let dry = try await box.sluice("-n", "--sum", "./x", input: tuesday).success()
    #expect(dry["sum"].text == "./x.sha256" && dry["dry_run"].bool == true)
    try await expectSame(contents("\(box.work)/x.sha256"), line(monday))
    try expectSame(contents("\(box.work)/x"), monday)
  }

  @Test("what can't have a sum, or would be written twice, is a usage error")
  func usage() async throws {
    try box.file("x.sha256", "something else\n")
    try await box.sluice("--sum", "--part-size", "1M", "./x", input: monday).usage()
    try await box.sluice("--sum", "--no-sha256", "--input", "/etc/passwd", "./x").usage()
    try await box.sluice("--sum", "./x", "./x.sha256", input: monday).usage()
    try await box.sluice("--sum", "--input", "x.sha256", "./x").usage()
    try await box.sluice("--sum", "./x", input: .file("\(box.work)/x.sha256")).usage()
    #expect(try await box.sluice("--sum", "--result", "x.sha256", "./x", input: monday).exit == 64)
    #expect(try await box.shell("'\(Program.built("sluice"))' --sum ./y > y.sha256 < /dev/null").exit == 64)
    let server = try await box.loopback()
    try await box.sluice("--sum", server.alist("/x"), server.alist("/x.sha256"), input: monday).usage()
    try await box.sluice("--sum", "-o", "asset", server.siyuan("/data/assets/x"), input: monday).usage()
    try await box.sluice("--sum", "-o", "as-task", server.alist("/x"), input: monday).usage()
    try expectSame(contents("\(box.work)/x.sha256"), Array("something else\n".utf8))
    #expect(!exists("\(box.work)/x"))
  }

  @Test("with -o wait a task has its sum too")
  func task() async throws {
    let server = try await box.loopback()
    try await box.sluice("--sum", "-o", "as-task", "-o", "wait", server.alist("/x"), input: monday).success()
    try await expectSame(contents(server.alistFile("/x.sha256")), line(monday))
  }

  @Test("--no-clobber puts no object beside a sum of another one", arguments: [[], ["--no-preflight"]])
  func noClobber(options: [String]) async throws {
    try box.file("x.sha256", "something else\n")
    let run = try await box.start(box.client(options + ["--sum", "--no-clobber", "./x"], input: .bytes(monday))).finish()
    try run.failure(73, "exists")
    #expect(!exists("\(box.work)/x"))
    try expectSame(contents("\(box.work)/x.sha256"), Array("something else\n".utf8))
    try await box.sluice("--sum", "--no-clobber", "./y", input: monday).success()
    try await expectSame(contents("\(box.work)/y.sha256"), line(monday, "y"))
  }

  @Test("a folder where the sum is to go is refused before the input is read", arguments: [StoreServer.file, .dav(nil), .alist, .siyuan])
  func folder(server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    let folder = try #require(bench.file("x.sha256"))
    try makeDirectory(folder)
    try await bench.sluice("--sum", bench.destination("x"), input: .endless).failure(73, "rejected")
    let late = try await bench.put(monday, "--sum", "--no-preflight")
    #expect(late.exit == 73, "\(late.summary)")
    #expect(try await bench.stored() == nil && exists(folder))
  }
}

/// What goes wrong.
extension SumTests {
  @Test(
    "an object that came without its sum is held, and a push brings the sum; the object goes again only where it can't be proven to be there",
    arguments: [(StoreServer.s3(nil), true as Bool?), (.siyuan, true), (.azure, true), (.alist, nil), (.dav(nil), nil)])
  func sumFails(server: StoreServer, isProven: Bool?) async throws {
    let uploads = Counter()
    let bench = try await StoreBench(server, box)
      .failing(.failed(403), times: nil, object: 0) { StoreBench.isUpload($0) && uploads.increment() > 1 }
    let failed = try await bench.put(monday, "--sum", "--retries", "0")
    let result = try failed.result()
    #expect(result["ok"].bool == false && result["sum"] == .null, "\(failed.summary)")
    #expect(failed.errorText.contains("the object is there, but its sum"), "\(failed.summary)")
    try await expectSame(bench.stored() ?? [], monday)
    #expect(try await bench.stored("x.sha256") == nil)
    try bench.heal()
    let before = uploads.value
    let push = try await bench.sluice("held", "push", #require(result["held"].text, "\(failed.summary)"))
    let pushed = try push.success()
    #expect(pushed["sum"].text != nil && pushed["sha256"] == result["sha256"], "\(push.summary)")
    try await expect(monday, at: bench)
    #expect(push.errorText.contains("only its sum is missing") == (uploads.value == before + 1), "\(push.summary)")
    if let isProven { #expect((uploads.value == before + 1) == isProven, "\(push.summary)") }
    #expect(box.spoolNames.isEmpty && bench.leftovers().isEmpty)
  }

  @Test("who replaced the object meanwhile does not get the sum of another one")
  func replacedMeanwhile() async throws {
    let bench = try await StoreBench(.s3(nil), box)
    let harmful = try bench.failing(.failed(403), times: nil, object: 0) { $0.method == "PUT" && $0.target.contains(".sha256") }
    let id = try #require(try await harmful.put(monday, "--sum", "--retries", "0").result()["held"].text)
    try harmful.heal()
    try await bench.plant(Array("an intruder".utf8))
    try await bench.plant(Array("and what it says of itself".utf8), "x.sha256")
    try await bench.sluice("held", "push", id).success()
    try await expect(monday, at: bench)
  }

  @Test("where an older sum can't be removed the older pair stays", arguments: [["--no-preflight"], []])
  func irremovable(options: [String]) async throws {
    let server = try await box.loopback()
    try await box.sluice(server.plain("/x"), input: monday).success()
    try await box.sluice(server.plain("/x.sha256"), input: line(monday)).success()
    // It knows no DELETE.
    let run = try await box.start(box.client(options + ["--sum", "--retries", "0", server.plain("/x")], input: .bytes(tuesday))).finish()
    try run.failure(73, "rejected")
    #expect(run.errorText.contains("the object was not sent"), "\(run.summary)")
    try expectSame(contents(server.plainFile("/x")), monday)
    try await expectSame(contents(server.plainFile("/x.sha256")), line(monday))
    #expect(box.spoolNames.count == 2)
    // Where there is none, nothing has to go.
    try await box.sluice("--sum", server.plain("/y"), input: monday).success()
    try await expectSame(contents(server.plainFile("/y.sha256")), line(monday, "y"))
  }

  @Test("a plugin must be able to remove what it may have: 64 if it never can, 73 if there is something")
  func plugins() async throws {
    func plugin(_ verbs: String) throws {
      try box.plugin(
        "own", put: "cat > \"$SLUICE_PATH\"",
        others: """
          case $1 in
            check) echo '{"verbs":[\(verbs)]}' ;;
            stat) [ -e "$SLUICE_PATH" ] || exit 66; echo '{}' ;;
            remove) rm -f "$SLUICE_PATH" ;;
            *) exit 64 ;;
          esac
          """)
    }
    func put(_ arguments: String..., input: Program.Input) async throws -> Finished {
      try await box.start(box.client(["--sum"] + arguments + ["own:x"], input: input, environment: box.plugins)).finish()
    }
    try plugin("")
    try await put(input: .endless).usage()
    try plugin(#""stat""#)
    try await put(input: .bytes(monday)).success()
    try await put(input: .endless).failure(73, "rejected")
    try plugin(#""stat","remove""#)
    try await put(input: .bytes(tuesday)).success()
    try await expectSame(contents("\(box.work)/x.sha256"), line(tuesday))
    try plugin(#""remove""#)
    try await put(input: .bytes(monday)).success()
    try await expectSame(contents("\(box.work)/x.sha256"), line(monday))
    // What is there is not known, and a sum that is there stays where nothing is replaced.
    #expect(try await put("--no-clobber", input: .endless).exit == 64)
  }

  @Test("an older run brings neither its object nor its sum", arguments: [StoreServer.dav(nil), .s3(nil), .alist, .siyuan])
  func olderRun(server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    let harmful = try bench.failing(.failed(403), times: nil, object: monday.count)
    let id = try #require(try await harmful.put(monday, "--sum", "--no-preflight", "--retries", "0").result()["held"].text)
    try harmful.heal()
    try await harmful.put(tuesday, "--sum").success()
    let push = try await harmful.sluice("held", "push", id).success()
    #expect(push["superseded"].bool == true && push["sum"] == .null)
    try await expect(tuesday, at: bench)
    try await harmful.sluice("held", "push", "--even-if-older", id).success()
    try await expect(monday, at: bench)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("of runs to one name at the same time the object and the sum that stay are of one")
  func together() async throws {
    let bench = try await StoreBench(.dav(nil), box)
    for round in 0..<3 {
      let runs = try (0..<4).map { number in
        try box.start(bench.client(["--sum", bench.destination("x")], input: .bytes(Array("run \(number) of \(round)\n".utf8))))
      }
      for run in runs { #expect(await run.finish().exit == 0) }
      try await expect(try #require(bench.stored()), at: bench)
    }
  }

  @Test(
    "who dies between the steps leaves no sum of another object, and a push completes the pair",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"),
    arguments: ["unlink", "unlinkat", "rename", "renameat", "renameat2", "fsync", "sendfile", "connect", "exit_group"],
    [StoreServer.file, .dav(nil)])
  func dies(call: String, server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    for time in 1...6 {
      try await bench.plant(monday)
      try await bench.plant(line(monday), "x.sha256")
      let client = bench.client(["--sum", "--retries", "0", bench.destination("x")], input: .bytes(tuesday))
      let fault = "\(call):signal=SIGKILL:when=\(time)"
      let run = try await box.start(Strace.injecting(fault, on: nil, into: client)).finish()
      #expect(run.exit == 0 || run.signal == SIGKILL, "\(fault): \(run.summary)")
      if let sum = try await bench.stored("x.sha256") {
        try await expectSame(sum, line(bench.stored() ?? []), "\(fault)")
      }
      let ids = try await box.sluice("held").outputText.split(separator: "\n").compactMap { try JSON(parsing: $0)["id"].text }
      if !ids.isEmpty {
        #expect(try await box.start(bench.client(["held", "push"] + ids)).finish().exit == 0)
        try await expect(tuesday, at: bench)
      }
      try await bench.put(tuesday, "--sum").success()
      try await expect(tuesday, at: bench)
      #expect(bench.leftovers().isEmpty && box.spoolNames.isEmpty, "\(fault)")
      // Fewer calls than that are made.
      if run.exit == 0 { break }
    }
  }
}

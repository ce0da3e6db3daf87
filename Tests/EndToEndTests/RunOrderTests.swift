import Foundation
import Support
import Testing

/// Runs to the same name: which object stands there in the end, and what of a dead one is put right.
@Suite(.sandboxed)
struct RunOrderTests {
  private let box = Sandbox.here
  private let monday = Array("monday's\n".utf8)
  private let tuesday = Array("tuesday's, which is longer\n".utf8)

  /// Leaves an object behind that could not be uploaded.
  private func hold(_ bytes: [UInt8], _ destination: String, _ options: String..., environment: [String: String?] = [:]) async throws
    -> String
  {
    let arguments = ["--no-preflight", "--retries", "0"] + options + [destination]
    let run = try await box.start(box.client(arguments, input: .bytes(bytes), environment: environment)).finish()
    return try #require(try run.result()["held"].text, "\(run.summary)")
  }

  /// Nothing at all, what is hidden included.
  private func expectEmptySpool(_ location: SourceLocation = #_sourceLocation) {
    #expect(names(in: box.spool).isEmpty, "\(names(in: "\(box.spool)/.names"))", sourceLocation: location)
  }

  @Test(
    "what an older run holds does not replace what a newer one has stored: it says so, and stays until it is dropped or meant",
    arguments: StoreServer.fakes.filter { $0 != .file }, ["drop", "push", "all"])
  func older(store: StoreServer, then: String) async throws {
    let bench = try await StoreBench(store, box).failing(.failed(403), times: nil, object: monday.count)
    let id = try await hold(monday, bench.destination("x"), environment: bench.environment)
    try bench.heal()
    try await bench.put(tuesday).success()
    let push = try await bench.sluice("held", "push", then == "all" ? "--all" : id)
    let result = try push.success()
    #expect(result["superseded"].bool == true && result["held"].text == id, "\(push.summary)")
    #expect(push.errorText.contains("a newer object"), "\(push.summary)")
    try await expectSame(bench.stored() ?? [], tuesday)
    #expect(try await box.sluice("held", "list").outputText.contains(#""superseded":true"#))
    #expect(Set(box.spoolNames) == ["\(id).data", "\(id).json"])
    if then == "push" {
      try await bench.sluice("held", "push", "--even-if-older", id).success()
      try await expectSame(bench.stored() ?? [], monday)
    } else {
      #expect(try await box.sluice("held", "drop", id).exit == 0)
    }
    expectEmptySpool()
  }

  @Test("one that is sent all the same counts as the newest from then on")
  func evenIfOlder() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "403", "--times", "2")
    let first = try await hold(monday, server.plain("/x"))
    let second = try await hold(tuesday, server.plain("/x"))
    try await box.sluice("held", "push", "--even-if-older", first).success()
    let push = try await box.sluice("held", "push", second)
    #expect(try push.success()["superseded"].bool == true)
    try expectSame(contents(server.plainFile("/x")), monday)
    #expect(try await box.sluice("held", "push", "--all", "--even-if-older").exit == 64)
  }

  @Test("of two that are held the newer one stands there in the end, in whatever order they are sent", arguments: [true, false])
  func bothHeld(isNewerFirst: Bool) async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "403", "--times", "2")
    let older = try await hold(monday, server.plain("/x"))
    let newer = try await hold(tuesday, server.plain("/x"))
    let push = try await box.sluice("held", "push", isNewerFirst ? newer : older, isNewerFirst ? older : newer)
    #expect(push.exit == 0, "\(push.summary)")
    try expectSame(contents(server.plainFile("/x")), tuesday)
  }

  @Test("the same object is known again whatever way leads to it: a remote, a URL, a link, another folder")
  func identity() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "403", "--times", "1")
    let config = try box.file("config.yaml", "remotes:\n  nas:\n    type: http\n    url: \(server.url)/plain\n")
    let environment = ["SLUICE_CONFIG": config]
    _ = try await hold(monday, "nas:/x", environment: environment)
    try await box.sluice("HTTP://127.0.0.1:\(server.url.split(separator: ":").last ?? "")/plain/x", input: tuesday).success()
    let push = try await box.sluice("held", "push", "--all", environment: environment)
    #expect(try push.success()["superseded"].bool == true)
    try makeDirectory("\(box.work)/d/x")
    _ = try await hold(monday, "./d/x")
    try FileManager.default.removeItem(atPath: "\(box.work)/d/x")
    try FileManager.default.createSymbolicLink(atPath: "\(box.work)/link", withDestinationPath: "d")
    try await box.sluice("\(box.work)/link/x", input: tuesday).success()
    _ = try await box.sluice("held", "push", "--all", environment: environment)
    try expectSame(contents("\(box.work)/d/x"), tuesday)
  }

  @Test("another object, or the same path of another user, is another name")
  func others() async throws {
    let server = try await box.loopback("--on", "/plain/x", "--status", "403", "--times", "1")
    let id = try await hold(monday, server.plain("/x"))
    try await box.sluice(server.plain("/y"), input: tuesday).success()
    let user = server.plain("/x").replacing("http://", with: "http://somebody@")
    try await box.sluice("--no-preflight", user, input: tuesday).success()
    let push = try await box.sluice("held", "push", id)
    #expect(try push.success()["superseded"] == .null)
  }

  @Test("one upload at a time to a name: the later ones wait and say so, and the newest stands there in the end")
  func oneAtATime() async throws {
    let gate = Flag(false)
    let server = try box.scripted { exchange in
      _ = exchange.readBody()
      while !gate.isSet { usleep(5000) }
      exchange.answer("", status: "201 Created")
    }
    var running: [RunningProgram] = []
    for number in 0..<4 {
      let client = box.client(
        ["--no-preflight", "http://\(server.authority)/x"], input: .bytes(Array(repeating: UInt8(number), count: 9 + number)))
      running.append(try box.start(client))
      // Its input has ended, and so its place is taken.
      try await eventually("run \(number) has a job") { box.spoolNames.count { $0.hasSuffix(".json") } > number }
      if number > 0 { try await eventually("it waits") { running[number].errorSoFar.contains("waiting for") } }
    }
    gate.set(true)
    let runs = await withTaskGroup(of: (Int, Finished).self) { group in
      for (index, one) in running.enumerated() { group.addTask { (index, await one.finish()) } }
      return await group.reduce(into: [Int: Finished]()) { $0[$1.0] = $1.1 }
    }
    for (index, run) in runs {
      #expect(run.exit == 0, "\(run.summary)")
      let waits = run.errorText.components(separatedBy: "waiting for another upload to").count - 1
      #expect(waits == (index == 0 ? 0 : 1), "\(run.summary)")
    }
    #expect(server.requests.last { $0.method == "PUT" }?.header("Content-Length") == "12")
    _ = try await box.sluice("held", "drop", "--all")
    expectEmptySpool()
  }

  @Test("who waits can be interrupted, and is held")
  func interrupted() async throws {
    let server = try await box.loopback("--on", "/plain/x", "--hang", "--times", "1")
    let first = try box.start(box.client(["--no-preflight", server.plain("/x")], input: .bytes(monday)))
    try await eventually("the first one uploads") { names(in: "\(box.spool)/.names").contains { $0.hasSuffix(".json") } }
    let second = try box.start(box.client(["--no-preflight", server.plain("/x")], input: .bytes(tuesday)))
    try await eventually("the second one waits") { second.errorSoFar.contains("waiting for another upload") }
    second.signal(SIGTERM)
    let run = await second.finish()
    #expect(try run.failure(143, "interrupted")["held"].text != nil)
    first.signal(SIGKILL)
    _ = await first.finish()
  }

  @Test("two destinations of one run that are the same object take turns")
  func twice() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.plain("/x"), server.plain("/x"), server.alist("/x"), server.alist("/x"), input: monday)
    #expect(try run.exit == 0 && run.results().count == 4, "\(run.summary)")
    expectEmptySpool()
  }

  @Test("where no record can be written the upload goes on without one")
  func noRecord() async throws {
    let file = try box.file("in", monday)
    try write([1], to: box.spool)
    let run = try await box.sluice("-v", "--input", file, "./x")
    try run.success()
    #expect(run.errorText.contains("order of uploads"), "\(run.summary)")
    #expect(try await box.sluice("--input", file, "./x").errorText.isEmpty)
  }

  @Test("what a run with --input left when it was killed, the next run to that name removes: AList")
  func killedAList() async throws {
    let server = try await box.loopback()
    try write(monday, to: server.alistFile("/d/x"))
    try await kill(server.alist("/d/x")) { names(in: server.alistFile("/d")).contains { $0.contains(".sluice-") } }
    try expectSame(contents(server.alistFile("/d/x")), monday)
    try await box.sluice(server.alist("/d/x"), input: tuesday).success()
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try expectSame(contents(server.alistFile("/d/x")), tuesday)
    expectEmptySpool()
  }

  @Test("what a run with --input left when it was killed, the next run to that name removes: WebDAV")
  func killedWebDAV() async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      // As servers do that write while the object comes.
      if exchange.request.method == "PUT" { server.objects[exchange.request.target] = [] }
      return false
    }
    let destination = "dav+http://\(server.authority)/x"
    try await kill(destination) { server.objects.keys.contains { $0.contains(".sluice-") } }
    try await box.sluice(destination, input: tuesday).success()
    #expect(server.objects == ["/x": tuesday])
    expectEmptySpool()
  }

  /// Kills a run with `--input` when its bytes are on their way.
  private func kill(_ destination: String, when isUnderWay: () throws -> Bool) async throws {
    let file = try box.file("in", [UInt8](repeating: 7, count: 3_000_000))
    let running = try box.start(box.client(["--limit-rate", "300k", "--input", file, destination]))
    try await eventually("a part has arrived") { try isUnderWay() }
    running.signal(SIGKILL)
    _ = await running.finish()
  }

  @Test("the upload in parts of a run that was killed is aborted by the next run to that name")
  func killedMultipart() async throws {
    let sent = Counter()
    let server = try ScriptedS3(box) { call, _ in
      // The first part never gets an answer.
      guard call.operation == .part(1), sent.increment() == 1 else { return false }
      Thread.sleep(forTimeInterval: 1)
      return true
    }
    let file = try box.file("in", [UInt8](repeating: 7, count: 6 << 20))
    let options = ["--no-preflight", "-o", "part-size=5M", "s3://b/x"]
    let running = try box.start(box.client(["--input", file] + options, environment: server.environment.mapValues { $0 }))
    try await eventually("a part is on its way") { server.count(of: .part(1)) == 1 }
    running.signal(SIGKILL)
    _ = await running.finish()
    #expect(server.unfinished == 1)
    try await box.start(box.client(options, input: .bytes(monday), environment: server.environment.mapValues { $0 })).finish().success()
    #expect(server.unfinished == 0)
    #expect(server.count(of: .abort) == 1)
    expectEmptySpool()
  }

  @Test("runs to one name that are killed at any instant never leave the object of an older one there", arguments: 1...4)
  func kills(round: Int) async throws {
    let server = try await box.loopback("--on", "/plain/x", "--delay", "60", "--times", "1000")
    var generator = Fuzz.generator("order \(round)")
    var running: [RunningProgram] = []
    for number in 0..<5 {
      let bytes = Array(repeating: UInt8(number), count: 200_000 + number)
      let client = box.client(["--no-preflight", server.plain("/x")], input: .bytes(bytes))
      let one = try box.start(client)
      running.append(one)
      let before = try jobs().count
      try await eventually("its input has ended") { try one.hasEnded || jobs().count > before || sizes().contains(200_000 + number) }
      if Bool.random(using: &generator) {
        try await Task.sleep(for: .milliseconds(Int.random(in: 0...80, using: &generator)))
        one.signal(SIGKILL)
      }
    }
    for one in running { _ = await one.finish() }
    async let first = box.sluice("held", "push", "--all")
    async let second = box.sluice("held", "push", "--all")
    for push in try await [first, second] { #expect(push.exit == 0, "seed \(Fuzz.seed): \(push.summary)") }
    let what = "seed \(Fuzz.seed), round \(round)"
    try expectSame(contents(server.plainFile("/x")), Array(repeating: 4, count: 200_004), "\(what)")
    #expect(try await box.sluice("held", "drop", "--all").exit == 0)
    try await box.sluice("./next", input: monday).success()
    expectEmptySpool()
  }

  private func jobs() throws -> [String] { box.spoolNames.filter { $0.hasSuffix(".json") } }

  /// The sizes of the objects that are held or on their way.
  private func sizes() throws -> [Int] {
    try jobs().compactMap { name in
      guard let bytes = try? contents("\(box.spool)/\(name)") else { return nil }
      return try JSON(parsing: String(decoding: bytes, as: UTF8.self))["bytes"].int
    }
  }

  @Test(
    "a run that dies when its object is stored already, and its spool still there, is an older one all the same",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"), arguments: 1...3)
  func diedWhenStored(unlink: Int) async throws {
    let server = try await box.loopback()
    let dying = box.client([server.plain("/x")], input: .file(try box.file("in", monday)))
    _ = try await box.start(Strace.injecting("unlinkat:signal=SIGKILL:when=\(unlink)", on: box.spool, into: dying)).finish()
    try await box.sluice(server.plain("/x"), input: tuesday).success()
    let push = try await box.sluice("held", "push", "--all")
    #expect(push.exit == 0, "\(push.summary)")
    try expectSame(contents(server.plainFile("/x")), tuesday)
  }

  @Test(
    "a run that dies when its spool has become the file is a newer one all the same",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"))
  func diedWhenMoved() async throws {
    try makeDirectory("\(box.work)/x")
    let id = try await hold(monday, "./x")
    try FileManager.default.removeItem(atPath: "\(box.work)/x")
    // The call that brings the name to the disk, when the object has it.
    let dying = box.client(["./x"], input: .file(try box.file("in", tuesday)))
    let died = try await box.start(Strace.injecting("fsync:signal=SIGKILL:when=1", on: box.work, into: dying)).finish()
    #expect(died.exit == nil, "\(died.summary)")
    try expectSame(contents("\(box.work)/x"), tuesday)
    let push = try await box.sluice("held", "push", id)
    #expect(try push.success()["superseded"].bool == true, "\(push.summary)")
    try expectSame(contents("\(box.work)/x"), tuesday)
    #expect(try await box.sluice("held", "drop", id).exit == 0)
    // Another run to the name finds nothing to be remembered.
    try await box.sluice("./x", input: monday).success()
    expectEmptySpool()
  }
}

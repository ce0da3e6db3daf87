import Foundation
import Support
import Testing

/// Runs that read an object back and are ended before their time, and the runs that go on where they stood.
@Suite(.sandboxed)
struct GetKillTests {
  private static let chunk = 8 << 20
  private static let bytes: [UInt8] = {
    var generator = SeededGenerator(14)
    return generator.bytes(21_000_003)
  }()

  private let box = Sandbox.here
  private var file: String { "\(box.work)/out" }
  private var folder: String { ".sluice-\(geteuid())" }

  /// Where the spool is beside the file.
  private func client(_ arguments: [String]) -> Program {
    var client = box.client(["get"] + arguments)
    client.environment["SLUICE_SPOOL_DIR"] = nil
    return client
  }

  /// A server that is so slow, as long as the flag is set, that much is under way when a run ends.
  private func server(_ isSlow: Flag) throws -> ObjectServer {
    try box.objects(["/x": .init(GetKillTests.bytes)]) { _, _ in isSlow.isSet ? .pace(microseconds: 25_000) : .serve }
  }

  @Test("kill -9 at any instant: the next run goes on, and no more than a chunk comes twice", arguments: [[], ["-d"]])
  func killed(options: [String]) async throws {
    var generator = Fuzz.generator("get kills \(options)")
    let kills = max(1, (Fuzz.number("SLUICE_KILLS") ?? 8) / 2)
    let stored = options.isEmpty ? GetKillTests.bytes : try await zipped()
    let server = try box.objects(["/x": .init(stored)]) { _, _ in .pace(microseconds: 2000) }
    let arguments = options + [server.url(), "out"]
    let whole = try await box.start(client(arguments)).finish()
    try whole.success()
    var (count, counts) = (0, [String: Int]())
    while count < kills {
      try FileManager.default.removeItem(atPath: file)
      let before = server.sent
      var (inRound, isDone) = (0, false)
      while !isDone {
        let run = try box.start(client(arguments))
        if count < kills, inRound < 5 {
          try await Task.sleep(for: whole.duration * Double.random(in: 0...1.1, using: &generator))
          run.signal(SIGKILL)
        }
        let finished = await run.finish()
        let what = "seed \(Fuzz.seed), kill \(count): \(finished.summary)"
        #expect(finished.exit == 0 || finished.signal == SIGKILL, "\(what)")
        let isKilled = finished.signal != nil
        (count, inRound) = (count + (isKilled ? 1 : 0), inRound + (isKilled ? 1 : 0))
        // A run may be killed when all is done; another one would be a new one.
        isDone = exists(file)
        counts[!isKilled ? "too late to be killed" : isDone ? "killed with all done" : "killed", default: 0] += 1
        if isDone {
          try expectSame(contents(file), GetKillTests.bytes, what)
        } else {
          #expect(names(in: box.work).allSatisfy { $0 == folder }, "\(what): \(names(in: box.work))")
        }
        if isDone, isKilled { try await box.start(client(["--no-clobber"] + arguments)).finish().failure(73, "exists") }
      }
      let twice = server.sent - before - stored.count
      #expect(twice <= inRound * GetKillTests.chunk, "seed \(Fuzz.seed): \(twice) bytes twice after \(inRound) kills")
      counts["most bytes twice in a round"] = max(counts["most bytes twice in a round"] ?? 0, twice)
      // What one leaves that is killed with all done goes with the next.
      try await box.start(client(options + [try small().url(), "small"])).finish().success()
      try FileManager.default.removeItem(atPath: "\(box.work)/small")
      #expect(names(in: box.work) == ["out"], "seed \(Fuzz.seed)")
    }
    print("kills of get \(options): \(counts.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", "))")
  }

  private func zipped() async throws -> [UInt8] { try await box.shell("gzip -n1", input: .bytes(GetKillTests.bytes)).output }

  private func small() throws -> ObjectServer {
    // gzip of nothing and nothing else.
    try box.objects(["/x": .init([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])])
  }

  @Test(
    "a run that is killed at its last step leaves all that has come to the next one", .enabled(if: Strace.isPossible),
    arguments: [[], ["-d"]])
  func killedAtTheEnd(options: [String]) async throws {
    let stored = options.isEmpty ? GetKillTests.bytes : try await zipped()
    let server = try box.objects(["/x": .init(stored)])
    let arguments = options + [server.url(), "out"]
    let first = try await box.start(Strace.injecting("fsync:signal=SIGKILL:when=1", on: nil, into: client(arguments))).finish()
    #expect(first.signal == SIGKILL && names(in: box.work) == [folder], "\(first.summary)")
    let count = server.ranges.count
    let result = try await box.start(client(arguments)).finish().success()
    try expectSame(contents(file), GetKillTests.bytes)
    #expect(result["resumed"].int == stored.count && server.ranges.count == count, "\(result)")
    #expect(names(in: box.work) == ["out"])
  }

  @Test("a run that is killed while it makes its journal leaves nothing for long", .enabled(if: Strace.isPossible))
  func killedAtTheBeginning() async throws {
    let server = try box.objects(["/x": .init(GetKillTests.bytes)])
    for call in ["renameat", "pwrite64"] {
      let first = try await box.start(
        Strace.injecting("\(call):signal=SIGKILL:when=1", on: nil, into: client([server.url(), "out"]))
      ).finish()
      #expect(first.signal == SIGKILL && names(in: box.work) == [folder], "\(first.summary)")
      try await box.start(client([server.url(), "out"])).finish().success()
      #expect(names(in: box.work) == ["out"], "\(call)")
      try FileManager.default.removeItem(atPath: file)
    }
  }

  @Test("a signal keeps what has come, says so, and the next run goes on", arguments: [SIGINT, SIGTERM])
  func interrupted(number: Int32) async throws {
    let isSlow = Flag(true)
    let server = try server(isSlow)
    let run = try box.start(client([server.url(), "out"]))
    try await eventually("much has come") { server.sent > 4_000_000 }
    run.signal(number)
    let finished = await run.finish()
    try finished.failure(128 + number, "interrupted")
    #expect(finished.errorText.contains("is kept for a week; the same command goes on with it"), "\(finished.summary)")
    #expect(names(in: box.work) == [folder])
    isSlow.set(false)
    let result = try await box.start(client([server.url(), "out"])).finish().success()
    try expectSame(contents(file), GetKillTests.bytes)
    #expect(result["resumed"].int ?? 0 > 1_000_000, "\(result)")
    #expect(names(in: box.work) == ["out"])
    #expect(server.sent - GetKillTests.bytes.count < GetKillTests.chunk)
  }

  @Test("a signal ends a run to standard output or a command with nothing left", arguments: [SIGINT, SIGTERM])
  func interruptedElsewhere(number: Int32) async throws {
    let server = try server(Flag(true))
    for reader in [[], ["--", "touch", "started"]] {
      let sent = server.sent
      let run = try box.start(box.client(["get", server.url()] + reader))
      try await eventually("much has come") { server.sent - sent > 4_000_000 }
      run.signal(number)
      let finished = await run.finish()
      #expect(finished.exit == 128 + number && finished.output.isEmpty, "\(finished.summary)")
      #expect(names(in: box.work) == [] && box.spoolNames == [])
    }
  }

  @Test("two runs from the same place to the same file: both end well, or the second is refused", arguments: [false, true])
  func twice(isRefusing: Bool) async throws {
    let isSlow = Flag(true)
    let server = try server(isSlow)
    let arguments = (isRefusing ? ["--no-clobber"] : []) + [server.url(), "out"]
    let first = try box.start(client(arguments))
    try await eventually("something has come") { server.sent > 1_000_000 }
    let second = try box.start(client(arguments))
    isSlow.set(false)
    let ends = await [first.finish(), second.finish()]
    let exits = ends.compactMap(\.exit).sorted()
    #expect(exits == (isRefusing ? [0, 73] : [0, 0]), "\(ends.map(\.summary))")
    try expectSame(contents(file), GetKillTests.bytes)
    #expect(names(in: box.work) == ["out"])
  }

  @Test("--stream: the command never sees an end after a fault, and is told how much it has got")
  func stream() async throws {
    var generator = Fuzz.generator("get stream")
    let bytes = Array(GetKillTests.bytes.prefix(3_000_000))
    let hash = try await sha256(bytes)
    // With a terminal the children of the command are its own affair.
    let commands =
      ["cat >/dev/null; touch ended"]
      + (open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC) < 0 ? ["cat | { cat >/dev/null; touch ended; }"] : [])
    for number in 0..<max(2, Fuzz.cases(60) / 12) {
      let place = Int.random(in: 0..<bytes.count, using: &generator)
      let fault: [ObjectServer.Action] = [.cut(after: place), .flip(at: place), .chunked(place), .hang(after: place)]
      let action = fault[number % fault.count]
      let server = try box.objects(["/x": .init(bytes)]) { _, _ in action }
      let command = commands.randomElement(using: &generator) ?? ""
      let run = try await box.sluice(
        "get", "--stream", "--timeout", "1s", "--retries", "0", "--sha256", hash, server.url(), "--", "sh", "-c", command)
      let what = "seed \(Fuzz.seed): \(action), \(command): \(run.summary)"
      let expected: Set<Int32> = if case .flip = action { [65] } else { [69, 76] }
      #expect(expected.contains(run.exit ?? -1), "\(what)")
      #expect(run.errorText.contains(" bytes had been handed to sh"), "\(what)")
      #expect(run.output.isEmpty && names(in: box.work) == [] && box.spoolNames == [], "\(what)")
      server.stop()
    }
    let server = try box.objects(["/x": .init(bytes)])
    let good = try await box.sluice("get", "--stream", "--sha256", hash, server.url(), "--", "sh", "-c", "cat >got; touch ended")
    #expect(good.exit == 0, "\(good.summary)")
    try expectSame(contents("\(box.work)/got"), bytes)
    #expect(names(in: box.work) == ["ended", "got"])
  }
}

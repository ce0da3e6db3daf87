import Foundation
import Support
import Testing

/// What every store must do, whatever serves it.
@Suite(.sandboxed)
struct StoreSuite {
  /// A case at a server of the tests.
  struct Pair: Sendable, CustomTestStringConvertible {
    let server: StoreServer
    let `case`: StoreCase

    var testDescription: String { "\(server), \(`case`.rawValue)" }
  }

  /// The suites of the same benches have these.
  private static let elsewhere: [StoreCase] = [.cut, .killed]

  static let pairs = StoreServer.fakes.flatMap { server in
    StoreCase.allCases.filter { !elsewhere.contains($0) && $0.reason(against: server) == nil }.map { Pair(server: server, case: $0) }
  }

  /// What every file system can hold, and SiYuan too.
  static let names = [
    "with blank", "a+b", "数据库备份", "🗄️📦", "e\u{301}té", "-dash", "a..b", ".hidden", "a-b_c,d@e^f", String(repeating: "n", count: 180),
  ]
  static let oddNames = [
    "100%", "a%20b", "what?", "#1", "a&b=c;d", "\"quoted\"", "it's", "[x]{y}", "~", "$HOME", "`id`", "a|b", "<x>", "a:b", "%2F", "&amp;",
    String(repeating: "漢", count: 85),
  ]

  private let box = Sandbox.here
  private let old = Array("what was there before, and is longer\n".utf8)
  private let new = Array("some object\n".utf8)

  @Test("every store of the registry has its place here")
  func registry() async throws {
    let list = try await box.sluice("endpoints")
    let builtIn = try list.outputText.split(separator: "\n").map { try JSON(parsing: $0) }.filter { $0["kind"].text == "built-in" }
    #expect(Set(builtIn.compactMap { $0["name"].text } + ["plugin"]) == Set(StoreServer.fakes.map(\.store)))
  }

  @Test("the table of the stores is that of the tests")
  func table() {
    let table = StoreCase.table
    #expect(Document("Tests/README.md").text.contains(table), "it should be:\n\(table)")
    for server in StoreServer.real { #expect(StoreServer.fakes.contains { $0.store == server.store }) }
  }

  @Test("at a server of the tests", arguments: StoreSuite.pairs)
  func fake(pair: Pair) async throws {
    if pair.case == .full { return try await full(pair.server) }
    try await run(pair.case, StoreBench(pair.server, box))
  }

  @Test("at a server that others wrote", arguments: StoreServer.installed)
  func real(server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    for each in StoreCase.allCases where each.reason(against: server) == nil && each != .full && each != .killed {
      try await run(each, bench)
    }
  }

  @Test(
    "the disk of a server that others wrote is full",
    .enabled(if: SmallDisk.isPossible, "a small file system can be mounted by root alone"),
    arguments: StoreServer.installed.filter { StoreCase.full.reason(against: $0) == nil })
  func realFull(server: StoreServer) async throws {
    try await expectHeldWhenFull(StoreBench(server, box, isSmall: true), makeRoom: nil)
  }

  private func run(_ each: StoreCase, _ bench: StoreBench) async throws {
    switch each {
    case .empty: try await arrives([], bench, "empty")
    case .oneByte: try await arrives([65], bench, "one")
    case .edges: try await edges(bench)
    case .names: try await oddNames(bench)
    case .overwrite: try await overwrite(bench)
    case .noClobber: try await noClobber(bench)
    case .cut: try await cut(bench)
    case .lostAnswer: try await lostAnswer(bench)
    case .refusedEarly: try await refusedEarly(bench)
    case .stat: try await stat(bench)
    case .list: try await list(bench)
    case .read: try await read(bench)
    case .remove: try await remove(bench)
    case .get: try await get(bench)
    case .full, .killed: Issue.record("\(each) is tried elsewhere")
    }
  }

  // MARK: - Objects arrive

  private func arrives(_ bytes: [UInt8], _ bench: StoreBench, _ name: String) async throws {
    let what = "\(bytes.count) bytes to \(bench.server)"
    let run = try await bench.put(bytes, "--min-size", "0", bench.tells ? "--verify" : "-q", to: name)
    let result = try run.success()
    try await expectSame(bench.stored(name) ?? [1, 2, 3], bytes, what)
    #expect(result["endpoint"].text == (bench.server == .plugin ? StoreBench.plugin : bench.server.store), "\(what): \(run.summary)")
    #expect(result["bytes"].int == bytes.count, "\(what): \(run.summary)")
    #expect(try await result["sha256"].text == sha256(bytes), "\(what): \(run.summary)")
    #expect(result["attempts"].int == 1, "\(what): \(run.summary)")
    #expect((result["verified"].text != nil) == bench.tells, "\(what): \(run.summary)")
    expectNothingLeft(bench, what)
  }

  private func edges(_ bench: StoreBench) async throws {
    var generator = SeededGenerator(11)
    let bytes = generator.bytes(bench.chunk + 1)
    for more in [-1, 0, 1] { try await arrives(Array(bytes.prefix(bench.chunk + more)), bench, "edge\(more + 1)") }
  }

  private func oddNames(_ bench: StoreBench) async throws {
    let before = Set(bench.names() ?? [])
    var names = StoreSuite.names
    // SiYuan refuses the others before the input is read (`NameTests`).
    if bench.server != .siyuan { names += StoreSuite.oddNames }
    let run = try await box.start(
      bench.client(bench.options + names.map { bench.destination($0) }, input: .bytes(new))
    ).finish()
    #expect(run.exit == 0, "\(bench.server): \(run.summary)")
    for name in names { try await expectSame(bench.stored(name) ?? [], new, "\(name) at \(bench.server)") }
    // Not one letter more.
    if let there = bench.names() { #expect(Set(there).subtracting(before) == Set(names), "\(bench.server)") }
    expectNothingLeft(bench, "odd names at \(bench.server)")
  }

  private func overwrite(_ bench: StoreBench) async throws {
    let what = "overwriting at \(bench.server)"
    try await bench.plant(old, "over")
    for bytes in [new, old, new] {
      try await bench.put(bytes, to: "over").success()
      try await expectSame(bench.stored("over") ?? [], bytes, what)
    }
    expectNothingLeft(bench, what)
  }

  private func noClobber(_ bench: StoreBench) async throws {
    // A plugin says that it refuses, not why.
    let kind = bench.server == .plugin ? "rejected" : "exists"
    try await bench.plant(old, "kept")
    let options = bench.options + ["--no-clobber", "--no-hold"]
    let early = try await box.start(bench.client(options + [bench.destination("kept")], input: .endless)).finish()
    try early.failure(73, kind)
    let late = try await bench.put(new, "--no-clobber", "--no-hold", "--no-preflight", to: "kept")
    try late.failure(73, kind)
    try await expectSame(bench.stored("kept") ?? [], old, "--no-clobber at \(bench.server)")
    try await bench.put(new, "--no-clobber", to: "fresh").success()
    try await expectSame(bench.stored("fresh") ?? [], new, "--no-clobber at \(bench.server)")
    expectNothingLeft(bench, "--no-clobber at \(bench.server)")
  }

  // MARK: - Things go wrong

  /// At three places; `CutTests` has more of them.
  private func cut(_ bench: StoreBench) async throws {
    var generator = SeededGenerator(12)
    let bytes = generator.bytes(600_000)
    for (index, cut) in [StoreFault.Cut.after(100), .after(262_144), .fromEnd(1)].enumerated() {
      let (name, what) = ("cut\(index)", "cut \(cut) at \(bench.server)")
      // rclone's S3 writes into the file, so that what was there goes with a cut.
      if bench.server != .s3(.rclone) { try await bench.plant(old, name) }
      let broken = try bench.failing(.cut(cut), object: bytes.count)
      let run = try await broken.put(bytes, "--retries", "0", to: name)
      let id = try #require(try run.failure(69, "unreachable")["held"].text, "\(what): \(run.summary)")
      let between = try await bench.stored(name)
      // A plain PUT is as whole as the server makes it, and these make it so.
      if bench.server != .s3(.rclone) { #expect(between == old, "\(what): \(between?.count ?? -1) bytes are there") }
      let push = try await broken.sluice("held", "push", id)
      #expect(push.exit == 0, "\(what): \(push.summary)")
      try await expectSame(bench.stored(name) ?? [], bytes, what)
      expectNothingLeft(bench, what)
    }
  }

  private func lostAnswer(_ bench: StoreBench) async throws {
    for (index, options) in [[], ["--no-clobber"]].enumerated() {
      for (isMeant, request) in [(StoreBench.isUpload, "an upload"), (StoreBench.isPublication, "a publication")] {
        let (name, what) = ("lost\(index) \(request)", "lost answer to \(request) at \(bench.server), \(options)")
        let lossy = try bench.failing(.lostAnswer, object: new.count, at: isMeant)
        let run = try await box.start(
          lossy.client(bench.options + options + ["--retries", "2", lossy.destination(name)], input: .bytes(new))
        ).finish()
        // A plugin that has stored the object and says that it has not finds it there.
        if bench.server == .plugin, !options.isEmpty {
          #expect(run.exit == 73, "\(what): \(run.summary)")
          #expect(try await bench.sluice("held", "drop", "--all", "--yes").exit == 0)
        } else {
          #expect(run.exit == 0, "\(what): \(run.summary)")
        }
        try await expectSame(bench.stored(name) ?? [], new, what)
        expectNothingLeft(bench, what)
      }
    }
  }

  private func refusedEarly(_ bench: StoreBench) async throws {
    let bytes = [UInt8](repeating: 7, count: 3_000_000)
    for (status, exit, kind) in [(413, 73, "rejected"), (403, 77, "auth"), (503, 69, "server")] as [(Int, Int32, String)] {
      let what = "\(status) before the body at \(bench.server)"
      try await bench.plant(old, "refused")
      let refusing = try bench.failing(.refusedEarly(status), times: nil, object: bytes.count)
      let run = try await refusing.put(bytes, "--retries", "0", to: "refused")
      let result = try run.result()
      #expect(run.exit == exit && result["error"]["kind"].text == kind, "\(what): \(run.summary)")
      #expect(result["attempts"].int == 1, "\(what): \(run.summary)")
      try await expectSame(bench.stored("refused") ?? [], old, what)
      let id = try #require(result["held"].text, "\(what): \(run.summary)")
      try refusing.heal()
      let push = try await refusing.sluice("held", "push", id)
      #expect(push.exit == 0, "\(what): \(push.summary)")
      try await expectSame(bench.stored("refused") ?? [], bytes, what)
      expectNothingLeft(bench, what)
    }
  }

  private func full(_ server: StoreServer) async throws {
    guard SmallDisk.isPossible else { return }
    let disk = StoreBench.disk(of: server, box)
    try await withSmallDisk(at: disk, kibibytes: StoreBench.smallDisk >> 10) {
      try await expectHeldWhenFull(StoreBench(server, box)) {
        let grown = try await Program("/bin/sh", ["-c", "mount -o remount,size=4m '\(disk)'"]).run()
        try #require(grown.exit == 0, "\(grown.summary)")
      }
    }
  }

  /// - Parameter makeRoom: nil where that can't be done.
  private func expectHeldWhenFull(_ bench: StoreBench, makeRoom: (() async throws -> Void)?) async throws {
    let what = "full disk at \(bench.server)"
    var generator = SeededGenerator(13)
    let bytes = generator.bytes(StoreBench.smallDisk + 100_000)
    try await bench.plant(old, "full")
    let run = try await bench.put(bytes, "--retries", "0", to: "full")
    #expect(run.exit == 73 || run.exit == 69, "\(what): \(run.summary)")
    #expect(run.errorText.contains("full") || run.errorText.contains("no space left") || run.exit == 69, "\(what): \(run.summary)")
    try await expectSame(bench.stored("full") ?? [], old, what)
    let id = try #require(try run.result()["held"].text, "\(what): \(run.summary)")
    #expect(bench.leftovers().isEmpty, "\(what): \(bench.leftovers())")
    guard let makeRoom else { return }
    try await makeRoom()
    let push = try await bench.sluice("held", "push", id)
    #expect(push.exit == 0, "\(what): \(push.summary)")
    try await expectSame(bench.stored("full") ?? [], bytes, what)
    expectNothingLeft(bench, what)
  }

  private func expectNothingLeft(_ bench: StoreBench, _ what: String) {
    #expect(box.spoolNames.isEmpty, "\(what): left in the spool: \(box.spoolNames)")
    #expect(bench.leftovers().isEmpty, "\(what): left at the destination: \(bench.leftovers())")
  }
}

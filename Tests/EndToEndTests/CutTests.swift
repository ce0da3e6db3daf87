import Foundation
import Support
import Testing

/// Connections that break at every place where something begins or ends, and servers that say one thing and do another.
@Suite(.sandboxed)
struct CutTests {
  /// Those where there is somebody between the client and the object.
  static let servers = StoreServer.fakes.filter { $0 != .file }

  static let cuts: [StoreFault.Cut] =
    [0, 1, 2, 100, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_575, 1_048_576, 1_048_577].map { .after($0) }
    + [-3, -1, 0, 1].map { .fromObject($0) } + [0, 1, 2, 46, 47, 48].map { .fromEnd($0) }

  static let faults: [StoreFault] = [
    .refusedEarly(503), .refusedEarly(413), .refusedEarly(500), .lostAnswer, .cutAnswer, .silent, .failed(502), .page, .kept(0), .kept(1),
    .kept(65_536), .kept(1_048_576), .kept(CutTests.length - 1), .stalled(after: 0), .stalled(after: 65_536),
  ]

  private static let length = 1_048_576 + 77_777

  private let box = Sandbox.here
  private let bytes: [UInt8]

  init() {
    var generator = SeededGenerator(77)
    bytes = generator.bytes(CutTests.length)
  }

  @Test(
    "a connection that breaks anywhere costs nothing: the object is held, and a push that meets the same tries again",
    arguments: CutTests.servers)
  func cut(server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    // Where there is no form, these are the ones at its ends.
    let isForm = server == .siyuan
    let cuts = CutTests.cuts.filter { cut in
      switch cut {
      case .fromObject: isForm
      case .fromEnd(let bytes): isForm || bytes < 46
      case .after: true
      }
    }
    for (index, cut) in cuts.enumerated() where StoreFault.cut(cut).isPossible(at: server) {
      // The wait before another try is the same everywhere.
      let meetsAgain = index % 6 == 0
      let trial = Trial(
        try bench.failing(.cut(cut), times: meetsAgain ? 2 : 1, object: bytes.count), bytes, name: "x\(index)")
      try await expectHeldAndPushed(trial, "\(cut) at \(server)")
    }
  }

  private func expectHeldAndPushed(_ trial: Trial, _ what: String) async throws {
    let run = try await trial.bench.put(bytes, "--retries", "0", to: trial.name)
    if run.exit == 0 {
      #expect(try await trial.found() == .whole, "\(what)")
      return
    }
    let result = try run.result()
    // A plugin says that it may be tried again, not why.
    #expect(result["error"]["kind"].text == (trial.bench.server == .plugin ? "server" : "unreachable"), "\(what): \(run.summary)")
    #expect(run.exit == 69, "\(what): \(run.summary)")
    let id = try #require(result["held"].text, "\(what): \(run.summary)")
    try await trial.expectNoHalf(what)
    let push = try await trial.bench.sluice("held", "push", "--retries", "2", id)
    #expect(push.exit == 0, "\(what): \(push.summary)")
    #expect(try await trial.found() == .whole, "\(what)")
    #expect(box.spoolNames.isEmpty, "\(what)")
    #expect(trial.bench.leftovers().isEmpty, "\(what): \(trial.bench.leftovers())")
  }

  @Test("a local file that the system takes only a part of stays as it was", arguments: [0, 512, 65_536, 262_144, 1_048_576])
  func cutFile(size: Int) async throws {
    var trial = Trial(try await StoreBench(.file, box), bytes)
    try await trial.plant(Array("what was there before\n".utf8))
    let file = try box.file("in", bytes)
    var client = box.client(["--retries", "0", "--input", file, trial.destination])
    client.fileSizeLimit = size
    let run = try await box.start(client).finish()
    #expect(run.exit == 73 || run.exit == 74, "\(run.summary)")
    #expect(try await trial.found() == .old, "\(run.summary)")
    try await trial.settle(wasKilled: false, "\(size) bytes taken")
    #expect(trial.bench.names() == ["x"])
  }

  @Test(
    "a server that refuses early, or takes all and never says so, or keeps only a part, costs nothing", arguments: CutTests.servers)
  func misbehaved(server: StoreServer) async throws {
    let bench = try await StoreBench(server, box)
    for (index, fault) in CutTests.faults.enumerated() where fault.isPossible(at: server) {
      let trial = Trial(try bench.failing(fault, object: bytes.count), bytes, name: "x\(index)")
      let what = "\(fault) at \(server)"
      let asked = bench.tells ? ["--verify", "--answer-timeout", "1s"] : []
      let run = try await box.start(
        trial.bench.client(["--retries", "0", "--timeout", "1s"] + asked + [trial.destination], input: .bytes(bytes))
      ).finish()
      if run.exit != 0 {
        #expect([69, 73, 76].contains(run.exit), "\(what): \(run.summary)")
        let id = try #require(try run.result()["held"].text, "\(what): \(run.summary)")
        if case .kept = fault {} else { try await trial.expectNoHalf(what) }
        let push = try await trial.bench.sluice("held", "push", "--retries", "2", id)
        #expect(push.exit == 0, "\(what): \(push.summary)")
      }
      #expect(try await trial.found() == .whole, "\(what): \(run.summary)")
      #expect(box.spoolNames.isEmpty, "\(what)")
    }
  }
}

import Foundation
import Support
import Testing

/// Connections that break at every place where something begins or ends, and servers that say one thing and do another.
@Suite(.sandboxed)
struct CutTests {
  /// Where in the body of a request the server cuts.
  enum Cut: Sendable, CustomTestStringConvertible {
    /// After so many bytes of the body.
    case after(Int)
    /// So many bytes from the first of the object: before it in a form.
    case fromObject(Int)
    /// So many bytes from the end of the body.
    case fromEnd(Int)

    var testDescription: String {
      switch self {
      case .after(let bytes): "after \(bytes)"
      case .fromObject(let bytes): "object \(bytes >= 0 ? "+" : "")\(bytes)"
      case .fromEnd(let bytes): "end -\(bytes)"
      }
    }

    func bytes(prefix: Int, body: Int) -> Int {
      switch self {
      case .after(let bytes): bytes
      case .fromObject(let bytes): max(0, prefix + bytes)
      case .fromEnd(let bytes): body - bytes
      }
    }
  }

  static let cuts: [Cut] =
    [0, 1, 2, 100, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_575, 1_048_576, 1_048_577].map { .after($0) }
    + [-3, -1, 0, 1].map { .fromObject($0) } + [0, 1, 2, 46, 47, 48].map { .fromEnd($0) }

  private static let length = 1_048_576 + 77_777
  /// What stands behind the object in SiYuan's form: a line break, the boundary of 39 characters with two dashes at both ends, a line break.
  private static let formEnd = 47

  private let box = Sandbox.here
  private let bytes: [UInt8]

  init() {
    var generator = SeededGenerator(77)
    bytes = generator.bytes(CutTests.length)
  }

  @Test(
    "a connection that breaks anywhere costs nothing: the object is held, and a push that meets the same tries again",
    arguments: Trial.Place.remote, CutTests.cuts)
  func cut(place: Trial.Place, cut: Cut) async throws {
    let body = try await bodyLength(place)
    let count = cut.bytes(prefix: place == .siyuan ? body - bytes.count - CutTests.formEnd : 0, body: body)
    let trial = try await failing(place, ["--cut-after", "\(count)", "--times", "2"])
    let run = try await put(trial, "--retries", "0")
    if run.exit == 0 {
      try expectSame(contents(trial.file), bytes, "cut after \(count)")
      return
    }
    let result = try run.failure(69, "unreachable")
    let id = try #require(result["held"].text)
    try trial.expectNoHalf("cut after \(count)")
    let push = try await box.sluice("held", "push", "--retries", "2", id)
    try push.success()
    try expectSame(contents(trial.file), bytes, "cut after \(count)")
    #expect(box.spoolNames.isEmpty)
  }

  @Test(
    "a server that refuses early, or takes all and never says so, or keeps only a part, costs nothing", arguments: Trial.Place.remote,
    [
      ["--refuse-early", "503"], ["--refuse-early", "413"], ["--refuse-early", "500"], ["--store-then-cut"], ["--cut-json"], ["--hang"],
      ["--status", "502"], ["--html"], ["--truncate-stored", "0"], ["--truncate-stored", "1"], ["--truncate-stored", "65536"],
      ["--truncate-stored", "1048576"], ["--truncate-stored", "\(CutTests.length - 1)"], ["--stall-after", "0"],
      ["--stall-after", "65536"],
    ])
  func misbehaved(place: Trial.Place, fault: [String]) async throws {
    // SiYuan takes one upload at a time: one that stalls keeps the next ones waiting until its connection is seen to be gone, which may take
    // minutes if bytes lie unread before its end.
    if place == .siyuan, fault[0] == "--stall-after" { return }
    let trial = try await failing(place, fault + ["--times", "1"])
    let run = try await put(trial, "--retries", "0", "--verify", "--timeout", "1s", "--answer-timeout", "1s")
    if run.exit != 0 {
      #expect([69, 73, 76].contains(run.exit), "\(run.summary)")
      let result = try run.result()
      let id = try #require(result["held"].text, "\(run.summary)")
      if fault[0] != "--truncate-stored" { try trial.expectNoHalf("\(fault)") }
      try await box.sluice("held", "push", "--retries", "2", id).success()
    }
    try expectSame(contents(trial.file), bytes, "\(fault)")
    #expect(box.spoolNames.isEmpty)
  }

  private func put(_ trial: Trial, _ options: String...) async throws -> Finished {
    // The look before an upload would use up the fault of a plain server.
    let early = trial.place == .plain ? ["--no-preflight"] : []
    return try await box.start(box.client(options + early + [trial.destination], input: .bytes(bytes))).finish()
  }

  private func failing(_ place: Trial.Place, _ fault: [String]) async throws -> Trial {
    let server = try await box.loopback(fault + (place == .plain ? ["--on", "/plain/x"] : []))
    return Trial(box, place, server, bytes)
  }

  /// How long the body of an upload is: in a form the object stands between other bytes.
  private func bodyLength(_ place: Trial.Place) async throws -> Int {
    guard place == .siyuan else { return bytes.count }
    let server = try await box.loopback()
    try await box.sluice(server.siyuan("/data/x"), input: bytes).success()
    return try #require(try await server.puts(to: "/api/file/putFile")[0]["body_bytes"].int)
  }
}

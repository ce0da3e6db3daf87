import Foundation
import Support
import Testing

/// Runs that are killed at instants that nobody chose, and what the next runs make of what they left.
@Suite(.sandboxed)
struct KillTests {
  /// Where objects go, and whether in parts.
  struct Place: Sendable, CustomTestStringConvertible {
    let server: StoreServer
    var hasParts = false

    var testDescription: String { hasParts ? "parts" : "\(server)" }
  }

  static let servers: [StoreServer] = StoreServer.fakes + DAVServer.allCases.map { .dav($0) } + [.s3(.rclone)]
  private static let places =
    servers.filter { $0.program == nil || StoreServer.installed.contains($0) }.map { Place(server: $0) }
    + [Place(server: .http(nil), hasParts: true)]
  private static let rounds = Fuzz.number("SLUICE_KILLS").map { max(1, $0 / KillTests.places.count) } ?? 6

  private let box = Sandbox.here

  /// One object, then perhaps a newer one under the same name.
  private struct Round {
    /// What was there before; nil for nothing.
    var old: Version?
    var older: Version
    var newer: Version
    /// Whether the input is a file, so that nothing is held.
    var isFile: Bool
    let what: String
  }

  @Test(
    "a run that is killed at any instant loses nothing, tears nothing and puts nothing older over what is newer",
    arguments: KillTests.places)
  func kill(place: Place) async throws {
    var generator = Fuzz.generator("kill \(place)")
    let target = Target(bench: try await StoreBench(place.server, box), hasParts: place.hasParts)
    // So long that it goes in parts where the store has some.
    let random = generator.bytes(place.server.store == "s3" ? 11 << 20 : 600_000)
    let version = { (name: String) in Version(name, before: random) }
    let whole = try await run(target, version("whole"), isFile: false)
    #expect(whole.exit == 0, "\(whole.summary)")
    // How long a run takes changes with what else the machine does.
    var length = whole.duration
    var counts: [String: Int] = [:]
    for number in 0..<KillTests.rounds {
      var round = Round(
        old: Bool.random(using: &generator) ? version("old") : nil, older: version("older \(number)"), newer: version("newer \(number)"),
        isFile: number % 3 == 2, what: "seed \(Fuzz.seed), round \(number) at \(place.testDescription)")
      // A whole set is not replaced; and rclone's S3 writes into the file, so that what was there goes with a cut.
      if place.hasParts || place.server == .s3(.rclone) { round.old = nil }
      try await target.plant(round.old)
      let first = try await killed(target, round.older, round, after: length * Double.random(in: 0...1.1, using: &generator))
      counts[first.exit == nil ? "killed" : "too late to be killed", default: 0] += 1
      let found = try await look(target, round)
      if first.exit == 0 { #expect(found == .object(round.older), "\(round.what): success, and it is not there") }
      if number % 2 == 1 {
        let isKilled = Bool.random(using: &generator)
        let instant = isKilled ? length * Double.random(in: 0.2...1.2, using: &generator) : nil
        try await settleWithNewer(target, round, instant, &counts)
      } else {
        try await settle(target, round, &counts)
      }
      length = try await clean(target, round)
    }
    print("kills at \(place.testDescription): \(counts.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", "))")
  }

  private func run(_ target: Target, _ version: Version, isFile: Bool, after instant: Duration? = nil) async throws -> Finished {
    let input = ["--input", try box.file("in", version.bytes)]
    let client = target.bench.client(
      target.options + (isFile ? input : []) + [target.bench.destination("x")], input: isFile ? .nothing : .bytes(version.bytes))
    let running = try box.start(client)
    if let instant {
      try await Task.sleep(for: instant)
      running.signal(SIGKILL)
    }
    let finished = await running.finish()
    try await target.bench.settled()
    return finished
  }

  private func killed(_ target: Target, _ version: Version, _ round: Round, after instant: Duration) async throws -> Finished {
    let finished = try await run(target, version, isFile: round.isFile, after: instant)
    #expect(finished.signal == SIGKILL || finished.exit == 0, "\(round.what), after \(instant): \(finished.summary)")
    return finished
  }

  /// Expects something whole, and returns it.
  private func look(_ target: Target, _ round: Round) async throws -> Found {
    let found = try await target.found(of: [round.older, round.newer] + (round.old.map { [$0] } ?? []))
    if case .torn(let why) = found { Issue.record("\(round.what): torn: \(why)") }
    // An object that was replaced is there until the new one is.
    if round.old != nil { #expect(found != .nothing, "\(round.what): lost") }
    return found
  }

  private func push(_ target: Target, _ round: Round) async throws -> Finished {
    let push = try await target.bench.sluice("held", "push", "--all", "--retries", "3")
    // Of two sets under one name the first that is whole stays, and the other one is refused.
    #expect(push.exit == 0 || target.hasParts && push.exit == 73, "\(round.what): \(push.summary)")
    return push
  }

  private var isHeld: Bool { box.spoolNames.contains { $0.hasSuffix(".json") } }

  /// Whether all of an object is held. Parts alone say nothing of a set: the run died before it had noted the last thing, the list of them.
  private func holdsWhole(_ target: Target) -> Bool {
    guard target.hasParts else { return isHeld }
    return box.spoolNames.contains { name in
      let text = name.hasSuffix(".json") ? (try? contents("\(box.spool)/\(name)")) ?? [] : []
      return String(decoding: text, as: UTF8.self).contains(#""role":"manifest""#)
    }
  }

  /// What was complete comes there by a push, whatever was there at the kill.
  private func settle(_ target: Target, _ round: Round, _ counts: inout [String: Int]) async throws {
    guard holdsWhole(target) else {
      if isHeld { _ = try await push(target, round) }
      counts[try await look(target, round) == .object(round.older) ? "uploaded" : "gone with the input", default: 0] += 1
      return
    }
    _ = try await push(target, round)
    #expect(try await look(target, round) == .object(round.older), "\(round.what): held, pushed, and not there")
    counts["held and pushed", default: 0] += 1
  }

  /// A newer object comes, perhaps killed as well, and then what is held of both.
  private func settleWithNewer(_ target: Target, _ round: Round, _ instant: Duration?, _ counts: inout [String: Int]) async throws {
    let wasHeld = holdsWhole(target)
    let second = try await run(target, round.newer, isFile: round.isFile, after: instant)
    // A whole set is not replaced.
    let isRefused = target.hasParts && second.exit == 73
    #expect(isRefused || second.exit == 0 || second.signal == SIGKILL && instant != nil, "\(round.what): \(second.summary)")
    let found = try await look(target, round)
    if second.exit == 0 { #expect(found == .object(round.newer), "\(round.what): success, and the newer one is not there") }
    let isNewerThere = found == .object(round.newer)
    let push = isHeld ? try await push(target, round).summary : "nothing was held"
    let end = try await look(target, round)
    if isNewerThere { #expect(end == .object(round.newer), "\(round.what): older over newer: \(second.summary), then \(push)") }
    if wasHeld, end != .object(round.newer) { #expect(end == .object(round.older), "\(round.what): lost") }
    counts[end == .object(round.newer) ? "newer" : "newer gone with its input", default: 0] += 1
  }

  /// Discards what was settled, and expects that a run that ends well leaves nothing: neither here nor there.
  ///
  /// - Returns: how long that run took.
  private func clean(_ target: Target, _ round: Round) async throws -> Duration {
    if isHeld { try await expectEnd(target.bench.sluice("held", "drop", "--all", "--yes"), round) }
    if target.hasParts { try await target.plant(nil) }
    let last = try await run(target, round.newer, isFile: false)
    expectEnd(last, round)
    #expect(box.spoolNames.isEmpty, "\(round.what): left in the spool: \(box.spoolNames)")
    #expect(target.bench.leftovers().isEmpty, "\(round.what): left at the destination: \(target.bench.leftovers())")
    let residue = names(in: target.bench.folder ?? box.work).filter { $0.hasPrefix(".sluice-\(getuid())") }
    #expect(residue.isEmpty, "\(round.what): left beside the target")
    return last.duration
  }

  private func expectEnd(_ run: Finished, _ round: Round) {
    #expect(run.exit == 0, "\(round.what): \(run.summary)")
  }
}

/// An object, known by the name that it begins with.
private struct Version: Equatable, CustomDebugStringConvertible {
  let name: String
  let bytes: [UInt8]

  init(_ name: String, before rest: [UInt8]) {
    self.name = name
    bytes = Array(name.padding(toLength: 40, withPad: ".", startingAt: 0).utf8) + rest
  }

  var debugDescription: String { name }
}

private enum Found: Equatable {
  case nothing
  case object(Version)
  /// Half an object, or parts that are not those of their list.
  case torn(String)
}

/// Where objects go, and what lies there.
private struct Target {
  let bench: StoreBench
  let hasParts: Bool

  var options: [String] { hasParts ? ["--part-size", "150k"] : bench.options }

  private struct Torn: Error { let why: String }

  /// - Parameter known: what may be there.
  func found(of known: [Version]) async throws -> Found {
    do {
      guard let bytes = try await hasParts ? assembled() : bench.stored() else { return .nothing }
      return known.first { $0.bytes == bytes }.map { .object($0) }
        ?? .torn("\(bytes.count) bytes, \(String(decoding: bytes.prefix(40), as: UTF8.self))")
    } catch let torn as Torn {
      return .torn(torn.why)
    }
  }

  /// What the parts of a set are together; nil if there is no list of them.
  private func assembled() async throws -> [UInt8]? {
    guard let text = try await bench.stored("x.parts.json") else { return nil }
    guard let list = try? JSON(parsing: String(decoding: text, as: UTF8.self)) else { throw Torn(why: "the list is cut") }
    var bytes: [UInt8] = []
    for part in list["parts"].items {
      let name = part["name"].text ?? ""
      guard let more = try await bench.stored(name) else { throw Torn(why: "\(name) is missing") }
      bytes += more
    }
    guard bytes.count == list["bytes"].int else { throw Torn(why: "\(bytes.count) bytes of \(list["bytes"])") }
    return bytes
  }

  /// Puts an object there that nobody wrote, or takes away what is there.
  func plant(_ old: Version?) async throws {
    for name in bench.names() ?? [] where name != "x" && (name.hasPrefix("x.part") || name.contains(".sluice-")) {
      try await bench.plant(nil, name)
    }
    try await bench.plant(old?.bytes)
  }
}

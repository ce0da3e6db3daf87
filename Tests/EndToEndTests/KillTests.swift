import Foundation
import Support
import Testing

/// Runs that are killed at instants that nobody chose, and what the next runs make of what they left.
@Suite(.sandboxed)
struct KillTests {
  private static let rounds = Fuzz.number("SLUICE_KILLS").map { max(1, $0 / KillPlace.Kind.all.count) } ?? 6

  private let box = Sandbox.here

  /// One object, then perhaps a newer one under the same name.
  private struct Round {
    /// What was there before; nil for nothing.
    var old: KillPlace.Version?
    var older: KillPlace.Version
    var newer: KillPlace.Version
    /// Whether the input is a file, so that nothing is held.
    var isFile: Bool
    let what: String
  }

  @Test(
    "a run that is killed at any instant loses nothing, tears nothing and puts nothing older over what is newer",
    arguments: KillPlace.Kind.all)
  func kill(kind: KillPlace.Kind) async throws {
    var generator = Fuzz.generator("kill \(kind)")
    let place = try await KillPlace(kind, box)
    let random = generator.bytes(place.length - 40)
    let version = { (name: String) in KillPlace.Version(name, before: random) }
    let whole = try await run(place, version("whole"), isFile: false)
    #expect(whole.exit == 0, "\(whole.summary)")
    // How long a run takes changes with what else the machine does.
    var length = whole.duration
    var counts: [String: Int] = [:]
    for number in 0..<KillTests.rounds {
      var round = Round(
        old: Bool.random(using: &generator) ? version("old") : nil, older: version("older \(number)"), newer: version("newer \(number)"),
        isFile: number % 3 == 2, what: "seed \(Fuzz.seed), round \(number) at \(kind.testDescription)")
      // A whole set is not replaced; and rclone's S3 writes into the file, so that what was there goes with a cut.
      if kind == .parts || kind == .realS3 { round.old = nil }
      try await place.plant(round.old, box)
      let first = try await killed(place, round.older, round, after: length * Double.random(in: 0...1.1, using: &generator))
      counts[first.exit == nil ? "killed" : "too late to be killed", default: 0] += 1
      let found = try look(place, round)
      if first.exit == 0 { #expect(found == .object(round.older), "\(round.what): success, and it is not there") }
      if number % 2 == 1 {
        let isKilled = Bool.random(using: &generator)
        let instant = isKilled ? length * Double.random(in: 0.2...1.2, using: &generator) : nil
        try await settleWithNewer(place, round, instant, &counts)
      } else {
        try await settle(place, round, &counts)
      }
      length = try await clean(place, round)
    }
    print("kills at \(kind.testDescription): \(counts.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", "))")
  }

  private func run(_ place: KillPlace, _ version: KillPlace.Version, isFile: Bool, after instant: Duration? = nil) async throws -> Finished
  {
    let input = ["--input", try box.file("in", version.bytes)]
    let client = box.client(
      place.options + (isFile ? input : []) + [place.destination], input: isFile ? .nothing : .bytes(version.bytes),
      environment: place.environment)
    let running = try box.start(client)
    if let instant {
      try await Task.sleep(for: instant)
      running.signal(SIGKILL)
    }
    return await running.finish()
  }

  private func killed(_ place: KillPlace, _ version: KillPlace.Version, _ round: Round, after instant: Duration) async throws -> Finished {
    let finished = try await run(place, version, isFile: round.isFile, after: instant)
    #expect(finished.signal == SIGKILL || finished.exit == 0, "\(round.what), after \(instant): \(finished.summary)")
    return finished
  }

  /// Expects something whole, and returns it.
  private func look(_ place: KillPlace, _ round: Round) throws -> KillPlace.Found {
    let found = try place.found(of: [round.older, round.newer] + (round.old.map { [$0] } ?? []))
    if case .torn(let why) = found { Issue.record("\(round.what): torn: \(why)") }
    // An object that was replaced is there until the new one is.
    if round.old != nil { #expect(found != .nothing, "\(round.what): lost") }
    return found
  }

  private func push(_ place: KillPlace, _ round: Round) async throws -> Finished {
    let push = try await box.start(box.client(["held", "push", "--all", "--retries", "3"], environment: place.environment)).finish()
    // Of two sets under one name the first that is whole stays, and the other one is refused.
    #expect(push.exit == 0 || place.kind == .parts && push.exit == 73, "\(round.what): \(push.summary)")
    return push
  }

  private var isHeld: Bool { box.spoolNames.contains { $0.hasSuffix(".json") } }

  /// Whether all of an object is held. Parts alone say nothing of a set: the run died before it had noted the last thing, the list of them.
  private func holdsWhole(_ place: KillPlace) -> Bool {
    guard place.kind == .parts else { return isHeld }
    return box.spoolNames.contains { name in
      let text = name.hasSuffix(".json") ? (try? contents("\(box.spool)/\(name)")) ?? [] : []
      return String(decoding: text, as: UTF8.self).contains(#""role":"manifest""#)
    }
  }

  /// What was complete comes there by a push, whatever was there at the kill.
  private func settle(_ place: KillPlace, _ round: Round, _ counts: inout [String: Int]) async throws {
    guard holdsWhole(place) else {
      if isHeld { _ = try await push(place, round) }
      counts[try look(place, round) == .object(round.older) ? "uploaded" : "gone with the input", default: 0] += 1
      return
    }
    _ = try await push(place, round)
    #expect(try look(place, round) == .object(round.older), "\(round.what): held, pushed, and not there")
    counts["held and pushed", default: 0] += 1
  }

  /// A newer object comes, perhaps killed as well, and then what is held of both.
  private func settleWithNewer(_ place: KillPlace, _ round: Round, _ instant: Duration?, _ counts: inout [String: Int]) async throws {
    let wasHeld = holdsWhole(place)
    let second = try await run(place, round.newer, isFile: round.isFile, after: instant)
    // A whole set is not replaced.
    let isRefused = place.kind == .parts && second.exit == 73
    #expect(isRefused || second.exit == 0 || second.signal == SIGKILL && instant != nil, "\(round.what): \(second.summary)")
    let found = try look(place, round)
    if second.exit == 0 { #expect(found == .object(round.newer), "\(round.what): success, and the newer one is not there") }
    let isNewerThere = found == .object(round.newer)
    let push = isHeld ? try await push(place, round).summary : "nothing was held"
    let end = try look(place, round)
    if isNewerThere { #expect(end == .object(round.newer), "\(round.what): older over newer: \(second.summary), then \(push)") }
    if wasHeld, end != .object(round.newer) { #expect(end == .object(round.older), "\(round.what): lost") }
    counts[end == .object(round.newer) ? "newer" : "newer gone with its input", default: 0] += 1
  }

  /// Discards what was settled, and expects that a run that ends well leaves nothing: neither here nor there.
  ///
  /// - Returns: how long that run took.
  private func clean(_ place: KillPlace, _ round: Round) async throws -> Duration {
    if isHeld { try await expectEnd(box.sluice("held", "drop", "--all", "--yes"), round) }
    if place.kind == .parts { try await place.plant(nil, box) }
    let last = try await run(place, round.newer, isFile: false)
    expectEnd(last, round)
    #expect(box.spoolNames.isEmpty, "\(round.what): left in the spool: \(box.spoolNames)")
    #expect(place.leftovers().isEmpty, "\(round.what): left at the destination: \(place.leftovers())")
    let residue = names(in: box.work).filter { $0.hasPrefix(".sluice-\(getuid())") }
    #expect(residue.isEmpty, "\(round.what): left beside the target")
    return last.duration
  }

  private func expectEnd(_ run: Finished, _ round: Round) {
    #expect(run.exit == 0, "\(round.what): \(run.summary)")
  }
}

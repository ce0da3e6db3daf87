import Foundation
import Support
import Testing

/// Many processes on one spool folder.
@Suite(.sandboxed)
struct SharedSpoolTests {
  private let box = Sandbox.here

  @Test("of processes that share a spool and are killed at any instant none loses an object of another", arguments: [2, 8], 1...3)
  func killed(count: Int, round: Int) async throws {
    let bench = StoreBench(.http(nil), box, try await box.loopback())
    var generator = Fuzz.generator("shared \(count) \(round)")
    let trials = (0..<count).map { Trial(bench, generator.bytes(400_000 + $0), name: "x\($0)") }
    let instants = trials.map { _ in Duration.milliseconds(Int.random(in: 0...400, using: &generator)) }
    let runs = try await withThrowingTaskGroup(of: (Int, Finished).self) { group in
      for (index, trial) in trials.enumerated() {
        group.addTask { [box] in
          let running = try box.start(box.client([trial.destination], input: .bytes(trial.bytes)))
          if index % 2 == 0 {
            try await Task.sleep(for: instants[index])
            running.signal(SIGKILL)
          }
          return (index, await running.finish())
        }
      }
      return try await group.reduce(into: [Int: Finished]()) { $0[$1.0] = $1.1 }
    }
    let held = Set(try await trials[0].held())
    for push in try await pushTwice() { #expect(push.exit == 0, "seed \(Fuzz.seed): \(push.summary)") }
    try await box.sluice("./next", input: [1]).success()
    #expect(box.spoolNames.isEmpty, "seed \(Fuzz.seed)")
    var lost = 0
    for (index, trial) in trials.enumerated() {
      let found = try await trial.found()
      if runs[index]?.exit == 0 || index % 2 == 1 { #expect(found == .whole, "seed \(Fuzz.seed): \(runs[index]?.summary ?? "")") }
      if case .broken = found { Issue.record("seed \(Fuzz.seed): \(found) of \(trial.destination)") }
      if found != .whole { lost += 1 }
    }
    #expect(lost <= (count + 1) / 2 - held.count, "seed \(Fuzz.seed): what was held is not there")
  }

  @Test("two that push everything at the same time send each object once, and neither fails", arguments: 1...3)
  func pushedTwice(_: Int) async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "403", "--times", "8")
    let bench = StoreBench(.http(nil), box, server)
    var trials: [Trial] = []
    for index in 0..<8 {
      var generator = SeededGenerator(UInt64(index))
      let trial = Trial(bench, generator.bytes(300_000), name: "x\(index)")
      try await box.sluice("--no-preflight", "--retries", "0", trial.destination, input: trial.bytes).failure(77, "auth")
      trials.append(trial)
    }
    let pushes = try await pushTwice()
    for push in pushes { #expect(push.exit == 0, "\(push.summary)") }
    #expect(try pushes.flatMap { try $0.results() }.count == 8)
    for trial in trials { #expect(try await trial.found() == .whole) }
    #expect(try server.log().filter { $0["status"].int == 201 }.count == 8)
    #expect(box.spoolNames.isEmpty)
  }

  private func pushTwice() async throws -> [Finished] {
    async let one = box.sluice("held", "push", "--all")
    async let other = box.sluice("held", "push", "--all")
    return try await [one, other]
  }
}

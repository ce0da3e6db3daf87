import Foundation
import Support
import Testing

/// Runs that are killed at instants that nobody chose.
@Suite(.sandboxed)
struct KillTests {
  private static let rounds = Fuzz.number("SLUICE_KILLS").map { $0 / Trial.Place.allCases.count } ?? 50

  private let box = Sandbox.here

  @Test(
    "a run that is killed at any instant leaves its object uploaded whole, held, or gone if its input had not ended",
    arguments: Trial.Place.allCases)
  func kill(place: Trial.Place) async throws {
    var generator = Fuzz.generator("kill \(place)")
    let bytes = generator.bytes(600_000)
    let old = Array("what was there before\n".utf8)
    let server = place == .file ? nil : try await box.loopback()
    var trial = Trial(box, place, server, bytes)
    let whole = try await box.sluice(trial.destination, input: bytes)
    try whole.success()
    var ends = (uploaded: 0, held: 0, gone: 0)
    for round in 0..<KillTests.rounds {
      if round % 2 == 0 { try trial.plant(old) } else { try? FileManager.default.removeItem(atPath: trial.file) }
      let instant = whole.duration * Double.random(in: 0...1.2, using: &generator)
      let running = try box.start(box.client([trial.destination], input: .bytes(bytes)))
      try await Task.sleep(for: instant)
      running.signal(SIGKILL)
      let run = await running.finish()
      let what = "seed \(Fuzz.seed), round \(round), killed after \(instant)"
      #expect(run.signal == SIGKILL || run.exit == 0, "\(what): \(run.summary)")
      switch try await trial.settle(wasKilled: true, what) {
      case .uploaded: ends.uploaded += 1
      case .held: ends.held += 1
      case .gone:
        ends.gone += 1
        #expect(run.exit != 0 && run.output.isEmpty, "\(what): success was reported of what is gone")
      }
    }
    print("kills at \(place): \(ends.uploaded) uploaded, \(ends.held) held and pushed, \(ends.gone) gone before the end of their input")
  }
}

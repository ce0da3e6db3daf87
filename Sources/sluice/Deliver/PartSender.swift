import BytePath
import Endpoints
import Synchronization

/// What is known of a part that was made.
struct PartFacts: Sendable {
  let number: Int
  let bytes: Int64
  let sha256: Checksum

  static func suffix(_ number: Int) -> String {
    let digits = String(number)
    return ".part-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}

/// Sends the parts of an object in their order, while later ones are still being made.
///
/// As long as the input has not ended, a destination that fails is out: the part that it lacks is not kept, because what comes after it may
/// never come. From the end of the input on all that has not arrived everywhere is kept, the manifest too, so that a later run completes the
/// set.
final class PartSender: Sendable {
  /// What became of one destination.
  struct Progress: Sendable {
    /// How many parts it has.
    var arrived = 0
    var attempts = 0
    var uploadTime = Duration.zero
    var failure: Failure?
    /// Whether it failed at a part that is not kept.
    var isOut = false
  }

  private struct State {
    var facts: [PartFacts] = []
    var open: [Int: HeldSpool] = [:]
    var progress: [Progress]
  }

  private let targets: [Target]
  private let settings: DeliverySettings
  private let job: @Sendable (Payload, _ sha256: Checksum, _ suffix: String) -> HeldJob
  private let order: @Sendable (Payload, [Int: Target]) -> RunOrder
  private let messages: Messages
  private let state: Mutex<State>

  /// - Parameters:
  ///   - failed: destinations that were refused before.
  ///   - order: takes the place of a part among the objects of other runs.
  ///   - job: makes the job of an object beside the destinations, whose names have the suffix.
  init(
    _ targets: [Target], failed: [Int: Failure], _ messages: Messages, job: @escaping @Sendable (Payload, Checksum, String) -> HeldJob,
    order: @escaping @Sendable (Payload, [Int: Target]) -> RunOrder, _ settings: DeliverySettings
  ) {
    self.targets = targets
    self.messages = messages
    self.job = job
    self.order = order
    self.settings = settings
    state = Mutex(State(progress: targets.indices.map { Progress(failure: failed[$0], isOut: failed[$0] != nil) }))
  }

  var facts: [PartFacts] { state.withLock { $0.facts } }
  var progress: [Progress] { state.withLock { $0.progress } }

  /// Whether a part would still go anywhere.
  var isUseful: Bool { state.withLock { state in state.progress.contains { !$0.isOut } } }

  /// Takes over a part that has been made. Called in their order.
  func add(_ part: Part) {
    let job = job(part.payload, part.sha256, PartFacts.suffix(part.number))
    let held = HeldSpool(leaving: part.payload.spool, job, order(part.payload, targets(beside: PartFacts.suffix(part.number))), messages)
    state.withLock { state in
      state.facts.append(PartFacts(number: part.number, bytes: part.payload.length, sha256: part.sha256))
      state.open[part.number] = held
    }
  }

  /// By their indices the destinations whose names have a suffix.
  func targets(beside suffix: String) -> [Int: Target] {
    Dictionary(uniqueKeysWithValues: targets.enumerated().compactMap { index, target in (try? target.beside(suffix)).map { (index, $0) } })
  }

  /// Sends a part to the destinations that have not failed. Returns false if no later part can matter.
  func send(_ part: Part) async -> Bool {
    guard let held = state.withLock({ $0.open[part.number] }) else { return false }
    if part.number == 1 { await refuseWholeSets() }
    let failed = Dictionary(uniqueKeysWithValues: progress.enumerated().compactMap { index, one in one.failure.map { (index, $0) } })
    let targets: [Target]
    do throws(Failure) {
      targets = try self.targets.map { (target) throws(Failure) in try target.beside(PartFacts.suffix(part.number)) }
    } catch {
      fail(error)
      targets = []
    }
    let outcomes = await Delivery(payload: part.payload, held: held, settings: settings)
      .run(targets.indexed, failed: failed, meters: targets.map { _ in Meter() }) { _ in }
    note(outcomes, of: part.number, held)
    part.payload.end()
    part.end()
    return isUseful
  }

  /// The preflight may have been left out, or have met a server that did not answer. No byte is put over a part of a whole set.
  private func refuseWholeSets() async {
    for (index, target) in targets.enumerated() where progress[index].failure == nil {
      do throws(Failure) { try await PartsRun.checkManifest(target) } catch {
        let failure = error
        state.withLock { state in
          state.progress[index].failure = failure
          state.progress[index].isOut = true
        }
      }
    }
  }

  /// What became of a part is noted in one step with whether it is kept, so that the end of the input meets no half of it.
  private func note(_ outcomes: [Outcome], of number: Int, _ held: HeldSpool) {
    state.withLock { state in
      let isKept = held.close()
      // What is kept has to outlive a loss of power; there are few of them.
      if isKept { held.settle() }
      state.open[number] = nil
      for (index, outcome) in outcomes.enumerated() {
        state.progress[index].attempts = max(state.progress[index].attempts, outcome.attempts)
        state.progress[index].uploadTime += outcome.uploadTime ?? .zero
        if outcome.failure == nil { state.progress[index].arrived += 1 }
        guard state.progress[index].failure == nil, let failure = outcome.failure else { continue }
        state.progress[index].failure = failure
        state.progress[index].isOut = !isKept
      }
    }
  }

  /// The input has ended well. What has not been sent is kept from here on.
  ///
  /// - Returns: the IDs of the spools that are kept.
  func keepRest() -> [String] {
    state.withLock { state in
      let out = state.progress.indices.filter { state.progress[$0].isOut }
      for held in state.open.values {
        held.keepOrWarn { job in
          job.role = .part
          for index in out { job.destinations[index].isDone = true }
        }
      }
      return state.open.values.compactMap(\.id).sorted()
    }
  }

  /// Ends the destinations that lack parts, when nothing more is sent because the run was interrupted. What is kept goes to them later.
  func endUnsent() {
    state.withLock { state in
      for index in state.progress.indices where state.progress[index].failure == nil && state.progress[index].arrived < state.facts.count {
        state.progress[index].failure = .interrupted
      }
    }
  }

  /// Removes the parts that have not been sent, but for those that are kept.
  func closeRest() {
    state.withLock { state in
      for held in state.open.values where held.close() { held.settle() }
      state.open = [:]
    }
  }

  /// Ends every destination that has not ended.
  func fail(_ failure: Failure) {
    state.withLock { state in
      for index in state.progress.indices where state.progress[index].failure == nil {
        state.progress[index].failure = failure
        state.progress[index].isOut = true
      }
    }
  }
}

extension Target {
  /// The destination whose name has a suffix.
  ///
  /// - Throws: as `objectPath`.
  func beside(_ suffix: String) throws(Failure) -> Target {
    var target = self
    target.text += suffix
    target.path = try store.objectPath(path + suffix)
    return target
  }
}

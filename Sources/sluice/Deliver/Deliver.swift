import BytePath
import Endpoints

/// Takes one payload to many destinations, side by side, and reports each as it ends.
struct Deliver: Sendable {
  let payload: Payload
  let isGzip: Bool
  /// For the result; see `PayloadFacts`.
  var levels: JSONValue?
  let attributes: Attributes
  let retries: RetryPolicy
  let verifies: Bool
  /// Whether the result has the SHA-256 of a regular file that was sent from where it lies. A spool's is at hand in any case.
  var hashesFile = true
  /// Whether the spool may become the object of a lone destination by being moved there: nobody else waits for its bytes.
  let mayMove: Bool
  let start: ContinuousClock.Instant
  let messages: Messages
  let holding: Holding
  /// The indices that the targets have in the job; nil if they are the same.
  var indices: [Int]?
  /// Called as each destination ends.
  var ended: @Sendable (Int) -> Void = { _ in }

  /// - Parameter failed: destinations that were refused before, with the reason; they are reported in their turn.
  /// - Returns: the outcomes in the order of the targets.
  func run(
    _ targets: [Target], failed: [Int: Failure], meters: [Meter], report: @escaping @Sendable (Outcome) -> Void
  ) async -> [Outcome] {
    if mayMove { payload.allowMoving() }
    // Destinations that exclude each other form one line; the lines run side by side.
    let lines = Dictionary(grouping: targets.indices) { targets[$0].endpoint.exclusionKey ?? "#\($0)" }
    return await withTaskGroup(of: [(Int, Outcome)].self) { group in
      for line in lines.values {
        group.addTask {
          var outcomes: [(Int, Outcome)] = []
          for index in line {
            var outcome = await self.deliver(to: targets[index], at: indices?[index] ?? index, refused: failed[index], meters[index])
            if !outcome.isSuperseded { outcome.held = holding.ended(indices?[index] ?? index, outcome.failure) }
            ended(index)
            report(outcome)
            outcomes.append((index, outcome))
          }
          return outcomes
        }
      }
      var all: [(Int, Outcome)] = []
      for await outcomes in group { all += outcomes }
      return all.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  private func deliver(to target: Target, at index: Int, refused: Failure?, _ meter: Meter) async -> Outcome {
    var outcome = Outcome(destination: target.text, endpoint: target.kind.name, path: target.path, elapsed: .zero)
    outcome.payload = PayloadFacts(inputBytes: payload.inputLength, bytes: payload.length, isGzip: isGzip, levels: levels)
    if let refused {
      outcome.failure = refused
    } else {
      await take(turn: index, to: target, meter, &outcome)
    }
    // A regular file that could not be sent need not be read to its end for a hash.
    if payload.spool != nil || (hashesFile && outcome.failure == nil) {
      do throws(Failure) { outcome.payload?.sha256 = try await payload.digestOfSent() } catch {
        outcome.failure = outcome.failure ?? error
      }
    }
    outcome.elapsed = start.duration(to: .now)
    return outcome
  }

  /// Sends the object when nobody else uploads to the name, unless that of a newer run stands there.
  private func take(turn index: Int, to target: Target, _ meter: Meter, _ outcome: inout Outcome) async {
    do throws(Failure) {
      switch try await holding.order.turn(index, target, attributes.existing) {
      case .go:
        if mayMove, target.endpoint is Published<LocalFile> { holding.order.mayMove(index) }
        await send(to: target, meter, holding.checkpoint(for: index), &outcome)
        let order = holding.order
        // It may have to bring the jobs of older runs to the disk.
        if outcome.failure == nil { try? await onThread { () throws(Failure) in order.stored(index) } }
      case .superseded:
        outcome.isSuperseded = true
        outcome.held = holding.superseded(index)
        messages.note(outcome.superseding)
      }
    } catch {
      outcome.failure = error
    }
    holding.order.endTurn(index)
  }

  private func send(to target: Target, _ meter: Meter, _ checkpoint: Checkpoint, _ outcome: inout Outcome) async {
    if hashesFile { payload.hashWhileSent() }
    var attributes = attributes
    attributes.options = target.defaults.merging(attributes.options) { $1 }
    let retry = Retry(target: target, policy: retries, verifies: verifies, messages: messages)
    let upload = Upload(payload, to: target.path, attributes, meter, checkpoint)
    let (result, attempts) = await retry.put(upload)
    outcome.attempts = attempts
    switch result {
    case .success(let success):
      outcome.receipt = success.receipt
      outcome.verification = success.verification
      outcome.uploadTime = success.uploadTime
    case .failure(let failure):
      outcome.failure = failure
      if await abandon(upload, to: target, failure) {
        // What went straight to the object's own name can't be taken back.
        outcome.failure?.left.removeAll { !$0.hasPrefix(target.path) }
      }
    }
  }

  /// Lets go of what has arrived of an upload, unless a held spool may go on with it. That is done even when the run was interrupted.
  ///
  /// - Returns: whether it was done.
  private func abandon(_ upload: Upload, to target: Target, _ failure: Failure) async -> Bool {
    let isFinal = [.rejected, .exists, .input, .usage].contains(failure.kind)
    guard upload.checkpoint.text != nil, isFinal || !holding.isResumable else { return false }
    let failure = await cleaningUp { () throws(Failure) in try await target.endpoint.abandon(upload) }
    if let failure { messages.warning("\(target.text): what has arrived of the object could not be removed: \(failure.message)") }
    return failure == nil
  }
}

import BytePath
import Endpoints

/// What the deliveries of a run have in common.
struct DeliverySettings: Sendable {
  var retries: RetryPolicy
  /// Whether the result has the SHA-256 of a regular file that was sent from where it lies. A spool's is at hand in any case.
  var hashesFile = true
  /// Where the order of runs is kept, and what is made besides the object.
  var place: SpoolPlace
  var start: ContinuousClock.Instant
  var messages: Messages
}

/// Takes one payload to the destinations of its job, side by side, and reports each as it ends.
struct Delivery: Sendable {
  let payload: Payload
  let held: HeldSpool
  let settings: DeliverySettings
  /// For the result; see `PayloadFacts`.
  var levels: JSONValue?
  /// Called as each destination ends.
  var ended: @Sendable (Int) -> Void = { _ in }

  private var messages: Messages { settings.messages }

  /// - Parameters:
  ///   - targets: each with its index in the job.
  ///   - failed: by that index, destinations that were refused before, with the reason; they are reported in their turn.
  ///   - meters: of the targets, in their order.
  /// - Returns: the outcomes in the order of the targets.
  func run(
    _ targets: [(index: Int, target: Target)], failed: [Int: Failure], meters: [Meter], report: @escaping @Sendable (Outcome) -> Void
  ) async -> [Outcome] {
    // The spool may become the object of a lone destination: nobody else waits for its bytes.
    if held.isWantedOnce { payload.allowMoving() }
    // Destinations that exclude each other form one line; the lines run side by side.
    let lines = Dictionary(grouping: targets.indices) { targets[$0].target.store.serialKey ?? "#\($0)" }
    return await withTaskGroup(of: [(Int, Outcome)].self) { group in
      for line in lines.values {
        group.addTask {
          var outcomes: [(Int, Outcome)] = []
          for place in line {
            let (index, target) = targets[place]
            var outcome = await self.deliver(to: target, at: index, refused: failed[index], meters[place])
            if !outcome.isSuperseded { outcome.held = held.ended(index, outcome.failure) }
            ended(index)
            report(outcome)
            outcomes.append((place, outcome))
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
    var outcome = Outcome(of: target)
    outcome.payload = PayloadFacts(
      inputBytes: payload.inputLength, inputSHA256: payload.inputSHA256, bytes: payload.length, isGzip: held.job.isGzip, levels: levels)
    if let refused {
      outcome.failure = refused
    } else {
      await take(turn: index, to: target, meter, &outcome)
    }
    // A regular file that could not be sent need not be read to its end for a hash.
    if payload.spool != nil || (settings.hashesFile && outcome.failure == nil) {
      do throws(Failure) { outcome.payload?.sha256 = try await payload.digestOfSent() } catch {
        outcome.failure = outcome.failure ?? error
      }
    }
    outcome.elapsed = settings.start.duration(to: .now)
    return outcome
  }

  /// Sends the object when nobody else uploads to the name, unless that of a newer run stands there.
  private func take(turn index: Int, to target: Target, _ meter: Meter, _ outcome: inout Outcome) async {
    let attributes = target.attributes(held.job.attributes)
    let replaces = target.store.replaces(attributes)
    do throws(Failure) {
      switch try await held.order.turn(index, target, replaces ? attributes.existing : .refuse) {
      case .go:
        let sum = held.job.writesSum == true ? try await SumFileRun(of: target, index, held.job, number: held.order.number, settings) : nil
        defer { sum?.end() }
        let isThere = try await isThere(index, target, &outcome)
        if !isThere {
          try await sum?.clear()
          if payload.mayBeMoved, target.adoptsSpools { held.order.mayMove(index) }
          await send(to: target, meter, held.checkpoint(for: index), &outcome)
        }
        let order = held.order
        // It may have to bring the jobs of older runs to the disk.
        if outcome.failure == nil, replaces { try? await onThread { () throws(Failure) in order.stored(index) } }
        if outcome.failure == nil, let sum {
          held.stored(index)
          outcome.sum = try await sum.write(try await payload.digestOfSent(), isLate: isThere)
        }
      case .superseded:
        outcome.isSuperseded = true
        outcome.held = held.superseded(index)
        messages.note(outcome.superseding)
      }
    } catch {
      outcome.failure = error
    }
    held.order.endTurn(index)
  }

  /// Whether an earlier run has brought the object there, so that only its sum is missing. What can't be compared for certain is sent again.
  private func isThere(_ index: Int, _ target: Target, _ outcome: inout Outcome) async throws(Failure) -> Bool {
    guard held.job.destinations[index].lacksSum == true,
      let verification = try? await target.publisher.verify(target.path, against: payload),
      verification == .sizeAndHash || held.job.attributes.existing == .refuse
    else { return false }
    messages.note("\(target.text): the object is there; only its sum is missing")
    outcome.verification = verification
    return true
  }

  private func send(to target: Target, _ meter: Meter, _ checkpoint: Checkpoint, _ outcome: inout Outcome) async {
    if settings.hashesFile { payload.hashWhileSent() }
    let attributes = target.attributes(held.job.attributes)
    let retry = Retry(target: target, policy: settings.retries, verifies: held.job.verifies, messages: messages)
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
        outcome.failure?.left.removeAll { TemporaryName.isOne($0, beside: target.path) }
      }
    }
  }

  /// Lets go of what has arrived of an upload, unless a held spool may go on with it. That is done even when the run was interrupted.
  ///
  /// - Returns: whether it was done.
  private func abandon(_ upload: Upload, to target: Target, _ failure: Failure) async -> Bool {
    let isFinal = [.rejected, .exists, .input, .usage].contains(failure.kind)
    guard upload.checkpoint.text != nil, isFinal || !held.isResumable else { return false }
    let failure = await cleaningUp { () throws(Failure) in try await target.publisher.abandon(upload) }
    if let failure { messages.warning("\(target.text): what has arrived of the object could not be removed: \(failure.message)") }
    return failure == nil
  }
}

import BytePath
import Endpoints

/// An upload whose object is cut into parts while it is read, for streams that are longer than the disk and for servers that cap a file.
///
/// The parts are NAME.part-00001 and so on; NAME.parts.json, which comes last, lists them and so says that the set is complete.
struct PartsRun: Sendable {
  static let manifestSuffix = ".parts.json"

  let plan: FillPlan
  let size: Int64
  /// How many parts may be in spools at a time.
  let atATime: Int
  let targets: [Target]
  /// Destinations that were refused before the input is read.
  let refused: [Int: Failure]
  let holds: Bool
  let messages: Messages
  let start: ContinuousClock.Instant
  let directory: @Sendable () throws(Failure) -> SpoolDirectory
  /// Makes the job of an object beside the destinations, whose names have the suffix.
  let job: @Sendable (Payload, _ sha256: Checksum, _ suffix: String) -> HeldJob
  /// Takes the place of such an object among those of other runs.
  let order: @Sendable (Payload, [Int: Target]) -> RunOrder
  let settings: DeliverySettings

  /// Asks a destination whether a set may be put there. One that is complete is not replaced: that can't be done in one step.
  ///
  /// - Throws: `exists`, or whatever the asking fails with.
  static func check(_ target: Target, _ attributes: Attributes) async throws(Failure) {
    let first = try target.beside(PartFacts.suffix(1))
    try await target.publisher.check(first.path, attributes)
    try await checkManifest(target)
  }

  /// - Throws: `exists` if a whole set is there, or whatever the asking fails with.
  static func checkManifest(_ target: Target) async throws(Failure) {
    let manifest = try target.beside(manifestSuffix)
    guard try await target.publisher.find(manifest.path).stored != nil else { return }
    throw Failure(
      .exists, "\(manifest.path) is there, so a whole set is, and parts cannot replace others in one step",
      hint: "choose another name, with the date in it for instance, or remove the old set")
  }

  private enum Ending: Sendable {
    case read(Result<Manifest, Failure>)
    /// Whether all parts were sent that can matter.
    case sent(Bool)
  }

  /// - Returns: the outcomes in the order of the targets, and what the user is to be told last.
  /// - Throws: the failure of the input; what has arrived by then is no set.
  func run(_ meter: Meter) async throws(Failure) -> (outcomes: [Outcome], advice: String?) {
    let sender = PartSender(targets, failed: refused, messages, job: job, order: order, settings)
    let (parts, continuation) = AsyncStream<Part>.makeStream()
    let (manifest, failure) = await withTaskGroup(of: Ending.self) { group in
      group.addTask {
        defer { continuation.finish() }
        do throws(Failure) { return .read(.success(try await read(meter, for: sender) { continuation.yield($0) })) } catch {
          return .read(.failure(error))
        }
      }
      group.addTask {
        for await part in parts {
          guard await sender.send(part) else { return .sent(false) }
        }
        return .sent(true)
      }
      var manifest: Manifest?
      var failure: Failure?
      var isSendable = true
      for await ending in group {
        switch ending {
        case .read(.success(let made)): manifest = made
        case .read(.failure(let error)):
          // If nobody takes the parts any more, the input was only told to stop.
          if isSendable { failure = error }
          group.cancelAll()
        case .sent(let isWhole):
          isSendable = isWhole
          if !isWhole { group.cancelAll() }
        }
      }
      return (manifest, failure)
    }
    if let manifest { return await end(sender, manifest, meter) }
    sender.closeRest()
    tellOfRest(sender) { _ in true }
    if var failure = Task.isCancelled ? .interrupted : failure {
      if sender.progress.contains(where: { $0.arrived > 0 }) { failure.hint = "what has arrived is no set, and nothing is kept" }
      throw failure
    }
    return (targets.indices.map { outcome(of: $0, sender, meter) }, nil)
  }

  /// The manifest of a set, ready to be sent and, if it can be, kept.
  private struct Manifest: Sendable {
    let payload: Payload
    let held: HeldSpool
    let bytes: Int64
    let sums: (object: Checksum, input: Checksum?)
  }

  private func read(_ meter: Meter, for sender: PartSender, _ next: @escaping @Sendable (Part) -> Void) async throws(Failure) -> Manifest {
    let sums = try await fillParts(plan, of: size, atATime: atATime, into: directory, meter) { part in
      sender.add(part)
      next(part)
    }
    let rest = holds ? sender.keepRest() : []
    let text = Array((json(sender.facts, sums, meter).text + "\n").utf8)
    let directory = directory
    let payload = try await Payload.made(of: text, in: { () throws(Failure) in try directory() })
    var job = job(payload, try await payload.digest(.sha256), PartsRun.manifestSuffix)
    job.after = rest.isEmpty ? nil : rest
    job.role = .manifest
    for (index, progress) in sender.progress.enumerated() where progress.isOut { job.destinations[index].isDone = true }
    let order = order(payload, sender.targets(beside: PartsRun.manifestSuffix))
    let held = HeldSpool(leaving: payload.spool, job, order, messages)
    if holds { held.keepOrWarn() }
    return Manifest(payload: payload, held: held, bytes: meter.object, sums: sums)
  }

  private func json(_ parts: [PartFacts], _ sums: (object: Checksum, input: Checksum?), _ meter: Meter) -> JSONValue {
    let name = targets.first?.path.split(separator: "/").last.map(String.init) ?? ""
    let list = parts.sorted { $0.number < $1.number }.map { part -> JSONValue in
      ["name": .string(name + PartFacts.suffix(part.number)), "bytes": JSONValue(part.bytes), "sha256": .string(part.sha256.hex)]
    }
    return [
      "version": 1, "name": .string(name), "bytes": JSONValue(meter.object), "sha256": .string(sums.object.hex),
      "input_bytes": sums.input.flatMap { _ in JSONValue(meter.input) }, "input_sha256": JSONValue(sums.input?.hex),
      "gzip": .bool(plan.gzip != nil), "part_size": JSONValue(size), "parts": .array(list),
    ]
  }

  /// All parts have been dealt with: the manifest goes to the destinations that have them all.
  private func end(_ sender: PartSender, _ manifest: Manifest, _ meter: Meter) async -> (outcomes: [Outcome], advice: String?) {
    sender.endUnsent()
    let failed = Dictionary(uniqueKeysWithValues: sender.progress.enumerated().compactMap { index, one in one.failure.map { (index, $0) } })
    let places: [Target]
    do throws(Failure) { places = try targets.map { (target) throws(Failure) in try target.beside(PartsRun.manifestSuffix) } } catch {
      sender.fail(error)
      places = []
    }
    let sent = await Delivery(payload: manifest.payload, held: manifest.held, settings: settings)
      .run(places.indexed, failed: failed, meters: places.map { _ in Meter() }) { _ in }
    let advice = manifest.held.finish()
    sender.closeRest()
    tellOfRest(sender, where: \.isOut)
    var outcomes: [Outcome] = []
    for index in targets.indices {
      var outcome = outcome(of: index, sender, meter)
      outcome.payload = PayloadFacts(
        inputBytes: meter.input, inputSHA256: manifest.sums.input, bytes: manifest.bytes, isGzip: plan.gzip != nil,
        sha256: manifest.sums.object, parts: sender.facts.count)
      if sent.indices.contains(index) {
        outcome.failure = sent[index].failure
        outcome.receipt = sent[index].receipt
        outcome.verification = sent[index].verification
        outcome.attempts = max(outcome.attempts, sent[index].attempts)
        if sent[index].failure != nil, !sender.progress[index].isOut { outcome.held = manifest.held.id }
      }
      if outcome.failure == nil { await warnOfLaterParts(targets[index], sender.facts.count) }
      outcomes.append(outcome)
    }
    return (outcomes, advice)
  }

  private func outcome(of index: Int, _ sender: PartSender, _ meter: Meter) -> Outcome {
    let (target, progress) = (targets[index], sender.progress[index])
    var outcome = Outcome(of: target, elapsed: start.duration(to: .now))
    outcome.attempts = progress.attempts
    outcome.uploadTime = progress.uploadTime
    outcome.failure = progress.failure
    return outcome
  }

  /// What arrived and is no set is named.
  private func tellOfRest(_ sender: PartSender, where isToTell: (PartSender.Progress) -> Bool) {
    for (target, progress) in zip(targets, sender.progress) where progress.arrived > 0 && isToTell(progress) {
      let last = target.text + PartFacts.suffix(progress.arrived)
      messages.warning("the parts up to \(last) are there, without the \(PartsRun.manifestSuffix) that would make them a set")
    }
  }

  /// Parts of an older set behind the last one would be taken for parts of this one by `cat NAME.part-*`.
  private func warnOfLaterParts(_ target: Target, _ count: Int) async {
    guard let later = try? target.beside(PartFacts.suffix(count + 1)), (try? await target.publisher.find(later.path))?.stored != nil else {
      return
    }
    messages.warning("\(later.text) is of an older set; remove it and those behind it before you put the parts together by their names")
  }
}

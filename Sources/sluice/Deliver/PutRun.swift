import BytePath
import Endpoints

/// One upload, from its arguments to its exit status.
struct PutRun: Sendable {
  private let put: Put
  private let console: Console
  private let messages: Messages
  private let start = ContinuousClock.now
  private let plan: FillPlan
  private let copy: InputCopy
  private let attributes: Attributes
  private let report: Report
  private let resolver: Resolver
  private let opened: [Result<Target, DestinationFailure>]

  /// - Throws: `usage` for what the arguments alone show to be wrong.
  init(_ put: Put, _ console: Console) throws(Failure) {
    self.put = put
    self.console = console
    let messages = console.messages
    self.messages = messages
    let copy = InputCopy(messages)
    self.copy = copy
    plan = try put.input.plan(command: console.command, destinations: put.destinations, isRead: !put.dryRun) { copy.ended($0) }
    if put.maxSpool != nil, put.partSize == nil, plan.needsNoSpool {
      throw Failure(.usage, "--max-spool has no effect on a regular file that is sent as it is", hint: "leave out --max-spool")
    }
    attributes = Attributes(
      contentType: put.contentType ?? (put.input.gzip && put.input.through.isEmpty ? "application/gzip" : nil),
      modified: put.mtime?.milliseconds, existing: put.noClobber ? .refuse : .overwrite, options: put.transfer.optionValues)
    var settings = try put.transfer.httpSettings()
    settings.rateLimit = put.limitRate?.bytes
    let resolver = Resolver(options: put.transfer, settings: settings, messages: messages)
    self.resolver = resolver
    opened = try resolver.open(put.destinations, for: .object)
    let targets = opened.compactMap { try? $0.get() }
    try PutRun.checkPlugins(among: targets, put)
    for target in targets { try target.checkUse(attributes, verifies: put.verify, isInParts: put.partSize != nil, hasSum: put.sum) }
    if put.sum { try PutRun.checkSums(of: targets) }
    try FileUse(put, plan.input, targets).check()
    var files = OpenFiles(targets, attributes)
    files.add(plan)
    if put.sum { files.addSums(targets) }
    if let size = put.partSize { files.add(parts: PutRun.partsAtATime(of: size.bytes, put), targets) }
    try files.reserve()
    report = try Report(path: put.transfer.result, messages)
  }

  /// One destination must not be the sum of another.
  private static func checkSums(of targets: [Target]) throws(Failure) {
    // A name that can't have one is refused in its turn.
    let sums = targets.compactMap { target in (try? target.beside(SumFile.suffix)).map { (target, $0.identity) } }
    for (target, sum) in sums {
      guard let other = targets.first(where: { $0.identity == sum }) else { continue }
      throw Failure(.usage, "\(other.text) is where --sum puts the sum of \(target.text)", hint: "upload one of them in a run of its own")
    }
  }

  /// What the flag promises, no plugin can be made to keep.
  private static func checkPlugins(among targets: [Target], _ put: Put) throws(Failure) {
    guard let plugin = targets.lazy.map(\.kind).first(where: { $0.isPlugin }) else { return }
    if put.limitRate != nil {
      throw Failure(.usage, "--limit-rate is not for the plugin \(plugin.name)", hint: "it may have an -o option of its own for that")
    }
  }

  func run() async throws(Failure) -> Int32 {
    var outcomes: [Outcome] = []
    var targets: [Target] = []
    for result in opened {
      switch result {
      case .success(let target): targets.append(target)
      case .failure(let refused):
        outcomes.append(Outcome(refused, elapsed: start.duration(to: .now)))
      }
    }
    // What the config file or a path shows to be wrong is mended before the input is read, not after.
    guard outcomes.isEmpty else { return end(outcomes, reporting: true) }
    let found = put.noPreflight ? PreflightFindings() : await preflight(targets)
    if let silence = await silence(among: targets, found) {
      await resolver.close()
      throw silence
    }
    outcomes = await deliver(to: targets, found)
    await resolver.close()
    return end(outcomes, reporting: false)
  }

  /// The exit status is that of the first destination, in the order given, that failed.
  private func end(_ outcomes: [Outcome], reporting: Bool) -> Int32 {
    for outcome in outcomes where reporting { report.tell(outcome, messages) }
    let failure = outcomes.lazy.compactMap(\.failure).first
    return copy.exitStatus(report.exitStatus(failure?.kind.exitStatus(signal: console.signals.first) ?? 0))
  }

  /// What can't be asked of its objects can't be held to `--verify`.
  private func silence(among targets: [Target], _ found: PreflightFindings) async -> Failure? {
    for (index, target) in targets.enumerated() where put.verify && found.refused[index] == nil {
      guard let failure = await target.store.silence(at: target.path), failure.kind == .usage else { continue }
      return Failure(.usage, "\(target.text): --verify has no effect: \(failure.message)", hint: failure.hint)
    }
    return nil
  }

  /// Input and uploads. Every target has its outcome in the end, and every outcome has been told.
  private func deliver(to targets: [Target], _ found: PreflightFindings) async -> [Outcome] {
    let refused = found.refused
    if put.dryRun || refused.count == targets.count {
      let outcomes = targets.indices.map { outcome(of: targets[$0], refused[$0]) }
      for outcome in outcomes { report.tell(outcome, messages) }
      return outcomes
    }
    let meters = targets.map { _ in Meter() }
    let input = Meter()
    let progress = Progress(put.progress, messages, plan: plan, input: input, names: targets.map(\.text), meters: meters)
    do throws(Failure) {
      let outcomes: [Outcome]
      do throws(Failure) {
        if let partSize = put.partSize {
          outcomes = try await putParts(of: partSize.bytes, to: targets, refused, input)
          await progress.end()
          return outcomes
        }
        var plan = plan
        plan.hashes = found.hashes
        plan.maximumSpool = put.maxSpool?.bytes
        let payload = try await fill(plan, into: try spoolDirectory(for: targets), input)
        messages.detail(
          "\(payload.inputLength) bytes read; the object has \(payload.length)\(payload.spool.map { ", in the spool \($0.id)" } ?? "")")
        progress.beginUpload(of: payload.length)
        outcomes = try await upload(payload, levels: input.levels, to: targets, refused, meters, progress)
      } catch {
        await progress.end()
        throw error
      }
      await progress.end()
      return outcomes
    } catch {
      var failure = Task.isCancelled ? interruption : error
      if put.partSize != nil, let hint = error.hint { failure.hint = hint }
      let outcomes = targets.indices.map { outcome(of: targets[$0], refused[$0] ?? failure) }
      outcomes.forEach { report.line($0.json.text) }
      messages.failure(failure)
      return outcomes
    }
  }

  private func upload(
    _ payload: Payload, levels: LevelCounts, to targets: [Target], _ refused: [Int: Failure], _ meters: [Meter],
    _ progress: Progress
  ) async throws(Failure) -> [Outcome] {
    var attributes = attributes
    attributes.modified = attributes.modified ?? payload.modified
    let isGzip = plan.gzip != nil
    var job = HeldJob(
      created: millisecondsNow(), destinations: targets.map { HeldJob.Destination(text: $0.absoluteText) }, payload: payload,
      sha256: payload.spool == nil ? nil : try await payload.digest(.sha256), isGzip: isGzip, attributes: attributes, verifies: put.verify)
    if put.sum { job.writesSum = true }
    let waiting = targets.enumerated().filter { refused[$0.offset] == nil }
    let order = order(of: payload, Dictionary(uniqueKeysWithValues: waiting.map { ($0.offset, $0.element) }))
    let held = HeldSpool(payload.spool, job, order, holds: !put.noHold, messages)
    let delivery = Delivery(
      payload: payload, held: held, settings: deliverySettings, levels: plan.gzip?.level == .automatic ? levels.json : nil,
      ended: { progress.ended($0) })
    let safety = Task { await held.bringToDiskIfLong() }
    defer { safety.cancel() }
    let outcomes = await delivery.run(targets.indexed, failed: refused, meters: meters) { report.tell($0, messages) }
    if let advice = held.finish() { messages.advice(advice) }
    return outcomes
  }

  private func putParts(of size: Int64, to targets: [Target], _ refused: [Int: Failure], _ input: Meter) async throws(Failure) -> [Outcome]
  {
    let claim = try await SetClaim(targets, spoolDir: put.spoolDir, messages)
    defer { claim.end() }
    let refused = refused.merging(claim.refused) { first, _ in first }
    guard refused.count < targets.count else {
      let outcomes = targets.indices.map { outcome(of: targets[$0], refused[$0]) }
      for outcome in outcomes { report.tell(outcome, messages) }
      return outcomes
    }
    let ended = try await parts(of: size, to: targets, refused).run(input)
    for outcome in ended.outcomes { report.tell(outcome, messages) }
    if let advice = ended.advice { messages.advice(advice) }
    return ended.outcomes
  }

  private var deliverySettings: DeliverySettings {
    DeliverySettings(
      retries: put.transfer.retryPolicy, hashesFile: !put.noSha256, place: SpoolPlace(option: put.spoolDir), start: start,
      messages: messages)
  }

  private static func partsAtATime(of size: Int64, _ put: Put) -> Int { put.maxSpool.map { Int(min($0.bytes / size, 64)) } ?? 2 }

  private func parts(of size: Int64, to targets: [Target], _ refused: [Int: Failure]) -> PartsRun {
    let atATime = PutRun.partsAtATime(of: size, put)
    let isGzip = plan.gzip != nil
    return PartsRun(
      plan: plan, size: size, atATime: atATime, targets: targets, refused: refused, holds: !put.noHold, messages: messages, start: start,
      directory: { () throws(Failure) in try spoolDirectory(for: targets) },
      job: { payload, sha256, suffix in
        HeldJob(
          created: millisecondsNow(), destinations: targets.map { HeldJob.Destination(text: $0.absoluteText + suffix) }, payload: payload,
          sha256: sha256, isGzip: isGzip, attributes: attributes, verifies: put.verify)
      },
      order: { payload, targets in order(of: payload, targets) },
      settings: deliverySettings)
  }

  /// Its input has ended: it takes its place among the runs.
  private func order(of payload: Payload, _ targets: [Int: Target]) -> RunOrder {
    RunOrder(in: SpoolPlace(option: put.spoolDir), id: payload.spool?.id, bytes: payload.length, targets, messages)
  }

  /// Asks every destination, side by side, whether it would take the object. A server that can't be reached now may be there when the input
  /// has been read, and if it is not the spool is held: so that is only a warning.
  private func preflight(_ targets: [Target]) async -> PreflightFindings {
    var found = await withTaskGroup(of: PreflightFindings.self) { group in
      for (index, target) in targets.enumerated() {
        group.addTask {
          let attributes = target.attributes(attributes)
          do throws(Failure) {
            guard put.partSize == nil else {
              try await PartsRun.check(target, attributes)
              return PreflightFindings()
            }
            try await target.publisher.check(target.path, attributes)
            if put.sum { try await SumFileRun.check(beside: target, attributes) }
            return PreflightFindings(hashes: await target.publisher.wantedHashes(for: target.path, attributes))
          } catch {
            return PreflightFindings(refused: [index: error])
          }
        }
      }
      return await group.reduce(into: PreflightFindings()) { all, one in
        all.refused.merge(one.refused) { $1 }
        all.hashes.formUnion(one.hashes)
      }
    }
    guard !Task.isCancelled else {
      return PreflightFindings(refused: Dictionary(uniqueKeysWithValues: targets.indices.map { ($0, interruption) }))
    }
    found.refused = found.refused.filter { index, failure in
      guard !put.dryRun, [.unreachable, .timeout, .server].contains(failure.kind), failure.isRetryable else { return true }
      messages.warning("\(targets[index].text): \(failure.message); the input is read all the same, and the upload tried after it")
      return false
    }
    return found
  }

  private var interruption: Failure {
    var failure = console.interruption
    failure.hint = "nothing was uploaded and nothing is kept"
    return failure
  }

  private func outcome(of target: Target, _ failure: Failure?) -> Outcome {
    var outcome = Outcome(of: target, elapsed: start.duration(to: .now))
    outcome.failure = failure
    if put.dryRun {
      outcome.plan = plan
      if put.sum, failure == nil { outcome.sum = try? target.beside(SumFile.suffix).path }
    }
    return outcome
  }

  /// Where the user says; else, for a lone destination that can take a spool over, where it wants it.
  private func spoolDirectory(for targets: [Target]) throws(Failure) -> SpoolDirectory {
    let place = SpoolPlace(option: put.spoolDir)
    if !place.isChosen, put.limitRate == nil, targets.count == 1, let target = targets.first,
      let store = target.store as? any AdoptingStore, let directory = try? store.spoolDirectory(for: target.path)
    {
      return directory
    }
    return try place.open()
  }
}

/// What the destinations said before the input is read.
private struct PreflightFindings: Sendable {
  /// The refusals by the index of their target.
  var refused: [Int: Failure] = [:]
  /// What the others want to know of the object besides its bytes.
  var hashes: Set<HashAlgorithm> = []
}

extension Target {
  /// The text that still means the same in another working directory.
  fileprivate var absoluteText: String {
    guard adoptsSpools, !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return text }
    defer { free(folder) }
    return "\(String(cString: folder))/\(path)"
  }
}

extension LevelCounts {
  fileprivate var json: JSONValue {
    .object(used.map { level, blocks in JSONValue.Member(String(level), .number(String(blocks))) })
  }
}

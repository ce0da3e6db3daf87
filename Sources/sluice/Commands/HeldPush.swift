import ArgumentParser
import BytePath
import Endpoints

/// `sluice held push`: send what was kept, and print ordinary results.
struct HeldPush: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "push", abstract: "Send them.")

  @OptionGroup var selection: HeldSelection
  @Flag(help: "Send those too whose name has the object of a newer run by now.")
  var evenIfOlder = false
  @OptionGroup var transfer: TransferOptions

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func validate() throws {
    guard selection.all != !selection.ids.isEmpty else { throw ValidationError("give one or more IDs, or --all") }
    if evenIfOlder, selection.all { throw ValidationError("--even-if-older needs the IDs of those that are meant") }
    if let option = transfer.endpointOptions.first {
      throw ValidationError("-o \(option.key) has no effect here: the options of the upload count")
    }
  }

  func execute(_ console: Console) async -> Int32 {
    var status: Int32 = 0
    do throws(Failure) {
      let selected = try selection.open()
      try FileUse(transfer, []).check()
      let report = try Report(path: transfer.result, console.messages)
      let resolver = Resolver(options: transfer, settings: try transfer.httpSettings(), messages: console.messages)
      var pushing = Pushing(command: self, report: report, console: console, resolver: resolver)
      for (directory, id) in selected where !Task.isCancelled {
        let ended = await pushing.push(id, in: directory)
        if status == 0 { status = ended }
      }
      await resolver.close()
      pushing.tellOfRefused()
      status = report.exitStatus(status)
    } catch {
      console.messages.failure(error)
      status = error.kind.exitStatus(signal: console.signals.first)
    }
    return status
  }
}

/// The spools of one `held push`, one after the other.
private struct Pushing {
  let command: HeldPush
  let report: Report
  let console: Console
  /// For all of them: what is sent to one server goes through one store.
  let resolver: Resolver
  /// The exit status of each that was tried.
  private var tried: [String: Int32] = [:]
  /// Those that only a person's word sends again.
  private var leftOut: [String] = []

  private var messages: Messages { console.messages }

  init(command: HeldPush, report: Report, console: Console, resolver: Resolver) {
    self.command = command
    self.report = report
    self.console = console
    self.resolver = resolver
  }

  /// What a server has refused is not asked each night again.
  func tellOfRefused() {
    guard !leftOut.isEmpty else { return }
    messages.note("left out, as what was asked refused it before; to try again: sluice held push \(leftOut.joined(separator: " "))")
  }

  /// Sends a spool, and those before it that must be there first, unless they have been tried.
  ///
  /// - Returns: the exit status.
  mutating func push(_ id: String, in directory: SpoolDirectory) async -> Int32 {
    if let status = tried[id] { return status }
    tried[id] = 0
    let status = await pushNew(id, in: directory)
    tried[id] = status
    return status
  }

  private mutating func pushNew(_ id: String, in directory: SpoolDirectory) async -> Int32 {
    do throws(Failure) {
      guard let spool = try command.selection.spool(id, in: directory, messages) else { return 0 }
      guard let job = try HeldJob(reading: id, in: directory) else {
        throw Failure(.spool, "the spool \(id) has no job", hint: "its bytes are in \(directory.path)/\(id).data")
      }
      for earlier in job.after ?? [] where directory.has(earlier) && !Task.isCancelled {
        let status = await push(earlier, in: directory)
        guard directory.has(earlier) else { continue }
        let failure = Failure(.spool, "the spool \(id) says that a set is complete, and \(earlier) of that set is still held")
        guard status == 0 else {
          messages.failure(failure)
          return status
        }
        guard command.selection.all else { throw failure }
        leftOut.append(id)
        return 0
      }
      if Task.isCancelled { throw .interrupted }
      try await tellOfSuperseded(id, job)
      let waiting = job.destinations.indices.filter {
        job.destinations[$0].isWaiting || command.evenIfOlder && !job.destinations[$0].isDone
      }
      let chosen = waiting.filter { !command.selection.all || job.destinations[$0].isRefused != true }
      if chosen.count < waiting.count { leftOut.append(id) }
      return chosen.isEmpty ? 0 : try await send(spool, job, to: chosen)
    } catch {
      messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
    }
  }

  /// That the name has what is newer is as good as a success, and is told as one.
  private func tellOfSuperseded(_ id: String, _ job: HeldJob) async throws(Failure) {
    let texts = job.destinations.filter { $0.isSuperseded == true }.map(\.text)
    guard !texts.isEmpty, !command.evenIfOlder else { return }
    for result in try resolver.open(texts, for: .object, given: job.attributes.options) {
      // Where nothing is to be sent it is of no account that the server is unknown by now.
      guard case .success(let target) = result else { continue }
      var outcome = Outcome(of: target)
      outcome.isSuperseded = true
      outcome.held = id
      report.tell(outcome, messages)
      messages.note(outcome.superseding)
    }
  }

  private func refusal(of job: HeldJob, _ payload: Payload, _ target: Target) async -> Failure? {
    guard let role = job.role else { return nil }
    do throws(Failure) {
      try await HeldSet(role: role, payload: payload).check(target)
      return nil
    } catch {
      return error
    }
  }

  /// Takes the place of the run that held the spool; that of a run whose input has ended now, if the user wants it to count as newest.
  private func held(_ spool: Spool, _ job: HeldJob, _ targets: [Int: Target]) -> HeldSpool {
    var job = job
    let place = SpoolPlace(option: command.selection.spoolDir)
    let number = command.evenIfOlder ? nil : job.number ?? 0
    let order = RunOrder(in: place, id: spool.id, bytes: job.bytes, number: number, targets, messages)
    for index in targets.keys {
      job.destinations[index].isSuperseded = nil
      // A remote may be another server by now.
      guard let name = job.destinations[index].name, name != order.hash(index) else { continue }
      RunOrder.forget(spool.id, job, index, in: place)
    }
    return HeldSpool(resuming: spool, job, order, messages)
  }

  /// - Parameter chosen: the indices of the job's destinations that it goes to.
  private func send(_ spool: Spool, _ job: HeldJob, to chosen: [Int]) async throws(Failure) -> Int32 {
    let payload = try await Payload.held(
      spool, length: job.bytes, inputLength: job.inputBytes, sha256: job.sha256, inputSHA256: job.inputSHA256)
    let transfer = command.transfer
    let opened = try resolver.open(
      chosen.map { job.destinations[$0].text }, for: .object, given: job.attributes.options)
    let found = opened.compactMap { try? $0.get() }
    var files = OpenFiles(found, job.attributes)
    if job.writesSum == true { files.addSums(found) }
    try files.reserve()
    let targetsByIndex = zip(chosen, opened).compactMap { index, result in (try? result.get()).map { (index, $0) } }
    let held = held(spool, job, Dictionary(uniqueKeysWithValues: targetsByIndex))
    var outcomes: [Int: Outcome] = [:]
    var targets: [(index: Int, target: Target)] = []
    for (index, result) in zip(chosen, opened) {
      var refused: Outcome
      switch result {
      case .success(let target):
        guard let failure = await refusal(of: job, payload, target) else {
          targets.append((index, target))
          continue
        }
        refused = Outcome(of: target)
        refused.failure = failure
      case .failure(let failure):
        refused = Outcome(failure, elapsed: .zero)
      }
      refused.held = held.ended(index, refused.failure)
      outcomes[index] = refused
      report.tell(refused, messages)
    }
    let delivery = Delivery(
      payload: payload, held: held,
      settings: DeliverySettings(
        retries: transfer.retryPolicy, place: SpoolPlace(option: command.selection.spoolDir), start: .now, messages: messages))
    let sent = await delivery.run(targets, failed: [:], meters: targets.map { _ in Meter() }) { report.tell($0, messages) }
    for (place, outcome) in zip(targets, sent) { outcomes[place.index] = outcome }
    if let advice = held.finish() { messages.advice(advice) }
    let failures = outcomes.sorted { $0.key < $1.key }.compactMap(\.value.failure)
    return failures.first?.kind.exitStatus(signal: console.signals.first) ?? 0
  }
}

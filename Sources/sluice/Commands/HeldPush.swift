import ArgumentParser
import BytePath
import Endpoints

/// `sluice held push`: send what was kept, and print ordinary results.
struct HeldPush: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "push", abstract: "Send them.")

  @OptionGroup var selection: HeldSelection
  @OptionGroup var transfer: TransferOptions

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func validate() throws {
    if let option = transfer.endpointOptions.first {
      throw ValidationError("-o \(option.key) has no effect here: the options of the upload count")
    }
  }

  func execute(_ console: Console) async -> Int32 {
    var status: Int32 = 0
    do throws(Failure) {
      let selected = try selection.open()
      let report = try Report(path: transfer.result, console.messages)
      var tried: Set<String> = []
      for (directory, id) in selected where !Task.isCancelled {
        let ended = await push(id, in: directory, report, console, &tried)
        if status == 0 { status = ended }
      }
      status = report.exitStatus(status)
    } catch {
      console.messages.failure(error)
      status = error.kind.exitStatus(signal: console.signals.first)
    }
    return status
  }

  /// Sends a spool, and those before it that must be there first, unless they have been tried.
  private func push(_ id: String, in directory: SpoolDirectory, _ report: Report, _ console: Console, _ tried: inout Set<String>) async
    -> Int32
  {
    guard tried.insert(id).inserted else { return 0 }
    do throws(Failure) {
      guard let spool = try selection.spool(id, in: directory, console.messages) else { return 0 }
      let job = try HeldJob(reading: spool)
      for earlier in job.after ?? [] where directory.has(earlier) && !Task.isCancelled {
        _ = await push(earlier, in: directory, report, console, &tried)
        guard !directory.has(earlier) else {
          throw Failure(.spool, "the spool \(id) says that a set is complete, and \(earlier) of that set is still held")
        }
      }
      if Task.isCancelled { throw .interrupted }
      return try await push(spool, job, report, console)
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
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

  private func push(_ spool: Spool, _ job: HeldJob, _ report: Report, _ console: Console) async throws(Failure) -> Int32 {
    let payload = try await Payload.held(spool, length: job.bytes, inputLength: job.inputBytes, sha256: job.sha256)
    let waiting = job.destinations.indices.filter { !job.destinations[$0].isDone }
    let opened = try Opening(options: transfer, settings: try transfer.httpSettings(), messages: console.messages)
      .open(waiting.map { job.destinations[$0].text }, for: .object)
    let holding = Holding(resuming: spool, job, console.messages)
    var outcomes: [Outcome] = []
    var targets: [(index: Int, target: Target)] = []
    for (index, result) in zip(waiting, opened) {
      switch result {
      case .success(let target):
        guard let refused = await refusal(of: job, payload, target) else {
          targets.append((index, target))
          continue
        }
        await target.endpoint.close()
        var outcome = Outcome(destination: target.text, endpoint: target.kind.name, path: target.path, elapsed: .zero)
        outcome.failure = refused
        outcome.held = holding.ended(index, refused)
        outcomes.append(outcome)
        report.tell(outcome, console.messages)
      case .failure(let refused):
        var outcome = Outcome(refused, elapsed: .zero)
        outcome.held = holding.ended(index, refused.failure)
        outcomes.append(outcome)
        report.tell(outcome, console.messages)
      }
    }
    let indices = targets.map(\.index)
    let deliver = Deliver(
      payload: payload, isGzip: job.isGzip, attributes: job.attributes, retries: transfer.retryPolicy, verifies: job.verifies, start: .now,
      messages: console.messages, checkpoint: { holding.checkpoint(for: indices[$0]) }, ended: { holding.ended(indices[$0], $1) })
    outcomes += await deliver.run(targets.map(\.target), failed: [:], meters: targets.map { _ in Meter() }) {
      report.tell($0, console.messages)
    }
    for (_, target) in targets { await target.endpoint.close() }
    holding.finish()
    return outcomes.lazy.compactMap(\.failure).first?.kind.exitStatus(signal: console.signals.first) ?? 0
  }
}

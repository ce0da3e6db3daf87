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
      for (directory, id) in selected where !Task.isCancelled {
        do throws(Failure) {
          guard let spool = try selection.spool(id, in: directory, console.messages) else { continue }
          let ended = try await push(spool, report, console)
          if status == 0 { status = ended }
        } catch {
          console.messages.failure(error)
          if status == 0 { status = error.kind.exitStatus(signal: console.signals.first) }
        }
      }
    } catch {
      console.messages.failure(error)
      status = error.kind.exitStatus(signal: console.signals.first)
    }
    return status
  }

  private func push(_ spool: Spool, _ report: Report, _ console: Console) async throws(Failure) -> Int32 {
    let job = try HeldJob(reading: spool)
    let payload = try await Payload.held(spool, length: job.bytes, inputLength: job.inputBytes, sha256: job.sha256)
    let waiting = job.destinations.indices.filter { !job.destinations[$0].isDone }
    let opened = try Opening(options: transfer, settings: try transfer.httpSettings(), messages: console.messages)
      .open(waiting.map { job.destinations[$0].text }, for: .object)
    let holding = Holding(resuming: spool, job, console.messages)
    var outcomes: [Outcome] = []
    var targets: [(index: Int, target: Target)] = []
    for (index, result) in zip(waiting, opened) {
      switch result {
      case .success(let target): targets.append((index, target))
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

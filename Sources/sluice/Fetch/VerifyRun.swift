import BytePath
import Endpoints

/// One `sluice verify`: its sources one after the other.
struct VerifyRun: Sendable {
  private let verify: Verify
  private let console: Console
  private let report: Report
  private let resolver: Resolver
  private let opened: [Result<Target, DestinationFailure>]

  private var messages: Messages { console.messages }

  /// - Throws: `usage`.
  init(_ verify: Verify, _ console: Console) throws(Failure) {
    self.verify = verify
    self.console = console
    resolver = Resolver(options: verify.transfer, settings: try verify.transfer.httpSettings(), messages: console.messages)
    opened = try resolver.open(verify.sources, for: .source)
    let targets = opened.compactMap { try? $0.get() }
    try FileUse(verify, targets).check()
    var files = OpenFiles(targets, Attributes())
    files.add(children: verify.fetch.through.count)
    try files.reserve()
    report = try Report(path: verify.transfer.result, console.messages)
  }

  func run() async -> Int32 {
    var first: Failure?
    for result in opened where !Task.isCancelled {
      let start = ContinuousClock.now
      var outcome: GetOutcome
      switch result {
      case .failure(let refused): outcome = GetOutcome(refused)
      case .success(let target):
        outcome = GetOutcome(of: target)
        do throws(Failure) { try await prove(target, &outcome) } catch { outcome.failure = Task.isCancelled ? console.interruption : error }
      }
      outcome.elapsed = start.duration(to: .now)
      first = first ?? outcome.failure
      report.tell(outcome, messages)
    }
    await resolver.close()
    // Those that were not looked at are not proven.
    if Task.isCancelled { first = first ?? .interrupted }
    return report.exitStatus(first?.kind.exitStatus(signal: console.signals.first) ?? 0)
  }

  /// Begins anew where reading can't go on after a cut: nobody has seen what came before.
  private func prove(_ target: Target, _ outcome: inout GetOutcome) async throws(Failure) {
    let policy = verify.transfer.retryPolicy
    let retrieval = Retrieval(target: target, options: verify.fetch, policy: policy, messages: messages)
    let found = try await retrieval.find()
    let start = ContinuousClock.now
    var count = 0
    while true {
      count += 1
      let fetch = retrieval.fetch(found)
      defer { outcome.attempts += fetch.attempts }
      do throws(Failure) { return try await prove(retrieval, found, fetch, &outcome) } catch {
        guard !Task.isCancelled, fetch.mayBeginAnew, let wait = policy.wait(after: count, error, since: start) else { throw error }
        retrieval.note(error, wait)
        do { try await Task.sleep(for: wait) } catch { throw .interrupted }
      }
    }
  }

  private func prove(_ retrieval: Retrieval, _ found: Retrieval.Found, _ fetch: Fetch, _ outcome: inout GetOutcome) async throws(Failure) {
    let (feed, meter) = (StreamFeed(), Meter())
    let progress = FetchProgress(verify.fetch.progress, messages, retrieval.target.text, "download", of: fetch.length) { meter.input }
    let unpacked: Unpacked
    do throws(Failure) {
      unpacked = try await retrieval.unpacked(feed, found, to: .nowhere, meter) { () throws(Failure) in try await fetch.run(into: feed) }
    } catch {
      await progress.end()
      throw error
    }
    await progress.end()
    outcome.verified = try retrieval.prove(found, unpacked, fetch)
    outcome.note(unpacked, found, unpacks: verify.fetch.unpacks)
  }
}

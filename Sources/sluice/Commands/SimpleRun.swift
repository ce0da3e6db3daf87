import BytePath
import Endpoints

/// A command that does one thing at each of its destinations, side by side: `mkdir` and `check`.
struct SimpleRun: Sendable {
  let destinations: [String]
  let options: TransferOptions
  let purpose: Purpose
  let console: Console
  /// Passing failures are worth another try.
  let action: @Sendable (Target) async throws(Failure) -> Receipt

  /// - Parameter check: throws for a target for which an argument would have no effect, before anything is done.
  func run(checking check: (Target) throws(Failure) -> Void = { _ throws(Failure) in }) async -> Int32 {
    do throws(Failure) {
      let settings = try options.httpSettings()
      let resolver = Resolver(options: options, settings: settings, messages: console.messages)
      let opened = try resolver.open(destinations, for: purpose)
      for target in opened.compactMap({ try? $0.get() }) { try check(target) }
      try FileUse(options, opened.compactMap { try? $0.get() }).check()
      try OpenFiles(opened.compactMap { try? $0.get() }, Attributes(options: options.optionValues)).reserve()
      let report = try Report(path: options.result, console.messages)
      let outcomes = await withTaskGroup(of: (Int, Outcome).self) { group in
        for (index, result) in opened.enumerated() {
          group.addTask { (index, await outcome(of: result, report)) }
        }
        return await group.reduce(into: [Int: Outcome]()) { $0[$1.0] = $1.1 }
      }
      await resolver.close()
      let failure = outcomes.sorted { $0.key < $1.key }.lazy.compactMap(\.value.failure).first
      return report.exitStatus(failure?.kind.exitStatus(signal: console.signals.first) ?? 0)
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
    }
  }

  private func outcome(of result: Result<Target, DestinationFailure>, _ report: Report) async -> Outcome {
    let start = ContinuousClock.now
    var outcome: Outcome
    switch result {
    case .failure(let refused): outcome = Outcome(refused, elapsed: .zero)
    case .success(let target):
      outcome = Outcome(of: target)
      await attempt(target, &outcome)
    }
    outcome.elapsed = start.duration(to: .now)
    report.tell(outcome, console.messages)
    return outcome
  }

  private func attempt(_ target: Target, _ outcome: inout Outcome) async {
    do throws(Failure) {
      outcome.receipt = try await options.retryPolicy.attempt(target.text, console.messages, tries: &outcome.attempts) {
        () throws(Failure) in try await action(target)
      }
    } catch {
      outcome.failure = error
    }
  }
}

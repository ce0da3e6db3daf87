public import BytePath

/// Removes what a failed upload left somewhere. That is done when the run was interrupted too, but then it may not take long: a person who
/// has pressed Ctrl-C waits for it.
///
/// - Returns: why it could not be done; nil if it was.
public func cleaningUp(_ work: @escaping @Sendable () async throws(Failure) -> Void) async -> Failure? {
  let limit = Duration.milliseconds(Task.isCancelled ? 700 : 10_000)
  let cleaning = Task.detached { () -> Failure? in
    do throws(Failure) {
      try await work()
      return nil
    } catch {
      return error
    }
  }
  let timer = Task.detached {
    try await Task.sleep(for: limit)
    cleaning.cancel()
  }
  defer { timer.cancel() }
  return await cleaning.value
}

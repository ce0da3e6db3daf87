import BytePath
import Synchronization

/// What is asked once in a run, however many destinations ask for it, and when: a login, a command that prints a secret. The first one asks, the
/// others wait for its answer.
///
/// An answer is kept, and so is a failure that would come again: five wrong passwords lock an address. One that may pass is asked for again.
final class SingleFlight<Value: Sendable>: Sendable {
  private typealias Flight = Task<Result<Value, Failure>, Never>

  private let flights = Mutex<[String: Flight]>([:])

  /// - Parameters:
  ///   - key: what is asked for. It may have a secret in it, and is shown to nobody.
  ///   - isStale: true for an answer that does not serve any more, so that a new one is asked for.
  /// - Throws: what `work` throws, or `interrupted`.
  func value(
    of key: String, unless isStale: @Sendable (Value) -> Bool = { _ in false },
    from work: @escaping @Sendable () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    while true {
      let (flight, isMine) = flights.withLock { flights in
        if let under = flights[key] { return (under, false) }
        let new = Flight {
          do throws(Failure) { return .success(try await work()) } catch { return .failure(error) }
        }
        flights[key] = new
        return (new, true)
      }
      let result = await withTaskCancellationHandler {
        await flight.value
      } onCancel: {
        flight.cancel()
      }
      switch result {
      case .success(let value) where isMine || !isStale(value): return value
      case .success: break
      case .failure(let failure):
        let passes = failure.isRetryable || failure.kind == .interrupted
        if passes { forget(flight, key) }
        // Another one may have been interrupted, and this one not.
        if failure.kind == .interrupted, !isMine, !Task.isCancelled { continue }
        throw failure
      }
      forget(flight, key)
    }
  }

  private func forget(_ flight: Flight, _ key: String) {
    flights.withLock { if $0[key] == flight { $0[key] = nil } }
  }
}

import BytePath
import Endpoints

/// Sends a payload to one destination as often as that may help.
///
/// Whether a failure may pass is said by the endpoint (`Failure.isRetryable`). Between tries it waits 0.5 s, doubled each time up to 30 s,
/// and of that a random part, so that many clients of a server that comes back do not arrive at once; at least what `Retry-After` asks.
struct Retry: Sendable {
  let target: Target
  let limit: Int
  let verifies: Bool
  let messages: Messages

  struct Success: Sendable {
    var receipt: Receipt
    var verification: Verification?
    var uploadTime: Duration
  }

  /// - Returns: what came of it and how many tries were made.
  func put(_ payload: Payload, _ attributes: Attributes, _ meter: Meter) async -> (result: Result<Success, Failure>, attempts: Int) {
    var attempt = 0
    while true {
      attempt += 1
      let start = ContinuousClock.now
      do throws(Failure) {
        let receipt = try await target.endpoint.put(payload, to: target.path, attributes, meter)
        let time = start.duration(to: .now)
        let verification = verifies ? try await target.endpoint.verify(target.path, against: payload) : nil
        return (.success(Success(receipt: receipt, verification: verification, uploadTime: time)), attempt)
      } catch {
        if Task.isCancelled { return (.failure(.interrupted), attempt) }
        guard error.isRetryable, attempt <= limit else { return (.failure(error), attempt) }
        let delay = max(Retry.delay(after: attempt), error.retryAfter ?? .zero)
        messages.note("\(target.text): try \(attempt) of \(limit + 1) failed: \(error.message); the next one in \(delay.rounded)")
        do { try await Task.sleep(for: delay) } catch { return (.failure(.interrupted), attempt) }
        if error.isOutcomeUnknown, let success = await found(payload, attributes, since: start) { return (.success(success), attempt) }
      }
    }
  }

  /// Asks whether the object arrived although the answer was lost. The size alone says so only where nothing can have been there before.
  private func found(_ payload: Payload, _ attributes: Attributes, since start: ContinuousClock.Instant) async -> Success? {
    guard let verification = try? await target.endpoint.verify(target.path, against: payload) else { return nil }
    guard verification == .sizeAndHash || attributes.existing == .refuse else { return nil }
    messages.note("\(target.text): the object is there; only the answer was lost")
    return Success(receipt: Receipt(), verification: verification, uploadTime: start.duration(to: .now))
  }

  static func delay(after attempt: Int) -> Duration {
    let most = min(0.5 * Double(1 << min(attempt - 1, 10)), 30)
    return .milliseconds(Int64(Double.random(in: 0...most) * 1000))
  }
}

extension Duration {
  /// For people: `1.2 s`.
  var rounded: String {
    let tenths = (components.seconds * 10) + components.attoseconds / 100_000_000_000_000_000
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

import BytePath
import Endpoints

/// How often and how long something is tried again.
///
/// Whether a failure may pass is said by the endpoint (`Failure.isRetryable`). Between tries it waits 0.5 s, doubled each time up to 30 s,
/// and of that a random part, so that many clients of a server that comes back do not arrive at once; at least what `Retry-After` asks.
struct RetryPolicy: Sendable {
  /// Tries after the first.
  var limit: Int
  /// How long after the beginning of the first try another may begin; nil for no limit.
  var longest: Duration?

  /// The wait before the next try; nil if there is to be none.
  ///
  /// - Parameters:
  ///   - attempts: how many tries there were.
  ///   - start: when the first began.
  func wait(after attempts: Int, _ failure: Failure, since start: ContinuousClock.Instant) -> Duration? {
    guard failure.isRetryable, attempts <= limit else { return nil }
    let most = min(0.5 * Double(1 << min(attempts - 1, 10)), 30)
    let wait = max(.milliseconds(Int64(Double.random(in: 0...most) * 1000)), failure.retryAfter ?? .zero)
    if let longest, start.duration(to: .now) + wait > longest { return nil }
    return wait
  }
}

/// Sends a payload to one destination as often as that may help.
struct Retry: Sendable {
  let target: Target
  let policy: RetryPolicy
  let verifies: Bool
  let messages: Messages

  struct Success: Sendable {
    var receipt: Receipt
    var verification: Verification?
    var uploadTime: Duration
  }

  /// - Returns: what came of it and how many tries were made.
  func put(_ upload: Upload) async -> (result: Result<Success, Failure>, attempts: Int) {
    var upload = upload
    var attempt = 0
    let first = ContinuousClock.now
    while true {
      attempt += 1
      upload.attempt = attempt
      let start = ContinuousClock.now
      do throws(Failure) {
        let receipt = try await target.endpoint.put(upload)
        let time = start.duration(to: .now)
        let verification = verifies ? try await target.endpoint.verify(target.path, against: upload.payload) : nil
        return (.success(Success(receipt: receipt, verification: verification, uploadTime: time)), attempt)
      } catch {
        if Task.isCancelled { return (.failure(.interrupted), attempt) }
        guard let wait = policy.wait(after: attempt, error, since: first) else { return (.failure(error), attempt) }
        messages.note("\(target.text): try \(attempt) of \(policy.limit + 1) failed: \(error.message); the next one in \(wait.rounded)")
        do { try await Task.sleep(for: wait) } catch { return (.failure(.interrupted), attempt) }
        if error.isOutcomeUnknown, let success = await found(upload, since: start) { return (.success(success), attempt) }
      }
    }
  }

  /// Asks whether the object arrived although the answer was lost. The size alone says so only where nothing can have been there before.
  private func found(_ upload: Upload, since start: ContinuousClock.Instant) async -> Success? {
    guard let verification = try? await target.endpoint.verify(target.path, against: upload.payload) else { return nil }
    guard verification == .sizeAndHash || upload.attributes.existing == .refuse else { return nil }
    messages.note("\(target.text): the object is there; only the answer was lost")
    return Success(receipt: Receipt(), verification: verification, uploadTime: start.duration(to: .now))
  }
}

extension Duration {
  /// For people: `1.2 s`.
  var rounded: String {
    let tenths = (components.seconds * 10) + components.attoseconds / 100_000_000_000_000_000
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

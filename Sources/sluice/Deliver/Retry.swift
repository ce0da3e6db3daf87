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

  /// Asks or does something as often as that may help, where a failure leaves nothing behind.
  ///
  /// - Parameters:
  ///   - name: what it is about, for messages.
  ///   - tries: is counted up by each.
  /// - Throws: the last failure, or `interrupted`.
  func attempt<Value: Sendable>(
    _ name: String, _ messages: Messages, tries: inout Int, _ work: @Sendable () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let start = ContinuousClock.now
    while true {
      tries += 1
      do throws(Failure) { return try await work() } catch {
        guard !Task.isCancelled else { throw .interrupted }
        guard let wait = wait(after: tries, error, since: start) else { throw error }
        messages.note("\(name): \(error.message); the next try in \(wait.rounded)")
        guard (try? await Task.sleep(for: wait)) != nil else { throw .interrupted }
      }
    }
  }
}

/// Sends a payload to one destination as often as that may help.
///
/// An attempt may end without a word of what became of the object: its answer is lost, or came from a proxy that gave up first. Then the
/// destination is asked before anything is sent again. A question that fails is asked again by itself, as far as the tries reach; it is no
/// reason to send the object once more.
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

  /// What is known while a put goes on.
  private struct Course {
    let start = ContinuousClock.now
    /// Attempts and questions.
    var tries = 0
    /// Why the object may be there although no attempt has succeeded.
    var doubt: Failure?
    /// Whether there ever was a doubt.
    var mayHaveStored = false
    /// What was found there instead of the object, after an attempt that had succeeded.
    var mismatch: Failure?
    /// Whether an attempt has succeeded, and only the question about it failed.
    var isStored = false
  }

  /// - Returns: what came of it and how often the object was sent.
  func put(_ upload: Upload) async -> (result: Result<Success, Failure>, attempts: Int) {
    var upload = upload
    upload.attempt = 0
    var course = Course()
    while true {
      course.tries += 1
      let failure: Failure
      do throws(Failure) {
        return (.success(try await attempt(&upload, &course)), upload.attempt)
      } catch {
        failure = error
      }
      if Task.isCancelled { return (.failure(interruption(of: failure)), upload.attempt) }
      if failure.isOutcomeUnknown { (course.doubt, course.mayHaveStored) = (failure, true) }
      guard !course.isStored, let wait = policy.wait(after: course.tries, failure, since: course.start) else {
        if failure.isOutcomeUnknown, let success = try? await found(upload, since: course.start) {
          return (.success(success), upload.attempt)
        }
        return (.failure(failure), upload.attempt)
      }
      messages.note(
        "\(target.text): try \(course.tries) of \(policy.limit + 1) failed: \(failure.message); the next one in \(wait.rounded)")
      do { try await Task.sleep(for: wait) } catch { return (.failure(interruption(of: failure)), upload.attempt) }
    }
  }

  /// Being told to stop does not put away what the attempt has left.
  private func interruption(of failure: Failure) -> Failure {
    var interruption = Failure.interrupted
    interruption.left = failure.left
    return interruption
  }

  /// Sends the object, unless it is there already.
  private func attempt(_ upload: inout Upload, _ course: inout Course) async throws(Failure) -> Success {
    if course.doubt != nil, let success = try await found(upload, since: course.start) { return success }
    course.doubt = nil
    upload.attempt += 1
    let start = ContinuousClock.now
    let receipt: Receipt
    do throws(Failure) { receipt = try await target.publisher.put(upload) } catch {
      throw upload.attributes.existing == .refuse && error.kind == .exists ? explained(error, course) : error
    }
    var success = Success(receipt: receipt, uploadTime: start.duration(to: .now))
    if verifies || receipt.flaw != nil { success.verification = try await verification(of: upload, after: receipt, &course) }
    if let flaw = receipt.flaw {
      let place = "\(target.text): the server's answer is malformed, as \(flaw)"
      messages.warning(
        "\(place); but the object is there, and \(success.verification == .size ? "its size is" : "size and hash are") right")
    }
    return success
  }

  /// What is in the way may be of an attempt of this run.
  private func explained(_ exists: Failure, _ course: Course) -> Failure {
    if var mismatch = course.mismatch {
      mismatch.isRetryable = false
      return mismatch
    }
    var exists = exists
    if course.mayHaveStored { exists.hint = "an attempt of this run may have put it there; look at it before you replace it" }
    return exists
  }

  /// Asks whether the object is there after an attempt that said no word of it.
  ///
  /// - Returns: nil if it is not, or if that can't be told.
  /// - Throws: what the question fails with, if it may be answered later.
  private func found(_ upload: Upload, since start: ContinuousClock.Instant) async throws(Failure) -> Success? {
    let verification: Verification
    do throws(Failure) { verification = try await target.publisher.verify(target.path, against: upload.payload) } catch {
      guard error.isRetryable, !error.isMismatch else { return nil }
      throw error
    }
    // The size alone says so only where nothing can have been there before.
    guard verification == .sizeAndHash || upload.attributes.existing == .refuse else { return nil }
    messages.note("\(target.text): the object is there; only the answer was lost")
    await tidy(upload)
    return Success(receipt: Receipt(), verification: verification, uploadTime: start.duration(to: .now))
  }

  /// What the attempt noted for the next one is of no use to anybody any more.
  private func tidy(_ upload: Upload) async {
    guard upload.checkpoint.text != nil else { return }
    let failure = await cleaningUp { () throws(Failure) in try await target.publisher.abandon(upload) }
    if let failure { messages.detail("\(target.text): nothing could be tidied up: \(failure.message)") }
  }

  /// Asks what is there after an attempt that succeeded, and asks again if the question fails.
  ///
  /// - Throws: `Failure.mismatch`, or what the question failed with in the end.
  private func verification(of upload: Upload, after receipt: Receipt, _ course: inout Course) async throws(Failure) -> Verification {
    while true {
      do throws(Failure) {
        return try await target.publisher.verify(target.path, against: upload.payload)
      } catch {
        guard !error.isMismatch else {
          course.mismatch = error
          throw error
        }
        guard !Task.isCancelled, let wait = policy.wait(after: course.tries, error, since: course.start) else {
          course.isStored = true
          var failure = error
          let word =
            receipt.flaw.map { "the server says that the upload succeeded, in a malformed answer, as \($0)," } ?? "the upload succeeded,"
          failure.message = "\(word) but what is there could not be verified: \(error.message)"
          throw failure
        }
        course.tries += 1
        messages.note("\(target.text): cannot verify the upload yet: \(error.message); asking again in \(wait.rounded)")
        do { try await Task.sleep(for: wait) } catch { throw .interrupted }
      }
    }
  }
}

extension Duration {
  /// For people: `1.2 s`.
  var rounded: String {
    let tenths = (components.seconds * 10) + components.attoseconds / 100_000_000_000_000_000
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

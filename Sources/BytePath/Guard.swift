import Synchronization

/// A command that must accept the input as it came, and gets a copy of it while that is read.
final class Guard: Sendable {
  let command: Command
  /// The end of the pipe that it reads.
  let input: Descriptor
  private let feed: Descriptor
  /// Since when it has been waited for; nil while it has nothing to do.
  private let waitingSince = Mutex<ContinuousClock.Instant?>(nil)
  private let hasEnded = Atomic(false)

  init(line: String, pipe: (read: Descriptor, write: Descriptor)) {
    command = Command(shell: line, role: "check")
    input = pipe.read
    feed = pipe.write
    feed.stopBlocking()
  }

  /// Hands a part of the input on. One that reads no more, as `head` does, is judged by its exit status alone. Blocks until all is taken,
  /// the command has ended or the run is interrupted.
  func write(_ bytes: UnsafeRawBufferPointer, _ interrupt: Interrupt) {
    guard feed.raw >= 0 else { return }
    waitingSince.withLock { $0 = .now }
    do throws(SystemError) {
      let isTaken = try interrupt.writeAll(bytes, to: feed, unless: { hasEnded.load(ordering: .relaxed) }) { _ in
        waitingSince.withLock { $0 = .now }
      }
      if !isTaken { try feed.close() }
    } catch {
      try? feed.close()
    }
    waitingSince.withLock { $0 = nil }
  }

  /// The command has ended; whatever it left behind gets nothing more.
  func commandHasEnded() { hasEnded.store(true, ordering: .relaxed) }

  /// Says that the input has ended: now it is for the command to end.
  func close() {
    try? feed.close()
    waitingSince.withLock { $0 = .now }
  }

  /// Waits until the command has taken nothing of what it was given for this long, or has not ended for this long after the last of it.
  ///
  /// - Throws: `input` then; returns if the task is cancelled.
  func watch(patience: Duration) async throws(Failure) {
    while (try? await Task.sleep(for: min(patience, .milliseconds(200)))) != nil {
      guard let since = waitingSince.withLock({ $0 }), since.duration(to: .now) >= patience else { continue }
      throw Failure(
        .input, "\(command.description) has taken no bytes and has not ended for \(patience)",
        hint: "nothing was uploaded; if it is only slow, give it more time with --check-timeout")
    }
  }
}

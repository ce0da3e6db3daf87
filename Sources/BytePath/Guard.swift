import Synchronization

/// A command that must accept the input as it came, and gets a copy of it while that is read.
final class Guard: Sendable {
  let command: Command
  /// The end of the pipe that it reads.
  let input: Descriptor
  private let feed: Descriptor
  /// Since when it has been waited for; nil while it has nothing to do.
  private let waitingSince = Mutex<ContinuousClock.Instant?>(nil)

  init(line: String, pipe: (read: Descriptor, write: Descriptor)) {
    command = Command(shell: line, role: "check")
    input = pipe.read
    feed = pipe.write
  }

  /// Hands a part of the input on. One that reads no more, as `head` does, is judged by its exit status alone. Blocks.
  func write(_ bytes: UnsafeRawBufferPointer) {
    waitingSince.withLock { $0 = .now }
    do throws(SystemError) { try feed.writeAll(bytes) } catch { try? feed.close() }
    waitingSince.withLock { $0 = nil }
  }

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

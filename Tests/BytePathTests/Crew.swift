import Synchronization
import Testing

@testable import BytePath

/// The threads of a test. One that waits for ever fails the test instead of stopping it, and what they find wrong is said by the test itself,
/// as a thread belongs to no test.
final class Crew: Sendable {
  private let running = Atomic(0)
  private let complaints = Mutex<[String]>([])

  /// Starts `count` threads, each of which is told its number from 0 on.
  func start(_ count: Int = 1, _ work: @escaping @Sendable (Int) throws -> Void) {
    for index in 0..<count {
      running.add(1, ordering: .acquiringAndReleasing)
      let error = startThread { [self] in
        do { try work(index) } catch { complain("\(error)") }
        running.subtract(1, ordering: .acquiringAndReleasing)
      }
      if let error {
        complain("no thread: \(error.words)")
        running.subtract(1, ordering: .acquiringAndReleasing)
      }
    }
  }

  /// As `#expect`.
  func expect(_ isSo: Bool, _ claim: @autoclosure () -> String) {
    if !isSo { complain(claim()) }
  }

  private func complain(_ text: String) { complaints.withLock { $0.append(text) } }

  /// Waits for all of them, and hands on what they found wrong.
  func finish(_ context: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while running.load(ordering: .acquiring) > 0 {
      guard ContinuousClock.now < end else {
        Issue.record("threads that wait for ever: \(running.load(ordering: .acquiring)); \(context)", sourceLocation: sourceLocation)
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(1))
    }
    let complaints = complaints.withLock { $0 }
    #expect(complaints.isEmpty, "\(context): \(complaints.prefix(5))", sourceLocation: sourceLocation)
  }
}

/// Asks again and again until it is so.
func wait(sourceLocation: SourceLocation = #_sourceLocation, until isSo: () -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(20)
  while !isSo() {
    try #require(ContinuousClock.now < end, "it never came to that", sourceLocation: sourceLocation)
    try await Task.sleep(for: .milliseconds(1))
  }
}

extension Generator {
  /// A number of the range.
  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  /// Lets others run now and then, so that threads meet in another order each time.
  mutating func pause() {
    switch next() % 32 {
    case 0: usleep(UInt32(next() % 60))
    case 1...6: sched_yield()
    default: break
    }
  }
}

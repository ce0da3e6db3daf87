import Foundation
import Support
import Testing

/// Gives each test of a suite a sandbox of its own, and lets only so many run at a time as the machine bears.
struct Sandboxed: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void) async throws {
    await slots.take()
    do {
      let sandbox = try Sandbox()
      let outcome: Result<Void, any Error>
      do {
        try await Sandbox.$current.withValue(sandbox) { try await function() }
        outcome = .success(())
      } catch {
        outcome = .failure(error)
      }
      await sandbox.close()
      await slots.giveBack()
      try outcome.get()
    } catch {
      throw error
    }
  }
}

extension Trait where Self == Sandboxed {
  static var sandboxed: Self { Sandboxed() }
}

private let slots = Slots(2 * ProcessInfo.processInfo.activeProcessorCount)

/// A semaphore that suspends instead of blocking.
private actor Slots {
  private var free: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []

  init(_ count: Int) {
    free = count
  }

  func take() async {
    if free > 0 {
      free -= 1
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  func giveBack() {
    if waiting.isEmpty {
      free += 1
    } else {
      waiting.removeFirst().resume()
    }
  }
}

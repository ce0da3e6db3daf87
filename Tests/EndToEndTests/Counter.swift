import Synchronization

/// Counts what happens on the threads of a scripted server.
final class Counter: Sendable {
  private let count = Mutex(0)

  var value: Int { count.withLock { $0 } }

  /// Returns the new count.
  @discardableResult
  func increment() -> Int {
    count.withLock { count in
      count += 1
      return count
    }
  }
}

/// Something that is so or not, for the threads of a scripted server.
final class Flag: Sendable {
  private let value: Mutex<Bool>

  init(_ value: Bool) { self.value = Mutex(value) }

  var isSet: Bool { value.withLock { $0 } }
  func set(_ value: Bool) { self.value.withLock { $0 = value } }
}

import Synchronization

/// What has passed so far, in bytes; written by the threads of a run and read by the progress display.
public final class Meter: Sendable {
  private let inputCount = Atomic<Int64>(0)
  private let objectCount = Atomic<Int64>(0)
  private let sentCount = Atomic<Int64>(0)
  private let percent = Atomic<Int>(-1)

  /// The levels that gzip used; complete when the input has ended.
  public let levels = LevelCounts()

  /// The meter of the whole object, if this one is of a part of it.
  private let whole: Meter?

  public init() { whole = nil }

  /// For one of the parts of an object that are sent side by side: what is said to it counts for the whole too.
  public init(partOf whole: Meter) { self.whole = whole }

  /// Bytes read from the input.
  public var input: Int64 { inputCount.load(ordering: .relaxed) }
  /// Bytes of the object written to the spool.
  public var object: Int64 { objectCount.load(ordering: .relaxed) }
  /// Bytes of the object handed to the network in the current attempt.
  public var sent: Int64 { sentCount.load(ordering: .relaxed) }

  /// How far the server says it has come with the object after it had all of it; nil if it does not say.
  public var serverPercent: Int? {
    let value = percent.load(ordering: .relaxed)
    return value < 0 ? nil : value
  }

  func addInput(_ bytes: Int) { inputCount.add(Int64(bytes), ordering: .relaxed) }
  func addObject(_ bytes: Int) { objectCount.add(Int64(bytes), ordering: .relaxed) }

  /// - Parameter value: 0 to 100.
  public func setServerPercent(_ value: Int) { percent.store(min(max(value, 0), 100), ordering: .relaxed) }

  /// Says that `bytes` bytes of the current attempt have been handed on.
  public func setSent(_ bytes: Int64) {
    let before = sentCount.exchange(bytes, ordering: .relaxed)
    whole?.sentCount.add(bytes - before, ordering: .relaxed)
  }
}

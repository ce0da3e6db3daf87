import Synchronization

/// What has passed so far, in bytes; written by the threads of a run and read by the progress display.
public final class Meter: Sendable {
  private let inputCount = Atomic<Int64>(0)
  private let objectCount = Atomic<Int64>(0)
  private let sentCount = Atomic<Int64>(0)

  public init() {}

  /// Bytes read from the input.
  public var input: Int64 { inputCount.load(ordering: .relaxed) }
  /// Bytes of the object written to the spool.
  public var object: Int64 { objectCount.load(ordering: .relaxed) }
  /// Bytes of the object handed to the network in the current attempt.
  public var sent: Int64 { sentCount.load(ordering: .relaxed) }

  func addInput(_ bytes: Int) { inputCount.add(Int64(bytes), ordering: .relaxed) }
  func addObject(_ bytes: Int) { objectCount.add(Int64(bytes), ordering: .relaxed) }

  /// Says that `bytes` bytes of the current attempt have been handed on.
  public func setSent(_ bytes: Int64) { sentCount.store(bytes, ordering: .relaxed) }
}

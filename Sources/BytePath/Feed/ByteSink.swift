/// Takes the bytes of an object as they come.
public protocol ByteSink: AnyObject, Sendable {
  /// - Returns: false if no more are wanted.
  func take(_ bytes: UnsafeRawBufferPointer) -> Bool

  /// Asks, after `take`, whether there is room for more. If not, `go` is called once there is, or once nothing is wanted any more; whoever brings the
  /// bytes waits for it.
  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool
}

extension ByteSink {
  public func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { true }

  /// Waits until there is room for more, or nothing is wanted any more.
  public func untilReady() async {
    await withCheckedContinuation { continuation in
      if isReady({ continuation.resume() }) { continuation.resume() }
    }
  }

  /// As `untilReady`, on a thread that may block.
  public func waitUntilReady() {
    let gate = Monitor(false, conditions: 1)
    let isReady = isReady {
      gate.update { $0 = true }
      gate.wakeAll()
    }
    if !isReady { gate.wait(for: 0) { $0 ? () : nil } }
  }
}

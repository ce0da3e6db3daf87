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
}

public import BytePath
import Synchronization

/// One object on its way to one destination, as an attempt to send it sees it.
public struct Upload: Sendable {
  public let payload: Payload
  /// As the endpoint writes it.
  public let path: String
  public let attributes: Attributes
  public let meter: Meter
  public let checkpoint: Checkpoint
  /// Which attempt of this run it is, from 1 on.
  public var attempt = 1

  public init(_ payload: Payload, to path: String, _ attributes: Attributes, _ meter: Meter, _ checkpoint: Checkpoint) {
    self.payload = payload
    self.path = path
    self.attributes = attributes
    self.meter = meter
    self.checkpoint = checkpoint
  }
}

/// What an endpoint remembers of an upload from one attempt to the next, and, if the spool is held, from one run to the next: a few words,
/// such as the ID of a session at the server. No secret may be in it.
public final class Checkpoint: Sendable {
  private let state: Mutex<String?>
  private let changed: @Sendable (String?) -> Void

  /// - Parameters:
  ///   - text: what an earlier run remembered.
  ///   - changed: is called with each new text, from any thread, and keeps it.
  public init(_ text: String?, changed: @escaping @Sendable (String?) -> Void) {
    state = Mutex(text)
    self.changed = changed
  }

  /// Nil if there is nothing to be remembered.
  public var text: String? { state.withLock { $0 } }

  public func set(_ text: String?) {
    let isNew = state.withLock { state in
      defer { state = text }
      return state != text
    }
    if isNew { changed(text) }
  }
}

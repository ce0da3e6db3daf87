/// What a user is told of something that did not work. Exit status and JSON are made from `kind`, in one place (`sluice/Report`).
public struct Failure: Error, Sendable, Equatable {
  /// The raw value is the `error.kind` of the JSON result.
  public enum Kind: String, Sendable, CaseIterable {
    case usage, input, missing, unreachable, timeout, server, rejected, exists, spool, `protocol`, auth, config, interrupted
  }

  public var kind: Kind
  /// Lower case, no full stop: what happened, to what.
  public var message: String
  /// What to type or look at next.
  public var hint: String?
  /// True if the same attempt may succeed later.
  public var isRetryable: Bool
  /// True if the server may have taken the object although no answer came.
  public var isOutcomeUnknown = false
  /// True if the destination was asked and has something else than what was sent, or nothing: only sending it again may help. A question that
  /// has no answer is asked again instead.
  public var isMismatch = false
  /// True if the server has forgotten what it had of the object, or can't go on with it: another attempt begins anew.
  public var isSessionLost = false
  /// How long the server asks to wait before the next attempt.
  public var retryAfter: Duration?
  /// The HTTP status of the answer, if there was one.
  public var httpStatus: Int?
  /// The server's answer, if there was one.
  public var response: JSONValue?
  /// The server's task in its last known state.
  public var task: JSONValue?
  /// Full paths at the destination of what this upload wrote, or moved aside, and could not put right: a part of the object, the whole object
  /// without its name, an older object. The last message and the result name them.
  public var left: [String] = []

  public init(_ kind: Kind, _ message: String, hint: String? = nil, retryable: Bool = false) {
    self.kind = kind
    self.message = message
    self.hint = hint
    isRetryable = retryable
  }

  /// What was sent is not what is there.
  public static func mismatch(_ message: String) -> Failure {
    var failure = Failure(.server, message, retryable: true)
    failure.isMismatch = true
    return failure
  }

  /// The run was ended by a signal or by the failure of another part of it.
  public static let interrupted = Failure(.interrupted, "interrupted")
}

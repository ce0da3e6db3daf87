import BytePath

/// How a run talks HTTP.
public struct HTTPSettings: Sendable {
  /// For a connection, its TLS included.
  public var connectTimeout: Duration = .seconds(30)
  /// How long nothing may move while a request is sent.
  public var idleTimeout: Duration = .seconds(60)
  /// How long the answer to an upload may take after its last byte. Storage behind a server may need minutes.
  public var answerTimeout: Duration = .seconds(600)
  /// For one whole request; nil for no limit.
  public var totalTimeout: Duration?
  /// Bytes a second, at the most; nil for no limit.
  public var rateLimit: Int64?
  /// A PEM file of certificates to trust instead of the system's.
  public var certificateFile: String?
  /// Take any certificate.
  public var isInsecure = false

  public init() {}
}

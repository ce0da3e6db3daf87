public import BytePath

/// What every endpoint of a run is given.
public struct EndpointContext: Sendable {
  public var http: HTTPSettings
  /// The values of `-o` for the whole run, an empty string where there was none, those of the remote among them. Uploads have theirs in their
  /// attributes, as a later run may send them.
  public var options: [String: String]
  /// Tells the user something that does not stop the run: lower case, no full stop.
  public var warn: @Sendable (String) -> Void
  /// Tells those who want to know it what is being done. No secret is in it.
  public var detail: @Sendable (String) -> Void

  public init(
    http: HTTPSettings, options: [String: String] = [:], warn: @escaping @Sendable (String) -> Void,
    detail: @escaping @Sendable (String) -> Void
  ) {
    self.http = http
    self.options = options
    self.warn = warn
    self.detail = detail
  }
}

/// What to do with an object that is there already.
public enum Existing: String, Sendable, Codable {
  case overwrite, refuse
}

/// What the user wants to be known of an object besides its bytes.
public struct Attributes: Sendable, Codable, Equatable {
  /// The MIME type; nil leaves it to the server.
  public var contentType: String?
  /// The time of last change in milliseconds since 1970; nil for now.
  public var modified: Int64?
  public var existing: Existing
  /// The values of `-o`, an empty string where there was none.
  public var options: [String: String]

  public init(contentType: String? = nil, modified: Int64? = nil, existing: Existing = .overwrite, options: [String: String] = [:]) {
    self.contentType = contentType
    self.modified = modified
    self.existing = existing
    self.options = options
  }

  /// True if the flag was given with `-o`.
  public func has(_ option: String) -> Bool { options[option] != nil }
}

/// What a server said of an object that it took.
public struct Receipt: Sendable, Equatable {
  public var httpStatus: Int?
  /// The server's answer.
  public var response: JSONValue?
  /// The server's task in its last known state.
  public var task: JSONValue?
  /// How a note or a page refers to the object, where the server has a word for that.
  public var link: String?
  /// Why the server's word is not enough, as the answer was written wrongly: `its lines end without a carriage return`. Nil if it is.
  public var flaw: String?
  /// Whether the server said so before it can have had the whole object.
  public var isEarly = false

  public init(httpStatus: Int? = nil, response: JSONValue? = nil, task: JSONValue? = nil, flaw: String? = nil) {
    self.httpStatus = httpStatus
    self.response = response
    self.task = task
    self.flaw = flaw
  }
}

/// What `--verify` could compare.
public enum Verification: String, Sendable {
  case size
  case sizeAndHash = "size+hash"
}

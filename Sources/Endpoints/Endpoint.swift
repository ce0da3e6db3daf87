public import BytePath

/// One kind of storage, opened for one server (or for the local files).
///
/// An endpoint sends an object once, and says in its `Failure` whether another attempt may help; counting attempts, waiting between them,
/// holding spools and printing are not its business. All methods may be called several times, so they must be idempotent.
public protocol Endpoint: Sendable {
  var kind: EndpointKind { get }

  /// Uploads to destinations with the same key are made one after the other; nil if they may go side by side.
  var exclusionKey: String? { get }

  /// The path as this endpoint writes it, of an object to be put.
  ///
  /// - Throws: `usage` for a path that can't be sent, `rejected` for a name that the server is known to be unable to hold. Asks nobody.
  func objectPath(_ text: String) throws(Failure) -> String

  /// What tells the object at `path` from others of the server, whatever way leads to it; nil if the sub-path of the server and the path do.
  /// Asks nobody.
  func identity(of path: String) -> String?

  /// The path as this endpoint writes it, of a directory to be made.
  ///
  /// - Throws: as `objectPath`.
  func directoryPath(_ text: String) throws(Failure) -> String

  /// Reads the values of the options of `-o` that it knows.
  ///
  /// - Throws: `usage` for one that means nothing.
  func checkOptions(_ options: [String: String]) throws(Failure)

  /// As of `Store`.
  func checkUse(_ use: Use, _ options: [String: String]) throws(Failure)

  /// As of `Store`.
  var adoptsSpools: Bool { get }

  /// As of `Store`.
  func replaces(_ attributes: Attributes) -> Bool

  /// As of `Store`.
  func silence(at path: String) async -> Failure?

  /// Asks whether a put to `path` may succeed: the server is there, takes the credentials and allows the path. Sends no object.
  func check(_ path: String, _ attributes: Attributes) async throws(Failure)

  /// A folder from which a spool can become the object without a copy; nil if there is no such thing here.
  ///
  /// - Throws: `spool` if it can't be made.
  func spoolDirectory(for path: String) throws(Failure) -> SpoolDirectory?

  /// The hashes besides SHA-256 that a put to `path` will want, so that they can be computed while the object is made. Asked after `check`.
  func wantedHashes(for path: String, _ attributes: Attributes) async -> Set<HashAlgorithm>

  /// Sends the whole payload once.
  ///
  /// - Throws: any failure; `isOutcomeUnknown` is set if the server may have stored the object although it did not say so.
  func put(_ upload: Upload) async throws(Failure) -> Receipt

  /// Lets go of what the server keeps of an upload that will not go on, as its checkpoint tells.
  ///
  /// - Throws: any failure.
  func abandon(_ upload: Upload) async throws(Failure)

  /// Makes a directory and its parents. An existing one is a success.
  ///
  /// - Parameter modified: its time in milliseconds since 1970, where it takes one (`EndpointKind.takesDirectoryTime`); nil for now.
  func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt

  /// Asks whether the object at `path` is the payload.
  ///
  /// - Returns: what was compared.
  /// - Throws: `Failure.mismatch` if it is not, or whatever the asking fails with.
  func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification

  /// How many files and connections it may have open at a time for one upload.
  func openFiles(_ attributes: Attributes) -> Int

  /// Lets go of connections.
  func close() async
}

/// An endpoint that is a part of the program, one type for each kind.
public protocol BuiltInEndpoint: Endpoint {
  static var kind: EndpointKind { get }

  /// Opens nothing and connects to nothing.
  ///
  /// - Throws: `usage` or `config` if the remote can't be one of this kind.
  init(_ remote: Remote, _ context: EndpointContext) throws(Failure)
}

extension BuiltInEndpoint {
  public var kind: EndpointKind { Self.kind }
}

extension Endpoint {
  public var exclusionKey: String? { nil }
  public var adoptsSpools: Bool { false }
  public func identity(of path: String) -> String? { nil }
  public func spoolDirectory(for path: String) throws(Failure) -> SpoolDirectory? { nil }
  public func wantedHashes(for path: String, _ attributes: Attributes) async -> Set<HashAlgorithm> { [] }
  public func directoryPath(_ text: String) throws(Failure) -> String { try objectPath(text) }
  public func checkOptions(_ options: [String: String]) throws(Failure) {}
  public func checkUse(_ use: Use, _ options: [String: String]) throws(Failure) {}
  public func replaces(_ attributes: Attributes) -> Bool { true }
  public func silence(at path: String) async -> Failure? { nil }
  public func abandon(_ upload: Upload) async throws(Failure) {}
  public func openFiles(_ attributes: Attributes) -> Int { 8 }
  public func close() async {}
}

/// What every endpoint of a run is given.
public struct EndpointContext: Sendable {
  public var http: HTTPSettings
  /// Tells the user something that does not stop the run: lower case, no full stop.
  public var warn: @Sendable (String) -> Void
  /// Tells those who want to know it what is being done. No secret is in it.
  public var detail: @Sendable (String) -> Void

  public init(http: HTTPSettings, warn: @escaping @Sendable (String) -> Void, detail: @escaping @Sendable (String) -> Void) {
    self.http = http
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

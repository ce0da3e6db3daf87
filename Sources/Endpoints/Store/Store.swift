public import BytePath

/// What one server, one disk or one plugin can do. A store has no policy: it does each thing once, replaces or refuses as it is told, makes up
/// no names, compares nothing and waits for nothing. What is promised of an upload stands in `Publisher`, once, over any store.
///
/// There is one store for a remote and a run, whatever number of destinations are there, so it may be asked from several tasks at a time. Each
/// method may be called again after it failed. Paths are as the store writes them (`objectPath`).
public protocol Store: Sendable {
  var kind: EndpointKind { get }

  /// Uploads to stores with the same key are made one after the other; nil if they may go side by side.
  var serialKey: String? { get }

  /// The path as this store writes it, of an object to be put. Asks nobody.
  ///
  /// - Throws: `usage` for a path that can't be sent, `rejected` for a name that the server is known to be unable to hold.
  func objectPath(_ text: String) throws(Failure) -> String

  /// The path as this store writes it, of a directory. Asks nobody.
  ///
  /// - Throws: as `objectPath`.
  func directoryPath(_ text: String) throws(Failure) -> String

  /// The path as this store writes it, of an object to be read. What the server would not take today may be there all the same.
  ///
  /// - Throws: `usage` for a path that can't be sent.
  func sourcePath(_ text: String) throws(Failure) -> String

  /// Asks whether the options of `-o` that it knows go with each other. Each has been read by itself (`EndpointKind.check`).
  ///
  /// - Throws: `usage`.
  func checkOptions(_ options: [String: String]) throws(Failure)

  /// Asks whether the options allow what an upload is meant to be.
  ///
  /// - Throws: `usage`.
  func checkUse(_ use: Use, _ options: [String: String]) throws(Failure)

  /// Whether an object takes the place of what has the same path. Otherwise each has one of its own, whatever the path says.
  func replaces(_ attributes: Attributes) -> Bool

  /// What tells the object at `path` from others of the server, whatever way leads to it; nil if the sub-path of the server and the path do.
  /// Asks nobody.
  func identity(of path: String) -> String?

  /// Where an object that is put to `path` really comes to lie, links followed.
  ///
  /// - Throws: `rejected` if nothing may be put there.
  func place(of path: String) throws(Failure) -> String

  /// What may be relied on for an object at `path`. May ask the server, and then remembers what it said.
  func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits

  /// Whether `stat` is better asked when `probe` has ended, because that tells what may be asked.
  var probesFirst: Bool { get }

  /// Asks whether an object may be put to `path`, whatever is there: the server is there, takes the credentials and allows it. Stores nothing.
  func probe(_ path: String, _ attributes: Attributes) async throws(Failure)

  /// Asks, where nothing is at `path`, whether something may come there: whether a new object may have the name, and no file stands where a
  /// directory is needed.
  func probeNew(_ path: String) async throws(Failure)

  /// Asks what is at `path`.
  ///
  /// - Parameter fresh: whether what the server remembers of an earlier question is not good enough.
  /// - Throws: what the question fails with. That nothing is there, or that the server does not tell, is an answer.
  func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding

  /// Makes sure that nothing is at `path`, where `stat` or `read` has said so and it must be certain.
  ///
  /// - Throws: what keeps it from being so.
  func confirmNothing(at path: String) async throws(Failure)

  /// Whether there are lists at all, so that a hint may name `sluice ls`.
  var hasLists: Bool { get }

  /// Why nothing can be asked of what is at `path`; nil if it can. May ask that itself.
  func silence(at path: String) async -> Failure?

  /// Sends all of an object once.
  ///
  /// - Parameters:
  ///   - upload: its bytes and what is to be known of it. Its own path and its checkpoint are the publisher's.
  ///   - path: where to.
  ///   - condition: what must be so for it; a server that can't be told is not asked.
  /// - Throws: any failure; `isOutcomeUnknown` is set if the server may have stored it although it did not say so.
  func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt

  /// Whether what is there is the payload, by what a question has told of it beyond its size; nil if nothing that it told can say so.
  ///
  /// - Throws: what reading the payload fails with.
  func isSame(_ stored: Stored, as payload: Payload) async throws(Failure) -> Bool?

  /// Why the server has something else than what was sent, where this store knows its server for it.
  func explanation(of stored: Stored, insteadOf payload: Payload) -> Failure?

  /// Reads an object, or a part of it.
  ///
  /// - Parameters:
  ///   - range: in bytes, one at least; nil for all.
  ///   - version: the one that is meant; what has been replaced by another is `untold`. Nil for whatever is there.
  ///   - sink: takes the bytes in order.
  /// - Returns: what was read, as far as the answer tells; `nothing` if there is no such object.
  func read(_ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink) async throws(Failure) -> Finding

  /// Whether parts of the object at `path` may be read side by side. Otherwise it is read from its beginning to its end, in one go.
  func readsInParts(_ path: String) -> Bool

  /// What is in a directory, page by page.
  ///
  /// - Parameter page: `Listing.next` of the page before; nil for the first.
  /// - Returns: nil if there is no such directory.
  func list(_ directory: String, page: String?) async throws(Failure) -> Listing?

  /// How many files and connections it may have open at a time for one upload.
  func openFiles(_ attributes: Attributes) -> Int

  /// Lets go of connections.
  func close() async
}

/// A store that is a part of the program, one type for each kind.
public protocol BuiltInStore: Store {
  static var kind: EndpointKind { get }

  /// Opens nothing and connects to nothing.
  ///
  /// - Throws: `usage` or `config` if the remote can't be one of this kind.
  init(_ remote: Remote, _ context: EndpointContext) throws(Failure)
}

extension BuiltInStore {
  public var kind: EndpointKind { Self.kind }
}

/// A store that can remove an object. What is there to be removed has no copy: only what this program made up the name of, or a user named.
public protocol RemovingStore: Store {
  /// Removes the object at `path`. One that is not there is a success.
  func remove(_ path: String) async throws(Failure)

  /// Why nothing can be removed at `path`; nil if that is not known to be so. May ask that itself.
  func permanence(at path: String) async -> Failure?
}

/// A store that can give an object another name, so that it can be put under one that nobody looks at first.
public protocol RenamingStore: RemovingStore {
  /// Gives an object another name, in the same directory.
  ///
  /// - Parameter condition: `absent` if nothing is to be replaced.
  /// - Throws: `exists` if something is in the way; whatever else, with `isOutcomeUnknown` if it may have been done.
  func rename(_ path: String, to target: String, _ condition: Condition) async throws(Failure) -> Renamed
}

public enum Renamed: Sendable {
  case done(Receipt)
  /// The server can't, or not for this user. Nothing has happened, and `Traits.renames` says so from now on.
  case impossible(Failure)
}

/// A store that has directories of its own.
public protocol DirectoryStore: Store {
  /// Makes a directory and its parents. An existing one is a success.
  ///
  /// - Parameter modified: its time in milliseconds since 1970, where it takes one (`EndpointKind.takesDirectoryTime`); nil for now.
  func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt
}

/// A store of this machine, in which a spool can become the object without a copy.
public protocol AdoptingStore: Store {
  /// A folder from which a spool can become the object at `path`; nil if there is none.
  ///
  /// - Throws: `spool` if it can't be made.
  func spoolDirectory(for path: String) throws(Failure) -> SpoolDirectory?

  /// Lets the spool of an upload, whose payload may be moved, become the object at `path`.
  ///
  /// - Returns: false if it can't, and a copy is needed. Then nothing has happened.
  func adopt(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Bool
}

/// What may be relied on for one object.
public struct Traits: Sendable {
  /// Whether an object that is put appears whole or not at all, and until then what was there stays.
  public var publishesAtomically = false
  /// How an object that is whole gets its name from another one.
  public var renames = Renames.never
  /// Whether a put where nothing was is to be told to replace nothing either: where it could do away with what has come there meanwhile.
  public var guardsNewNames = false
  /// Whether a put straight to a name may do harm where nobody has looked, as to a directory that would go.
  public var looksFirst = false
  /// Whether a rename may do away with a directory that has come to the name meanwhile, and knows how to replace nothing where nothing was.
  public var renamesOverDirectories = false
  /// The hashes besides SHA-256 that a put will want, so that they can be computed while the object is made.
  public var wantedHashes: Set<HashAlgorithm> = []
  /// Whether `--verify` is to read the object where the server tells no checksum of it.
  public var readsToVerify = false
  /// Endings of names to which a server may move an older object while it replaces it, and leave it there if it dies.
  public var asideEndings: [String] = []

  public init() {}

  public enum Renames: Sendable {
    /// It can't be relied on.
    case never
    /// An older object must be moved away first.
    case ontoNothing
    /// In one step, whatever is there.
    case ontoAnything
  }
}

/// What must be so for something to be done.
public enum Condition: Sendable {
  case any
  /// Nothing is there.
  case absent
}

/// What a server says of a path.
public enum Finding: Sendable {
  case nothing
  case stored(Stored)
  /// It does not say: it was not asked, does not know the question, or not for this user. Why, is for who must know.
  case untold(Failure)

  public var stored: Stored? {
    if case .stored(let stored) = self { stored } else { nil }
  }

  public var isTold: Bool {
    if case .untold = self { false } else { true }
  }

  public var isNothing: Bool {
    if case .nothing = self { true } else { false }
  }
}

/// Something that a server has, as far as it says.
public struct Stored: Sendable, Equatable {
  /// As the store writes it.
  public var path: String
  /// Nil if the server does not say.
  public var isDirectory: Bool?
  /// In bytes; nil if the server does not say.
  public var size: Int64?
  /// The time of last change in milliseconds since 1970; nil if the server does not say.
  public var modified: Int64?
  /// What it must have.
  public var checksums: [HashAlgorithm: Checksum] = [:]
  /// What proves it where it has it, and says nothing where it has not: entity tags that may be hashes.
  public var hints: [HashAlgorithm: Checksum] = [:]
  /// Differs from that of another object at the same path; nil if the server tells nothing that would.
  public var version: String?
  /// Whether an object that replaces it now might have the same version and size: the version is made of a time in seconds, and that second has
  /// not passed for certain. Such an object is read in one request.
  public var isYoung = false

  public init(_ path: String, isDirectory: Bool? = false, size: Int64? = nil) {
    self.path = path
    self.isDirectory = isDirectory
    self.size = size
  }
}

extension Failure {
  /// - Parameter path: of what was to be read as an object.
  static func directory(_ path: String) -> Failure {
    Failure(.rejected, "\(path) is a directory", hint: "sluice ls shows what is in it")
  }
}

/// One page of what is in a directory.
public struct Listing: Sendable {
  public var entries: [Stored] = []
  /// What to ask for the next page with; nil if this is the last.
  public var next: String?

  public init(_ entries: [Stored] = [], next: String? = nil) {
    self.entries = entries
    self.next = next
  }
}

extension Store {
  public var serialKey: String? { nil }
  public func identity(of path: String) -> String? { nil }
  public func place(of path: String) throws(Failure) -> String { path }
  public func directoryPath(_ text: String) throws(Failure) -> String { try objectPath(text) }
  public func sourcePath(_ text: String) throws(Failure) -> String { try objectPath(text) }
  public func readsInParts(_ path: String) -> Bool { true }
  public func checkOptions(_ options: [String: String]) throws(Failure) {}
  public func checkUse(_ use: Use, _ options: [String: String]) throws(Failure) {}
  public func replaces(_ attributes: Attributes) -> Bool { true }
  public func confirmNothing(at path: String) async throws(Failure) {}
  public func silence(at path: String) async -> Failure? { nil }
  public var hasLists: Bool { true }
  public var probesFirst: Bool { false }
  public func probeNew(_ path: String) async throws(Failure) {}
  public func explanation(of stored: Stored, insteadOf payload: Payload) -> Failure? { nil }
  public func openFiles(_ attributes: Attributes) -> Int { 8 }
  public func close() async {}

  /// By every checksum that was told.
  public func isSame(_ stored: Stored, as payload: Payload) async throws(Failure) -> Bool? {
    for (algorithm, theirs) in stored.checksums {
      guard try await payload.digest(algorithm) == theirs else { return false }
    }
    return stored.checksums.isEmpty ? nil : true
  }
}

extension RemovingStore {
  public func permanence(at path: String) async -> Failure? { nil }
}

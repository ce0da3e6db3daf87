public import BytePath

/// An endpoint made of a store and the promises over it.
public struct Published<S: Store>: Endpoint {
  private let store: S
  private let publisher: Publisher

  public init(_ store: S, _ context: EndpointContext) {
    self.store = store
    publisher = Publisher(store, context)
  }

  public var adoptsSpools: Bool { store is any AdoptingStore }
  public var kind: EndpointKind { store.kind }
  public var exclusionKey: String? { store.serialKey }
  public func objectPath(_ text: String) throws(Failure) -> String { try store.objectPath(text) }
  public func directoryPath(_ text: String) throws(Failure) -> String {
    guard store is any DirectoryStore else { throw Failure(.usage, "\(kind.name) has no directories") }
    return try store.directoryPath(text)
  }
  public func identity(of path: String) -> String? { store.identity(of: path) }
  public func checkOptions(_ options: [String: String]) throws(Failure) { try store.checkOptions(options) }
  public func checkUse(_ use: Use, _ options: [String: String]) throws(Failure) { try store.checkUse(use, options) }
  public func replaces(_ attributes: Attributes) -> Bool { store.replaces(attributes) }
  public func silence(at path: String) async -> Failure? { await store.silence(at: path) }
  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) { try await publisher.check(path, attributes) }
  public func spoolDirectory(for path: String) throws(Failure) -> SpoolDirectory? {
    try (store as? any AdoptingStore)?.spoolDirectory(for: path)
  }
  public func wantedHashes(for path: String, _ attributes: Attributes) async -> Set<HashAlgorithm> {
    await publisher.wantedHashes(for: path, attributes)
  }
  public func put(_ upload: Upload) async throws(Failure) -> Receipt { try await publisher.put(upload) }
  public func abandon(_ upload: Upload) async throws(Failure) { try await publisher.abandon(upload) }
  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    guard let directories = store as? any DirectoryStore else { throw Failure(.usage, "\(kind.name) has no directories") }
    return try await directories.makeDirectory(path, modified: modified)
  }
  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    try await publisher.verify(path, against: payload)
  }
  public func openFiles(_ attributes: Attributes) -> Int { store.openFiles(attributes) }
  public func close() async { await store.close() }
}

extension Published: BuiltInEndpoint where S: BuiltInStore {
  public static var kind: EndpointKind { S.kind }

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    self.init(try S(remote, context), context)
  }
}

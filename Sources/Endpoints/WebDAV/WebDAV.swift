public import BytePath

/// A WebDAV server (RFC 4918). Missing parents are made, and an object gets its name when it is whole; see `WebDAVUpload`.
public struct WebDAV: BuiltInEndpoint {
  public static let kind = EndpointKind(
    name: "dav", schemes: [("dav+http", false), ("dav+https", true), ("dav", false), ("davs", true)], options: ["direct"], takesToken: true)

  private let http: HTTPSession
  private let api: WebDAVAPI
  private let context: EndpointContext
  private let moving = MoveSupport()

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "a dav remote needs a url") }
    self.context = context
    http = try HTTPSession(base, remote, context)
    api = WebDAVAPI(http)
  }

  public func close() async { await http.close() }

  public func objectPath(_ text: String) throws(Failure) -> String { try HTTPSession.objectPath(text) }

  public func identity(of path: String) -> String? { http.identity(of: path) }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    var path = text[...]
    while path.last == "/" { path.removeLast() }
    return path.isEmpty ? "/" : try objectPath(String(path))
  }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    try await api.checkBackslashes(path)
    guard try await api.replaced(at: path, attributes.existing) == nil else { return }
    var folder = WebDAVAPI.parent(of: path)
    while let next = folder {
      if let found = try await api.find(next) {
        return try api.checkFolder(found, next)
      }
      context.detail("\(next) is missing on \(http.base.origin) and will be made")
      folder = WebDAVAPI.parent(of: next)
    }
  }

  public func wantedHashes(for path: String) async -> Set<HashAlgorithm> { api.keepsHashes(path) ? [.sha1] : [] }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let run = WebDAVUpload(upload: upload, api: api, moving: moving, warn: context.warn)
    do throws(Failure) { return try await run.receipt() } catch {
      var failure = error
      // The attempt that ends a run need not be the one that left something.
      failure.left += run.left.filter { !failure.left.contains($0) }
      throw failure
    }
  }

  public func abandon(_ upload: Upload) async throws(Failure) {
    try await WebDAVUpload(upload: upload, api: api, moving: moving, warn: context.warn).discard()
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    try await api.checkBackslashes(path)
    return Receipt(httpStatus: try await api.makeFolder(path))
  }

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    let found = try await api.checkSize(of: path, path, payload)
    guard let sha1 = found.sha1 else { return .size }
    guard try await payload.digest(.sha1) == sha1 else {
      throw .mismatch("\(path) has another SHA-1 on \(http.base.origin)")
    }
    return .sizeAndHash
  }
}

public import BytePath

/// Any server that takes `PUT` (RFC 9110, 9.3.4), as with `curl -T`. Success is a status of 200 to 299. Whether it writes in place nobody knows.
public struct PlainHTTP: BuiltInStore, RemovingStore {
  public static let kind = EndpointKind(
    name: "http", title: "plain HTTP", example: "http://HOST:PORT/PATH", schemes: [("http", false), ("https", true)], takesToken: true,
    ownFiles: { [Netrc.path].compactMap { $0 } })

  private let http: HTTPSession

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "an http remote needs a url") }
    http = try HTTPSession(base, remote, context)
  }

  private var server: String { http.base.origin }

  public func close() async { await http.close() }

  public func objectPath(_ text: String) throws(Failure) -> String { try HTTPSession.objectPath(text) }

  public func directoryPath(_ text: String) throws(Failure) -> String { throw PlainHTTP.noDirectories }

  public func identity(of path: String) -> String? { http.identity(of: path) }

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits { Traits() }

  /// There is no question that a server must know but the one what is there.
  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {}

  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    let answer = try await http.head(path)
    switch answer.status {
    case 200..<300: return .stored(Stored(path, answer))
    case 404, 410: return .nothing
    default:
      guard let failure = answer.statusFailure(server) else { return .untold(http.noAnswer(answer, to: "HEAD", path)) }
      // What a server says to HEAD of an object that is not there yet does not tell what it says to PUT, but for these; 501 is said by one that
      // does not know HEAD.
      if [401, 407, 408, 425, 429, 500].contains(answer.status) || answer.status > 501 { throw failure }
      return .untold(failure)
    }
  }

  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let answer = try await http.send(http.putRequest(upload, at: path, condition))
    switch answer.status {
    case 200..<300: return Receipt(answer)
    case 412 where condition == .absent: throw answer.withEvidence(.alreadyThere(path))
    case 404:
      throw answer.withEvidence(Failure(.rejected, "\(server) has no place for \(path) (HTTP 404)", hint: "is its directory there?"))
    case 409:
      throw answer.withEvidence(
        Failure(
          .rejected, "\(server) cannot put \(path) there (HTTP 409)",
          hint: "is its directory there, and is it no directory itself? dav+http:// makes the missing ones"))
    case 405: throw answer.withEvidence(Failure(.rejected, "\(server) takes no uploads to \(path) (HTTP 405)"))
    default: throw answer.statusFailure(server) ?? http.noAnswer(answer, to: "PUT", path)
    }
  }

  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    let finding = try await http.read(path, range, of: version, into: sink)
    // There is no `sluice ls` of it.
    guard case .untold(var failure) = finding, failure.hint == Failure.directory(path).hint else { return finding }
    failure.hint = nil
    return .untold(failure)
  }

  public var hasLists: Bool { false }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? { throw PlainHTTP.noDirectories }

  /// There is no call for them (RFC 9110).
  private static let noDirectories = Failure(
    .usage, "plain HTTP lists no directories", hint: "dav+http:// does, where the server speaks WebDAV")

  public func remove(_ path: String) async throws(Failure) {
    let answer = try await http.send(HTTPRequest(method: .delete, url: http.url(path)))
    switch answer.status {
    case 404, 410: return
    case 405, 501: throw answer.withEvidence(Failure(.rejected, "\(server) removes no objects (HTTP \(answer.status))"))
    default: if let failure = answer.statusFailure(server) { throw failure }
    }
  }
}

public import BytePath
import Synchronization

/// Directories: what must be there for an object, and is made.
extension WebDAV {
  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    try await checkBackslashes(path)
    return Receipt(httpStatus: try await makeFolder(path, try await stat(path, fresh: true)))
  }

  /// Makes the directory of an object if it is missing.
  ///
  /// - Parameter isOptional: whether to go on where it is not allowed: who may do nothing but put may put all the same.
  func makeParent(of path: String, isOptional: Bool) async throws(Failure) {
    guard let folder = parent(of: path), !seen.has(folder: folder) else { return }
    let found = try await stat(folder, fresh: true)
    if case .untold = found { return }
    do throws(Failure) { _ = try await makeFolder(folder, found) } catch {
      guard isOptional, let status = error.httpStatus, [403, 405, 501].contains(status) else { throw error }
    }
  }

  /// Makes a directory and those above it that are missing. Returns the status of what made it, nil if it was there.
  ///
  /// - Throws: `rejected` if part of the path is a file.
  private func makeFolder(_ path: String, _ found: Finding) async throws(Failure) -> Int? {
    switch found {
    case .stored(let found):
      try checkFolder(found)
      return nil
    case .untold(let failure): throw failure
    case .nothing: break
    }
    if let status = try await makeCollection(path) { return status }
    guard let parent = parent(of: path) else { throw notWebDAV }
    _ = try await makeFolder(parent, try await stat(parent, fresh: true))
    if let status = try await makeCollection(path) { return status }
    if try await stat(path, fresh: true).stored?.isDirectory == true { return nil }
    throw Failure(.rejected, "\(server) cannot make the directory \(path)", hint: "is part of its path a file?")
  }

  /// Makes a directory whose parent is there. Returns the status, or nil if it was not made, most likely because the parent is missing.
  private func makeCollection(_ path: String) async throws(Failure) -> Int? {
    // nginx wants the slash.
    let answer = try await http.send(HTTPRequest(method: .makeCollection, url: http.url(path == "/" ? path : path + "/")))
    switch answer.status {
    case 200..<300: break
    // There is something already; but Go's WebDAV says it of a parent that is a file, too.
    case 405: if seen.knowsPropfind { return nil }
    case 301...302 where leadsToFolder(answer): break
    case 404, 409: return nil
    case 501: throw answer.withEvidence(notWebDAV)
    default: throw answer.statusFailure(server) ?? notWebDAV
    }
    seen.note(folder: path)
    return answer.status
  }

  /// Servers of files send who asks for a folder to its name with a slash.
  func leadsToFolder(_ answer: HTTPAnswer) -> Bool {
    answer.headers["location"].flatMap { RedirectTarget($0, from: answer.url) }?.url.hasSuffix("/") == true
  }

  /// Some servers take a backslash for a slash. Such a one finds a directory again under another path; see `OddServer`.
  ///
  /// - Throws: `rejected` if `path` has a backslash and the server is one of these.
  func checkBackslashes(_ path: String) async throws(Failure) {
    guard let backslash = path.firstIndex(of: "\\") else { return }
    var folder = parent(of: String(path[..<backslash]))
    while let next = folder {
      switch try await stat(next, fresh: true) {
      case .untold: return
      case .nothing: folder = parent(of: next)
      case .stored:
        guard try await stat(OddServer.alias(of: next), fresh: true).stored != nil else { return }
        throw Failure(.rejected, "\(server) takes the backslash in \(path) for a slash", hint: "use another name")
      }
    }
  }

  /// - Throws: `rejected` if what was found is a file.
  func checkFolder(_ found: Stored) throws(Failure) {
    guard found.isDirectory != false else {
      throw Failure(.rejected, "\(found.path) on \(server) is a file, where a directory is needed")
    }
  }

  /// The folder that holds `path`; nil for the root.
  func parent(of path: String) -> String? {
    guard path != "/", let slash = path.lastIndex(of: "/") else { return nil }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

/// What a server has shown of itself in this run.
final class WebDAVFacts: Sendable {
  private struct State {
    var knowsPropfind = true
    var refusesMoves: Set<String> = []
    var folders: [String: ContinuousClock.Instant] = [:]
  }

  private let state = Mutex(State())

  /// False once it has said that it does not.
  var knowsPropfind: Bool { state.withLock { $0.knowsPropfind } }
  func missPropfind() { state.withLock { $0.knowsPropfind = false } }

  /// Whether it refused to rename in a folder: one user may rename here and not there.
  func refusesMoves(in folder: String?) -> Bool { state.withLock { $0.refusesMoves.contains(folder ?? "/") } }
  func noteRefusedMove(in folder: String?) { state.withLock { _ = $0.refusesMoves.insert(folder ?? "/") } }

  /// Whether a folder was there a moment ago, so that a small upload need not ask twice.
  func has(folder: String) -> Bool { state.withLock { $0.folders[folder].map { $0.duration(to: .now) < .seconds(5) } ?? false } }
  func note(folder: String?) { if let folder { state.withLock { $0.folders[folder] = .now } } }
}

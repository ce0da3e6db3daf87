import FoundationEssentials
import NIOCore

/// Plain uploads below `/plain/`: PUT, HEAD and GET as Apache httpd with mod_dav answers them. A body is stored beside its target first, so
/// an object is whole or absent.
struct Plain: Sendable {
  static let prefix = "/plain/"

  private let folder: Folder
  private let incoming: Folder
  private let accounts: AccountOptions
  private let behaviour: BehaviourOptions

  init(options: Loopback, folders: ServedFolders) {
    folder = folders.plain
    incoming = folders.incoming
    accounts = options.accounts
    behaviour = options.behaviour
  }

  func answer(_ exchange: Exchange) async throws -> Answer {
    guard isAuthorized(exchange) else {
      var answer = Answer.html("<h1>401 Unauthorized</h1>", status: 401)
      answer.headers.append(("WWW-Authenticate", "Basic realm=\"plain\""))
      return answer.leaving(.cutOff)
    }
    let entry = try AListPath.fromHeader(String(exchange.path.dropFirst(Plain.prefix.count - 1)), .openlist)
    switch exchange.method {
    case "PUT": return try await put(exchange, entry)
    case "GET", "HEAD":
      guard let facts = folder.facts(entry) else { return .html("<h1>404 Not Found</h1>", status: 404) }
      if facts.isDirectory { return directory(exchange) }
      return exchange.file(folder.real(entry), size: facts.size)
    default: return .html("<h1>405 Method Not Allowed</h1>", status: 405)
    }
  }

  /// A directory is at its name with a slash, and there is a page of what is in it (mod_dir, mod_autoindex).
  private func directory(_ exchange: Exchange) -> Answer {
    guard !exchange.path.hasSuffix("/") else { return .html("<h1>Index of \(exchange.path)</h1>", status: 200) }
    var answer = Answer.html("<h1>301 Moved Permanently</h1>", status: 301)
    answer.headers.append(("Location", "\(exchange.path)/"))
    return answer
  }

  private func put(_ exchange: Exchange, _ entry: String) async throws -> Answer {
    let existing = folder.facts(entry)
    if existing?.isDirectory ?? false { return .html("<h1>409 Conflict</h1>", status: 409) }
    guard folder.facts(AListPath.parent(entry))?.isDirectory ?? false else { return .html("<h1>409 Conflict</h1>", status: 409) }
    if existing != nil, exchange.header("If-None-Match") == "*", !behaviour.plainIgnoresConditions {
      return .html("<h1>412 Precondition Failed</h1>", status: 412)
    }
    let body = incoming.real("/" + RandomText.make(16))
    defer { try? incoming.remove("/" + AListPath.name(body)) }
    do {
      var sink = try FileSink(body, limit: exchange.storeLimit)
      while let piece = try await exchange.nextPiece() { try sink.append(piece) }
    } catch is FileError {
      return .html("<h1>507 Insufficient Storage</h1>", status: 507)
    }
    try Folder.move(body, folder.real(entry))
    return existing == nil ? .html("<h1>201 Created</h1>", status: 201) : Answer(status: 204)
  }

  private func isAuthorized(_ exchange: Exchange) -> Bool {
    guard behaviour.plainLogin else { return true }
    let basic = Data("\(accounts.username):\(accounts.password)".utf8).base64EncodedString()
    return ["Basic \(basic)", "Bearer \(accounts.token)"].contains(exchange.header("Authorization"))
  }
}

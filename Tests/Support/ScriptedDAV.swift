import Synchronization

/// A WebDAV server in memory, whose answers a test can replace.
public final class ScriptedDAV: Sendable {
  private let stored = Mutex<[String: [UInt8]]>([:])
  private let server = Mutex<ScriptedServer?>(nil)

  /// What is stored, by its path as it was sent; a folder has a slash at its end.
  public var objects: [String: [UInt8]] {
    get { stored.withLock { $0 } }
    set { stored.withLock { $0 = newValue } }
  }

  public var authority: String { server.withLock { $0?.authority ?? "" } }
  public var requests: [ScriptedServer.Request] { server.withLock { $0?.requests ?? [] } }
  /// The methods that were asked for, in their order.
  public var methods: [String] { requests.map(\.method) }

  /// - Parameter answer: answers an exchange and returns true, or leaves it to the server.
  public init(in sandbox: Sandbox, answer: @escaping @Sendable (Exchange, ScriptedDAV) -> Bool = { _, _ in false }) throws {
    let started = try sandbox.scripted { [self] exchange in
      if !answer(exchange, self) { serve(exchange) }
    }
    server.withLock { $0 = started }
  }

  private func serve(_ exchange: Exchange) {
    let path = exchange.request.target
    let body = exchange.readBody()
    if exchange.request.method == "HEAD" {
      exchange.send(head(path))
      return
    }
    let status: String = stored.withLock { stored in
      switch exchange.request.method {
      case "PUT":
        stored[path] = body
        return "201 Created"
      case "MKCOL":
        stored[path] = []
        return "201 Created"
      case "DELETE": return stored.removeValue(forKey: path) == nil ? "404 Not Found" : "204 No Content"
      case "MOVE":
        let target = exchange.request.header("Destination")?.replacing("http://\(exchange.request.header("Host") ?? "")", with: "") ?? ""
        guard let object = stored[path] else { return "404 Not Found" }
        guard exchange.request.header("Overwrite") != "F" || stored[target] == nil else { return "412 Precondition Failed" }
        stored[path] = nil
        stored[target] = object
        return "201 Created"
      case "PROPFIND": return path == "/" || stored[path] != nil || stored[path + "/"] != nil ? "207 Multi-Status" : "404 Not Found"
      default: return "405 Method Not Allowed"
      }
    }
    exchange.answer(status.hasPrefix("207") ? properties(of: path) : "", status: status, type: "application/xml")
  }

  /// As servers of files do, which send who asks for a folder to its name with a slash.
  private func head(_ path: String) -> String {
    if let object = objects[path] { return "HTTP/1.1 200 OK\r\nContent-Length: \(object.count)\r\nETag: \(tag(object))\r\n\r\n" }
    if path == "/" { return "HTTP/1.1 200 OK\r\n\r\n" }
    guard objects[path + "/"] != nil else { return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" }
    return "HTTP/1.1 301 Moved Permanently\r\nLocation: \(path)/\r\nContent-Length: 0\r\n\r\n"
  }

  private func tag(_ object: [UInt8]) -> String { "\"\(object.hashValue)\"" }

  private func properties(of path: String) -> String {
    let object = objects[path]
    let kind =
      object.map { "<D:resourcetype/><D:getcontentlength>\($0.count)</D:getcontentlength><D:getetag>\(tag($0))</D:getetag>" }
      ?? "<D:resourcetype><D:collection/></D:resourcetype>"
    return """
      <?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>\(path)</D:href><D:propstat><D:prop>\(kind)</D:prop>\
      <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>
      """
  }
}

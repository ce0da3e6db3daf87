import Foundation
import Synchronization

/// A server on loopback that says exactly what a test tells it to, byte by byte, for answers that no decent server gives.
public final class ScriptedServer: Sendable {
  public struct Request: Sendable {
    public var method: String
    public var target: String
    public var headers: [(name: String, value: String)]

    /// The value of a header whose name is compared without case.
    public func header(_ name: String) -> String? {
      headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
  }

  public let port: Int
  private let listener: Int32
  private let state = Mutex((requests: [Request](), connections: Set<Int32>(), isStopped: false))

  /// - Parameters:
  ///   - greeting: sent to each connection before anything is read of it.
  ///   - answer: called for each request on a thread of its connection, when the head has been read.
  public init(greeting: String = "", _ answer: @escaping @Sendable (Exchange) -> Void) throws {
    #if os(Linux)
      let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    #else
      let listener = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    self.listener = listener
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listener, address, length) == 0 && listen(listener, 64) == 0 && getsockname(listener, address, &length) == 0
      }
    }
    port = Int(UInt16(bigEndian: address.sin_port))
    guard isListening else { throw ProgramError(description: "cannot listen: \(String(cString: strerror(errno)))") }
    thread { self.acceptAll(greeting, answer) }
  }

  /// What was asked so far.
  public var requests: [Request] { state.withLock { $0.requests } }

  /// `HOST:PORT`.
  public var authority: String { "127.0.0.1:\(port)" }

  /// Ends it and all its connections. To be called, as its thread holds it; a second time does nothing.
  public func stop() {
    // Within the lock, as a descriptor that is closed may be somebody else's a moment later.
    state.withLock { state in
      guard !state.isStopped else { return }
      state.isStopped = true
      for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
      shutdown(listener, Int32(SHUT_RDWR))
    }
  }

  private func acceptAll(_ greeting: String, _ answer: @escaping @Sendable (Exchange) -> Void) {
    while true {
      let connection = accept(listener, nil, nil)
      if connection < 0, errno == EINTR { continue }
      guard connection >= 0, !state.withLock({ $0.isStopped }) else { break }
      _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
      var patience = timeval(tv_sec: 60, tv_usec: 0)
      setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      state.withLock { _ = $0.connections.insert(connection) }
      writeAll(Array(greeting.utf8), to: connection)
      thread { self.serve(connection, answer) }
    }
    state.withLock { state in
      state.isStopped = true
      close(listener)
    }
  }

  private func serve(_ connection: Int32, _ answer: (Exchange) -> Void) {
    while let request = readHead(connection) {
      state.withLock { $0.requests.append(request) }
      let exchange = Exchange(request, connection)
      answer(exchange)
      guard exchange.mayGoOn, request.header("Connection")?.lowercased() != "close" else { break }
    }
    state.withLock { _ = $0.connections.remove(connection) }
    close(connection)
  }

  /// Reads byte by byte, so that not a byte of the body is taken.
  private func readHead(_ connection: Int32) -> Request? {
    var head: [UInt8] = []
    var byte: UInt8 = 0
    while !head.suffix(4).elementsEqual([13, 10, 13, 10]) {
      guard read(connection, &byte, 1) == 1, head.count < 1 << 16 else { return nil }
      head.append(byte)
    }
    let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n").map(String.init)
    let words = lines.first?.split(separator: " ").map(String.init) ?? []
    guard words.count == 3 else { return nil }
    let headers = lines.dropFirst().map { line in
      let colon = line.firstIndex(of: ":") ?? line.endIndex
      return (name: String(line[..<colon]), value: line[colon...].dropFirst().trimmingCharacters(in: .whitespaces))
    }
    return Request(method: words[0], target: words[1], headers: headers)
  }
}

/// One request to a scripted server, and what may be done with it. Used on one thread.
public final class Exchange {
  public let request: ScriptedServer.Request
  /// How long the body is, as the head says.
  public let length: Int
  private let connection: Int32
  private var unread: Int
  fileprivate private(set) var mayGoOn = true

  fileprivate init(_ request: ScriptedServer.Request, _ connection: Int32) {
    self.request = request
    self.connection = connection
    length = Int(request.header("Content-Length") ?? "0") ?? 0
    unread = length
  }

  /// Reads up to `count` bytes of the body, all by default.
  @discardableResult
  public func readBody(_ count: Int = .max) -> [UInt8] {
    var body: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while unread > 0, body.count < count {
      let more = read(connection, &buffer, min(buffer.count, unread, count - body.count))
      guard more > 0 else {
        mayGoOn = false
        break
      }
      unread -= more
      body += buffer[..<more]
    }
    return body
  }

  /// Returns false if the client has gone.
  @discardableResult
  public func send(_ text: String) -> Bool { writeAll(Array(text.utf8), to: connection) }

  /// As above, for what is no text.
  @discardableResult
  public func send(bytes: [UInt8]) -> Bool { writeAll(bytes, to: connection) }

  /// A whole answer, after the body was read.
  public func answer(_ body: String, status: String = "200 OK", type: String = "application/json", headers: [String] = []) {
    readBody()
    let head = ["HTTP/1.1 \(status)", "Content-Type: \(type)", "Content-Length: \(body.utf8.count)"] + headers
    send(head.joined(separator: "\r\n") + "\r\n\r\n" + body)
  }

  /// Ends the connection as a server that goes away does.
  public func close() {
    mayGoOn = false
  }

  /// Ends the connection with a reset.
  public func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    mayGoOn = false
  }

  /// Reads no more, and waits until the connection ends at either side. A client that has gone is noticed when all that it sent was read.
  public func awaitEnd() {
    #if os(Linux)
      let gone: Int16 = 0x2000  // POLLRDHUP of <poll.h>, which Glibc shows under _GNU_SOURCE alone
    #else
      let gone = Int16(POLLHUP)
    #endif
    var event = pollfd(fd: connection, events: gone, revents: 0)
    while poll(&event, 1, -1) < 0, errno == EINTR {}
    mayGoOn = false
  }

  /// Waits until the client closes the connection.
  public func awaitClose() {
    var byte: UInt8 = 0
    while read(connection, &byte, 1) == 1 {}
    mayGoOn = false
  }
}

extension ScriptedServer {
  /// An OpenList that is empty, with all rights for everybody, whose `put` is up to the test.
  public static func alist(put: @escaping @Sendable (Exchange) -> Void) throws -> ScriptedServer {
    try ScriptedServer { exchange in
      switch exchange.request.target {
      case "/api/me":
        exchange.answer(
          #"{"code":200,"message":"success","data":{"id":1,"username":"admin","role":2,"permission":65535,"base_path":"/","disabled":false}}"#
        )
      case "/api/fs/list":
        exchange.answer(#"{"code":200,"message":"success","data":{"content":null,"total":0,"write":true,"provider":"Local"}}"#)
      case "/api/fs/form":
        exchange.answer(#"{"code":500,"message":"request Content-Type isn't multipart/form-data","data":null}"#)
      case "/api/fs/get":
        exchange.answer(#"{"code":500,"message":"failed to get obj: object not found","data":null}"#)
      case "/api/fs/put":
        put(exchange)
      default:
        exchange.answer("<html>start page</html>", type: "text/html")
      }
    }
  }
}

import Foundation
import Synchronization

extension Sandbox {
  /// A server that hands each request on to another one on loopback, and its answer back as a test changes it.
  ///
  /// - Parameter change: is given what was asked and the whole answer, head and body; the answer that it returns ends the connection, and an
  ///   empty one resets it. Its first argument counts the requests of the same method, from 1 on.
  public func relay(
    to port: Int, change: @escaping @Sendable (_ number: Int, ScriptedServer.Request, [UInt8]) -> [UInt8]
  ) throws -> ScriptedServer {
    let counts = Counts()
    return try scripted { exchange in
      let changed = change(counts.next(exchange.request.method), exchange.request, exchange.handOn(to: port, exchange.readBody()))
      if changed.isEmpty { return exchange.reset() }
      exchange.send(bytes: changed)
      exchange.close()
    }
  }

  /// A server that hands each request on to another one on loopback and counts them; see `RoundTrips`.
  public func roundTrips(to port: Int) throws -> RoundTrips {
    let tally = RoundTrips.Tally()
    return RoundTrips(
      server: try scripted { exchange in
        let round = tally.begin()
        let answer = exchange.handOn(to: port, exchange.readBody())
        Thread.sleep(forTimeInterval: 0.05)
        tally.end(round)
        exchange.send(bytes: answer)
        exchange.close()
      }, tally: tally)
  }
}

/// What a client asked a server, and how often it waited for an answer before it asked again. Each answer comes 50 ms late, so that what is asked
/// side by side is seen to be: a request that comes before the answer to another one does not wait for that.
public struct RoundTrips: Sendable {
  fileprivate final class Tally: Sendable {
    /// The highest number of a round that has had an answer.
    private let answered = Mutex(0)

    var rounds: Int { answered.withLock { $0 } }

    /// - Returns: the number of the round that a request belongs to that comes now.
    func begin() -> Int { answered.withLock { $0 + 1 } }

    func end(_ round: Int) { answered.withLock { $0 = max($0, round) } }
  }

  fileprivate let server: ScriptedServer
  fileprivate let tally: Tally

  public var authority: String { server.authority }
  /// Method and target of each request, in their order.
  public var requests: [String] { server.requests.map { "\($0.method) \($0.target)" } }
  /// How many times in a row an answer was waited for.
  public var rounds: Int { tally.rounds }
}

/// An answer with another head and no body.
public func answer(_ status: String, _ headers: [String] = ["Content-Length: 0"]) -> [UInt8] {
  Array("HTTP/1.1 \(([status, "Connection: close"] + headers).joined(separator: "\r\n"))\r\n\r\n".utf8)
}

extension Exchange {
  /// Sends the request on to a server on loopback. Blocks.
  ///
  /// - Parameters:
  ///   - body: what it gets of it.
  ///   - count: what the head says; if that is more, the connection ends behind the body. Nil for what the client's says.
  /// - Returns: the whole answer, which ends the connection to the client too; empty if there was none.
  public func handOn(to port: Int, _ body: [UInt8], saying count: Int? = nil) -> [UInt8] {
    let count = count ?? length
    var head = "\(request.method) \(request.target) HTTP/1.1\r\nConnection: close\r\n"
    for (name, value) in request.headers where name.lowercased() != "connection" {
      head += "\(name): \(name.lowercased() == "content-length" ? "\(count)" : value)\r\n"
    }
    var answer = connection(to: port, sending: Array("\(head)\r\n".utf8) + body, andEnding: count > body.count)
    if let line = answer.firstIndex(of: 0x0a) { answer.insert(contentsOf: Array("Connection: close\r\n".utf8), at: line + 1) }
    return answer
  }
}

private final class Counts: Sendable {
  private let counts = Mutex<[String: Int]>([:])

  func next(_ what: String) -> Int {
    counts.withLock { counts in
      counts[what, default: 0] += 1
      return counts[what] ?? 0
    }
  }
}

/// Sends bytes to a port on loopback and returns all that comes back. Blocks.
///
/// - Parameter isEnding: whether the server is told that nothing follows, as it is by a client that goes away.
private func connection(to port: Int, sending bytes: [UInt8], andEnding isEnding: Bool) -> [UInt8] {
  #if os(Linux)
    let peer = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  #else
    let peer = socket(AF_INET, SOCK_STREAM, 0)
  #endif
  defer { close(peer) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  let isConnected = withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(peer, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
  }
  guard isConnected else { return [] }
  // What is not read to its end may have been answered all the same.
  writeAll(bytes, to: peer)
  if isEnding { shutdown(peer, Int32(SHUT_WR)) }
  var patience = timeval(tv_sec: 60, tv_usec: 0)
  setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  var answer: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(peer, &buffer, buffer.count)
    guard count > 0 else { return answer }
    answer += buffer[..<count]
  }
}

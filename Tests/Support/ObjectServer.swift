import Foundation
import Synchronization

/// A server that has one object, or several, tells them by `HEAD` and gives them by `GET`, whole or in parts, with the faults that a test wants.
public final class ObjectServer: Sendable {
  public struct Object: Sendable {
    public var bytes: [UInt8]
    /// Nil for none.
    public var tag: String?
    public var modified = "Tue, 03 Mar 2026 10:00:00 GMT"

    public init(_ bytes: [UInt8], tag: String? = "\"1\"") {
      self.bytes = bytes
      self.tag = tag
    }
  }

  /// What is done with a `GET`.
  public enum Action: Sendable {
    case serve
    /// The connection is reset after this many bytes of the body.
    case cut(after: Int)
    /// Nothing more comes after this many bytes of the body, as long as the client waits.
    case hang(after: Int)
    /// It comes in pieces of 64 KiB, with this pause before each.
    case pace(microseconds: UInt32)
    /// One byte of the body is another, counted from its beginning.
    case flip(at: Int)
    /// Something else is said.
    case say(status: String, type: String, body: String)
    /// The whole object comes with status 200, though a part was asked for.
    case ignoreRange
    /// The body has no length and ends with the connection.
    case untilClose
    /// The body comes in chunks, and this many bytes of it if that is not all.
    case chunked(Int? = nil)
    case reset
  }

  private struct State {
    var objects: [String: Object]
    var gets = 0
    var sent = 0
    var ranges: [String] = []
  }

  public let server: ScriptedServer
  private let state: Shared

  private final class Shared: Sendable {
    let value: Mutex<State>
    init(_ state: State) { value = Mutex(state) }
  }

  /// - Parameters:
  ///   - objects: by their paths.
  ///   - fault: what to do with each `GET` of an object that is there, which are counted from 1 on.
  public init(_ objects: [String: Object], fault: @escaping @Sendable (Int, ScriptedServer.Request) -> Action = { _, _ in .serve }) throws {
    let state = Shared(State(objects: objects))
    self.state = state
    server = try ScriptedServer { exchange in
      exchange.readBody()
      let request = exchange.request
      let path = String(request.target.removingPercentEncoding ?? request.target)
      guard let object = state.value.withLock({ $0.objects[path] }) else {
        return exchange.answer("", status: "404 Not Found", type: "text/plain")
      }
      guard request.method == "GET" else { return ObjectServer.answer(exchange, object, [], whole: object.bytes.count, status: "200 OK") }
      let number = state.value.withLock { state in
        state.gets += 1
        state.ranges.append(request.header("Range") ?? "")
        return state.gets
      }
      ObjectServer.serve(exchange, object, fault(number, request)) { count in state.value.withLock { $0.sent += count } }
    }
  }

  public func url(_ path: String = "/x") -> String { "http://\(server.authority)\(path)" }

  /// Gives a path another object, or none.
  public func set(_ object: Object?, at path: String = "/x") { state.value.withLock { $0.objects[path] = object } }

  /// Bytes of bodies that were sent.
  public var sent: Int { state.value.withLock { $0.sent } }
  /// The header `Range` of each `GET`, empty for none.
  public var ranges: [String] { state.value.withLock { $0.ranges } }

  /// Bytes that the requests for parts asked for, but for the first `count` ones.
  public func asked(from count: Int) -> Int {
    ranges.dropFirst(count).reduce(0) { sum, range in
      let ends = range.dropFirst(6).split(separator: "-").compactMap { Int($0) }
      return ends.count == 2 ? sum + ends[1] - ends[0] + 1 : sum
    }
  }

  public func stop() { server.stop() }

  private static func range(_ request: ScriptedServer.Request, _ count: Int) -> Range<Int>? {
    guard let text = request.header("Range"), text.hasPrefix("bytes=") else { return nil }
    let ends = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let start = Int(ends[0]), start < count else { return nil }
    return start..<min(count, (Int(ends[1]) ?? count - 1) + 1)
  }

  /// - Parameter sent: told of bytes of the body that were sent.
  private static func serve(_ exchange: Exchange, _ object: Object, _ action: Action, _ sent: (Int) -> Void) {
    var part = range(exchange.request, object.bytes.count)
    if case .ignoreRange = action { part = nil }
    var body = part.map { Array(object.bytes[$0]) } ?? object.bytes
    var end = body.count
    switch action {
    case .say(let status, let type, let body):
      return exchange.answer(body, status: status, type: type)
    case .reset:
      return exchange.reset()
    case .untilClose:
      exchange.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
      exchange.send(bytes: object.bytes)
      sent(object.bytes.count)
      return exchange.close()
    case .chunked(let count):
      exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      let bytes = object.bytes.prefix(count ?? .max)
      if !bytes.isEmpty { exchange.send(bytes: Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10]) }
      sent(bytes.count)
      if count == nil { exchange.send("0\r\n\r\n") } else { exchange.close() }
      return
    case .flip(let place): if !body.isEmpty { body[place % body.count] ^= 1 }
    case .cut(let count), .hang(let count): end = min(count, body.count)
    case .serve, .ignoreRange, .pace: break
    }
    let status = part == nil ? "200 OK" : "206 Partial Content"
    let range = part.map { ["Content-Range: bytes \($0.lowerBound)-\($0.upperBound - 1)/\(object.bytes.count)"] } ?? []
    if case .pace(let pause) = action {
      answer(exchange, object, [], whole: body.count, status: status, range)
      for start in stride(from: 0, to: body.count, by: 1 << 16) {
        usleep(pause)
        let piece = Array(body[start..<min(start + 1 << 16, body.count)])
        guard exchange.send(bytes: piece) else { return exchange.close() }
        sent(piece.count)
      }
      return
    }
    answer(exchange, object, Array(body.prefix(end)), whole: body.count, status: status, range)
    sent(end)
    guard end < body.count else { return }
    if case .hang = action { exchange.awaitClose() } else { exchange.reset() }
  }

  private static func answer(
    _ exchange: Exchange, _ object: Object, _ body: [UInt8], whole: Int, status: String, _ headers: [String] = []
  ) {
    let head =
      ["HTTP/1.1 \(status)", "Content-Length: \(whole)", "Last-Modified: \(object.modified)", "Accept-Ranges: bytes"]
      + (object.tag.map { ["ETag: \($0)"] } ?? []) + headers
    exchange.send(head.joined(separator: "\r\n") + "\r\n\r\n")
    exchange.send(bytes: body)
  }
}

extension Sandbox {
  /// An object server that is stopped with the test.
  public func objects(
    _ objects: [String: ObjectServer.Object],
    fault: @escaping @Sendable (Int, ScriptedServer.Request) -> ObjectServer.Action = { _, _ in .serve }
  ) throws -> ObjectServer {
    let server = try ObjectServer(objects, fault: fault)
    _ = keep(server.server)
    return server
  }
}

import Foundation
import Support
import Synchronization

/// What goes wrong with the bytes of an object on their way from a server.
enum GetFault: Sendable, CustomStringConvertible {
  /// The connection ends at this part of the answer, counted from 0 to 1: with a reset, or as if all had been said.
  case cut(at: Double, isReset: Bool)
  /// The connection is reset there, and nobody answers from then on.
  case gone(at: Double)
  /// A bit of the body is another one.
  case flipped(at: Double)
  /// The bytes of another object of the same length come.
  case swapped
  /// The connection is reset there, and then there is another object of this many bytes under the name.
  case replaced(at: Double, count: Int)
  /// All of the object comes, cut there, though a part was asked for.
  case whole(at: Double)
  /// Another part of the object comes than was asked for.
  case elsewhere(at: Double)
  /// Something else is said instead.
  case said(status: String, type: String, body: String)

  static let page = GetFault.said(
    status: "200 OK", type: "text/html; charset=utf-8",
    body: "<!doctype html><title>Sign in</title><form method=post><input name=user><input name=password></form>\n")

  /// What AList and SiYuan say of a fault of their own.
  static func words(status: String) -> GetFault {
    .said(
      status: status, type: "application/json; charset=utf-8",
      body: #"{"code":500,"message":"failed to link: the drive is busy","msg":"cannot read","data":null}"#)
  }

  var description: String {
    switch self {
    case .cut(let place, let isReset): "\(isReset ? "reset" : "closed") at \(place)"
    case .gone(let place): "gone at \(place)"
    case .flipped(let place): "flipped at \(place)"
    case .swapped: "swapped"
    case .replaced(let place, let count): "replaced by \(count) bytes at \(place)"
    case .whole(let place): "all instead of a part, cut at \(place)"
    case .elsewhere(let place): "another part, at \(place)"
    case .said(let status, _, let body): "\(status) \(body.prefix(40))"
    }
  }

  /// Whether it can be done to an answer alone of which a part was asked for.
  fileprivate var isOfParts: Bool {
    switch self {
    case .whole, .elsewhere: true
    case .cut, .gone, .flipped, .swapped, .replaced, .said: false
    }
  }

  /// Does it to one request.
  ///
  /// - Parameters:
  ///   - answer: that of the server, from its head on.
  ///   - object: all of it.
  ///   - replace: puts an object of so many bytes into the place of the one that is asked for.
  func act(on exchange: Exchange, _ answer: [UInt8], of object: [UInt8], replace: (Int) -> Void) {
    guard let start = answer.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return exchange.reset() }
    let body = start..<answer.count
    switch self {
    case .cut(let place, let isReset):
      exchange.send(bytes: Array(answer.prefix(Int(place * Double(answer.count - 1)))))
      if isReset { exchange.reset() } else { exchange.close() }
    case .gone(let place), .replaced(let place, _):
      if case .replaced(_, let count) = self { replace(count) }
      exchange.send(bytes: Array(answer[..<(body.lowerBound + Int(place * Double(max(0, body.count - 1))))]))
      exchange.reset()
    case .flipped(let place):
      var changed = answer
      changed[body.lowerBound + Int(place * Double(body.count - 1))] ^= 1
      exchange.send(bytes: changed)
      exchange.close()
    case .swapped:
      exchange.send(bytes: answer[..<body.lowerBound] + answer[body].map { ~$0 })
      exchange.close()
    case .whole(let place):
      let head = GetFault.head(of: answer[..<start], status: "200 OK", length: object.count)
      exchange.send(bytes: head + object.prefix(Int(place * Double(object.count - 1))))
      exchange.reset()
    case .elsewhere(let place):
      let from = Int(place * Double(object.count - 1))
      let part = object[from..<min(object.count, from + body.count)]
      let range = "Content-Range: bytes \(part.startIndex)-\(part.endIndex - 1)/\(object.count)"
      exchange.send(bytes: GetFault.head(of: answer[..<start], status: "206 Partial Content", length: part.count, range) + part)
      exchange.close()
    case .said(let status, let type, let text):
      exchange.answer(text, status: status, type: type, headers: ["Connection: close"])
      exchange.close()
    }
  }

  /// The head of an answer, of other bytes.
  private static func head(of answer: ArraySlice<UInt8>, status: String, length: Int, _ more: String...) -> [UInt8] {
    let lines = String(decoding: answer, as: UTF8.self).split(separator: "\r\n").dropFirst().filter { line in
      let name = line.prefix { $0 != ":" }.lowercased()
      return name != "content-length" && name != "content-range"
    }
    let head = ["HTTP/1.1 \(status)", "Content-Length: \(length)"] + lines.map(String.init) + more
    return Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }
}

/// What stands between the client and a server, and does harm to what is read.
final class GetHarm: Sendable {
  private struct State {
    var fault: GetFault?
    var times = 0
    var isGone = false
    var place = ""
  }

  private let name: String
  private let object: [UInt8]
  private let state = Mutex(State())

  /// - Parameter name: of the object; what else is asked for comes as it is.
  init(_ name: String, _ object: [UInt8]) { (self.name, self.object) = (name, object) }

  /// Begins to harm so many answers that have bytes of the object.
  func begin(_ fault: GetFault, times: Int) {
    state.withLock { ($0.fault, $0.times) = (fault, times) }
  }

  func end() {
    state.withLock { ($0.fault, $0.isGone) = (nil, false) }
  }

  /// - Returns: the store as it is seen through this.
  func harming(_ bench: StoreBench) throws -> StoreBench {
    let port = bench.port
    let relay = try bench.box.scripted { [self] exchange in
      let body = exchange.readBody()
      guard !state.withLock({ $0.isGone }) else { return exchange.reset() }
      var answer = exchange.handOn(to: port, body)
      // AList tells where the bytes are: they, too, come through here.
      if exchange.request.target == "/api/fs/get" { answer.replace(Array("127.0.0.1:\(port)".utf8), with: Array(place.utf8)) }
      guard hasObject(exchange.request, body), let fault = next(exchange.request) else {
        exchange.send(bytes: answer)
        return exchange.close()
      }
      if case .gone = fault { state.withLock { $0.isGone = true } }
      fault.act(on: exchange, answer, of: object) { count in
        var generator = SeededGenerator(UInt64(count))
        try? bench.replace(generator.bytes(count), name)
      }
    }
    state.withLock { $0.place = relay.authority }
    var bench = bench
    bench.authority = relay.authority
    return bench
  }

  private var place: String { state.withLock { $0.place } }

  private func next(_ request: ScriptedServer.Request) -> GetFault? {
    state.withLock { state in
      guard let fault = state.fault, state.times > 0, !fault.isOfParts || request.header("Range") != nil else { return nil }
      state.times -= 1
      return state.fault
    }
  }

  /// Whether the bytes of the object itself are asked for.
  private func hasObject(_ request: ScriptedServer.Request, _ body: [UInt8]) -> Bool {
    if request.target == "/api/file/getFile" { return String(decoding: body, as: UTF8.self).contains("\(name)\"") }
    guard request.method == "GET", !request.target.contains("list-type") else { return false }
    // For AList it is encoded twice.
    let path = request.target.prefix { $0 != "?" }.removingPercentEncoding ?? ""
    return path.hasSuffix(name) || path.removingPercentEncoding?.hasSuffix(name) == true
  }
}

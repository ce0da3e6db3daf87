import Foundation
import Support

/// What goes wrong with an upload on its way to a server, or at the server.
enum StoreFault: Sendable, CustomStringConvertible {
  /// The connection is reset when the server has so much of the body.
  case cut(Cut)
  /// The server answers with this status before it reads the body, which it then throws away.
  case refusedEarly(Int)
  /// The server stores the object, and the answer never comes.
  case lostAnswer
  /// The server stores the object, and half of what the answer says is missing.
  case cutAnswer
  /// The server takes all, stores nothing and never answers.
  case silent
  /// The server reads no more after so many bytes.
  case stalled(after: Int)
  /// The server takes all, stores nothing and answers with this status.
  case failed(Int)
  /// The server takes all, stores nothing and answers 200 with a page for people.
  case page
  /// The server keeps only so many bytes, and says that all is well.
  case kept(Int)

  var description: String {
    switch self {
    case .cut(let cut): "cut \(cut)"
    case .refusedEarly(let status): "\(status) before the body"
    case .lostAnswer: "answer lost"
    case .cutAnswer: "answer cut"
    case .silent: "no answer"
    case .stalled(let bytes): "stalled after \(bytes)"
    case .failed(let status): "\(status) after the body"
    case .page: "a page"
    case .kept(let bytes): "\(bytes) bytes kept"
    }
  }

  /// Whether it can happen there. A plugin is no server: it reads its standard input, and its word is all that is known of an object.
  func isPossible(at server: StoreServer) -> Bool {
    switch self {
    case .silent, .page, .kept, .cut(.fromObject), .cut(.fromEnd): server.isRemote
    case .cut, .refusedEarly, .lostAnswer, .cutAnswer, .stalled, .failed: server != .file
    }
  }

  /// Where in the body of a request the server cuts.
  enum Cut: Sendable, CustomStringConvertible {
    /// After so many bytes of the body.
    case after(Int)
    /// So many bytes from the first of the object: before it in a form.
    case fromObject(Int)
    /// So many bytes from the end of the body.
    case fromEnd(Int)

    var description: String {
      switch self {
      case .after(let bytes): "after \(bytes)"
      case .fromObject(let bytes): "at the object \(bytes >= 0 ? "+" : "")\(bytes)"
      case .fromEnd(let bytes): "at the end -\(bytes)"
      }
    }

    fileprivate func bytes(in body: Body) -> Int {
      switch self {
      case .after(let bytes): bytes
      case .fromObject(let bytes): max(0, body.prefix + bytes)
      case .fromEnd(let bytes): body.length - bytes
      }
    }
  }

  /// The body of an upload: the object, perhaps in a form.
  struct Body: Sendable {
    /// What stands behind the object in a form: a line break, the boundary of 39 characters with two dashes at both ends, a line break.
    static let formEnd = 47

    let length: Int
    /// What stands before the object.
    let prefix: Int

    init(of exchange: Exchange, object: Int) {
      length = exchange.length
      let isForm = exchange.request.header("Content-Type")?.hasPrefix("multipart/form-data") == true
      prefix = isForm ? length - object - Body.formEnd : 0
    }

    func keeping(_ count: Int, of body: [UInt8]) -> [UInt8] {
      let end = prefix == 0 ? length : length - Body.formEnd
      return Array(body[..<min(prefix + count, end)] + body[end...])
    }
  }

  /// Does it to one request.
  ///
  /// - Parameters:
  ///   - port: of the server that stands behind.
  ///   - object: how many bytes are uploaded.
  ///   - refusal: the answer of that server that refuses with a status.
  func act(on exchange: Exchange, before port: Int, object: Int, refusal: (Int) -> String) {
    let body = Body(of: exchange, object: object)
    switch self {
    case .cut(let cut):
      // The server has noticed when this returns.
      _ = exchange.handOn(to: port, exchange.readBody(cut.bytes(in: body)))
      exchange.reset()
    case .refusedEarly(let status):
      exchange.send(refusal(status))
      exchange.readBody()
      exchange.close()
    case .lostAnswer:
      _ = exchange.handOn(to: port, exchange.readBody())
      exchange.reset()
    case .cutAnswer:
      exchange.send(bytes: StoreFault.halved(exchange.handOn(to: port, exchange.readBody())))
      exchange.close()
    case .silent:
      exchange.readBody()
      exchange.awaitEnd()
    case .stalled(let bytes):
      exchange.readBody(bytes)
      exchange.awaitEnd()
    case .failed(let status):
      exchange.readBody()
      exchange.send(StoreFault.page("\(status) Oh"))
      exchange.close()
    case .page:
      exchange.readBody()
      exchange.send(StoreFault.page("200 OK"))
      exchange.close()
    case .kept(let count):
      let kept = body.keeping(count, of: exchange.readBody())
      exchange.send(bytes: exchange.handOn(to: port, kept, saying: kept.count))
      exchange.close()
    }
  }

  private static func page(_ status: String) -> String {
    let text = "<!doctype html><title>Sign in</title><form method=post><input name=user><input name=password></form>\n"
    return "HTTP/1.1 \(status)\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)"
  }

  /// An answer whose body is only half of it, and whose head knows of no more.
  private static func halved(_ answer: [UInt8]) -> [UInt8] {
    guard let end = answer.firstRange(of: Array("\r\n\r\n".utf8)) else { return answer }
    let body = answer[end.upperBound...]
    let head = String(decoding: answer[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n").filter { line in
      let name = line.prefix { $0 != ":" }.lowercased()
      return name != "content-length" && name != "connection"
    }
    let half = body.prefix(body.count / 2)
    return Array((head + ["Connection: close", "Content-Length: \(half.count)", "", ""]).joined(separator: "\r\n").utf8) + half
  }
}

import HTTPTypes
import HummingbirdCore
import NIOCore

/// One request: its head, its body as a stream, and the one answer. Used by one task only.
final class Exchange {
  let method: String
  /// As sent, without the base path and the query; not decoded.
  let path: String
  let query: String
  let connection: Connection
  /// The declared length, if there is one.
  let contentLength: Int?
  let isChunked: Bool
  /// How many bytes of an upload are to be kept, when the server is told to lie.
  var storeLimit: Int?
  var entry: LogEntry
  var bodyLimit: BodyLimit?
  let log: RequestLog?

  private let fields: HTTPFields
  private var incoming: RequestBody.AsyncIterator
  private var writer: ResponseWriter?
  private(set) var bodyBytes = 0
  private(set) var bodyIsComplete = false
  private(set) var bodyIsBroken = false
  private var awaitsContinue: Bool
  private var isLogged = false
  private var mustClose = false

  init(_ request: Request, answerWith writer: consuming ResponseWriter, on connection: Connection, of service: Service) {
    self.writer = consume writer
    self.connection = connection
    log = service.log
    method = request.method.rawValue
    fields = request.headers
    let target = request.head.path ?? "/"
    let pieces = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    query = pieces.count > 1 ? String(pieces[1]) : ""
    path = service.pathBelowBase(String(pieces.first ?? ""))
    incoming = request.body.makeAsyncIterator()
    isChunked = fields[.transferEncoding]?.lowercased().contains("chunked") ?? false
    contentLength = isChunked ? nil : fields[.contentLength].flatMap { Int($0) }
    awaitsContinue = fields[.expect]?.lowercased() == "100-continue"
    var headers = fields.map { ($0.name.rawName, $0.value) }
    if let host = request.head.authority { headers.insert(("Host", host), at: 0) }
    entry = LogEntry(method: method, path: String(pieces.first ?? ""), query: query, headers: headers, connection: connection.number)
  }

  /// The first value of a header, as Go's `Header.Get` gives it.
  func header(_ name: String) -> String? {
    let wanted = name.lowercased()
    return fields.first { $0.name.canonicalName == wanted }?.value
  }

  var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }

  /// The value of a query parameter, not decoded.
  func queryValue(_ name: String) -> String? {
    for pair in query.split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if sides.first.map(String.init) == name { return sides.count > 1 ? String(sides[1]) : "" }
    }
    return nil
  }
}

// MARK: - The request's body

extension Exchange {
  /// The next piece, or nil at the end. Throws `BodyCut` if the connection ended before the body did.
  func nextPiece(sendingContinue: Bool = true) async throws -> ByteBuffer? {
    guard !bodyIsComplete, !bodyIsBroken else { return nil }
    if let bodyLimit, bodyBytes >= bodyLimit.bytes { try await reach(bodyLimit) }
    if awaitsContinue, sendingContinue, hasBody {
      awaitsContinue = false
      try await connection.sendRaw("HTTP/1.1 100 Continue\r\n\r\n")
    }
    guard var piece = try await received() else { return nil }
    if let bodyLimit, bodyBytes + piece.readableBytes > bodyLimit.bytes {
      piece = piece.readSlice(length: bodyLimit.bytes - bodyBytes) ?? piece
    }
    bodyBytes += piece.readableBytes
    entry.bodyBytes = bodyBytes
    if method == "POST", header("Content-Type")?.contains("json") ?? false { entry.collect(piece) }
    return piece
  }

  /// The whole body of a call that takes JSON.
  func smallBody() async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let piece = try await nextPiece() {
      if bytes.count < 1 << 20 { bytes += piece.readableBytesView }
    }
    return bytes
  }

  /// Reads what is left and throws it away.
  func drain(sendingContinue: Bool) async throws {
    while try await nextPiece(sendingContinue: sendingContinue) != nil {}
  }

  private func received() async throws -> ByteBuffer? {
    let piece: ByteBuffer?
    do {
      piece = try await incoming.next()
    } catch {
      piece = nil
      bodyIsBroken = true
    }
    if let piece { return piece }
    if let contentLength, bodyBytes < contentLength { bodyIsBroken = true }
    guard bodyIsBroken else {
      bodyIsComplete = true
      return nil
    }
    mustClose = true
    throw BodyCut()
  }

  private func reach(_ limit: BodyLimit) async throws {
    finish(status: 0)
    if limit.isStall { await connection.waitUntilPeerIsGone() }
    await connection.reset()
    throw Ended()
  }
}

// MARK: - The answer

extension Exchange {
  /// Writes the request's line to the log and sends the answer. Does nothing if there was one.
  func send(_ answer: Answer) async throws {
    try await settleUnread(answer.unread)
    guard let writer = writer.take() else { return }
    finish(status: answer.status)
    var head = HTTPResponse(status: .init(code: answer.status))
    for (name, value) in answer.headers + [("Date", Moment.now.httpDate)] {
      if let name = HTTPFields.Element.Name(name) { head.headerFields.append(.init(name: name, value: value)) }
    }
    if mustClose { head.headerFields[.connection] = "close" }
    switch answer.body {
    case .bytes(let bytes):
      if !answer.isChunked { head.headerFields[.contentLength] = String(bytes.count) }
      // Bytes behind an answer to HEAD would be taken for the next answer.
      try await writer.write(response: head, body: method == "HEAD" ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    case .file(let path, let size, let offset):
      if !answer.isChunked { head.headerFields[.contentLength] = String(size) }
      try await writer.write(response: head, body: FileBody(path: path, size: size, offset: offset).body)
    case .omitted(let size):
      head.headerFields[.contentLength] = String(size)
      try await writer.write(response: head, body: ResponseBody())
    case .endless(let beginning):
      try await writer.write(response: head, body: .endless(beginning))
    }
  }

  /// After an answer that ends the connection: a FIN, half a second for the client to read it, then the end with
  /// whatever the client still sends unread, as Go's server does.
  func linger() async {
    guard mustClose else { return }
    await connection.closeOutput()
    if !bodyIsComplete, !bodyIsBroken { try? await Task.sleep(for: .milliseconds(500)) }
    await connection.hangUp()
  }

  /// The request's line in the log, once. Status 0: there was no answer.
  func finish(status: Int) {
    guard !isLogged else { return }
    isLogged = true
    entry.status = status
    log?.append(entry)
  }

  private func settleUnread(_ unread: Answer.Unread) async throws {
    if bodyIsComplete || bodyIsBroken { return }
    do {
      switch unread {
      case .cutOff: mustClose = true
      case .drained(let sendingContinue): try await drain(sendingContinue: sendingContinue)
      case .left:
        let isSmall = (contentLength ?? 0) - bodyBytes <= 256 << 10 && !isChunked
        if isSmall, !(awaitsContinue && hasBody) { try await drain(sendingContinue: false) } else { mustClose = true }
      }
    } catch is BodyCut {}
  }
}

/// The connection ended before the body did.
struct BodyCut: Error {}

/// The exchange is over without an answer; the log has been told.
struct Ended: Error {}

/// Where a fault ends the reading of the body.
struct BodyLimit {
  let bytes: Int
  /// Stop reading and keep the connection; else cut it.
  let isStall: Bool
}

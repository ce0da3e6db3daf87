import Foundation
import Support
import Synchronization
import Testing

/// What is said of an upload whose answer does not tell what became of it.
@Suite(.sandboxed)
struct OutcomeTests {
  enum Kind: String, CaseIterable, Sendable { case plain, dav, alist, siyuan }

  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  private func destination(_ kind: Kind, _ authority: String) -> String {
    switch kind {
    case .plain: "http://\(authority)/plain/x"
    case .dav: "dav+http://admin:\(Loopback.password)@\(authority)/dav/x"
    case .alist: "alist+http://\(authority)/x"
    case .siyuan: "siyuan+http://\(authority)/data/x"
    }
  }

  /// Whether it stores the object under its name: the probe whether AList renames has a name of its own.
  private static func publishes(_ request: ScriptedServer.Request, _ answer: [UInt8]) -> Bool {
    switch request.target {
    case "/api/file/putFile": true
    case "/api/fs/rename": String(decoding: answer, as: UTF8.self).contains(#""code":200"#)
    default: request.method == "MOVE" || (request.method == "PUT" && request.target == "/plain/x")
    }
  }

  private func stored(_ kind: Kind, _ server: Loopback) throws -> [UInt8] {
    switch kind {
    case .plain: try contents(server.plainFile("/x"))
    case .dav, .alist: try contents(server.alistFile("/x"))
    case .siyuan: try contents(server.siyuanFile("/data/x"))
    }
  }

  @Test(
    "a proxy that gives up after the object was stored is no reason to call it somebody else's, nor to send it again",
    arguments: Kind.allCases,
    ["504 Gateway Timeout", "500 Internal Server Error"])
  func lateFailure(kind: Kind, status: String) async throws {
    let server = try await box.loopback("--permission", "65535")
    let isFirst = Mutex(true)
    let relay = try box.relay(to: server.port) { _, request, whole in
      guard OutcomeTests.publishes(request, whole), isFirst.withLock({ $0 }) else { return whole }
      isFirst.withLock { $0 = false }
      return answer(status)
    }
    let run = try await box.sluice("--no-clobber", "--retries", "3", destination(kind, relay.authority), input: bytes)
    try run.success()
    #expect(try stored(kind, server) == bytes)
    // AList and WebDAV see by themselves that the rename was made.
    if kind == .plain || kind == .siyuan { #expect(run.errorText.contains("the object is there"), "\(run.summary)") }
    #expect(box.spoolNames.isEmpty)
  }

  @Test(
    "an answer of the API that blames the server, or that nobody can read, is looked after too", arguments: [Kind.alist, .siyuan],
    [true, false])
  func unclearAnswer(kind: Kind, isReadable: Bool) async throws {
    let server = try await box.loopback("--permission", "65535")
    let isFirst = Mutex(true)
    let words = kind == .alist ? #"{"code":500,"message":"unexpected EOF"}"# : #"{"code":-1,"msg":"write failed: input/output error"}"#
    let relay = try box.relay(to: server.port) { _, request, whole in
      guard OutcomeTests.publishes(request, whole), isFirst.withLock({ $0 }) else { return whole }
      isFirst.withLock { $0 = false }
      let body = isReadable ? words : "<html>gateway</html>"
      return answer("200 OK", ["Content-Length: \(body.utf8.count)"]) + Array(body.utf8)
    }
    let run = try await box.sluice("--no-clobber", "--retries", "2", destination(kind, relay.authority), input: bytes)
    #expect(try run.success()["attempts"].int == 1, "\(run.summary)")
    #expect(try stored(kind, server) == bytes)
  }

  @Test("S3: a 504 after the object was stored and a 503 to the question are no reason to send it again")
  func s3() async throws {
    let s3 = try ScriptedS3(box)
    let port = try #require(s3.environment["AWS_ENDPOINT_URL"]??.split(separator: ":").last.flatMap { Int($0) })
    let relay = try box.relay(to: port) { number, request, whole in
      if request.method == "PUT" { return answer("504 Gateway Timeout") }
      return request.method == "HEAD" && number == 3 ? answer("503 Busy") : whole
    }
    var environment = s3.environment
    environment["AWS_ENDPOINT_URL"] = "http://\(relay.authority)"
    let run = try await box.sluice(
      "--no-clobber", "--verify", "--retries", "3", "s3://b/x", input: bytes, environment: environment)
    #expect(try run.success()["verified"].text == "size+hash")
    #expect(s3.count(of: .put) == 1)
    #expect(relay.requests.count { $0.method == "HEAD" } > 3, "\(relay.requests.map(\.method))")
  }

  @Test("without tries left it is looked too", arguments: [Kind.plain, .siyuan])
  func lateFailureAtTheEnd(kind: Kind) async throws {
    let server = try await box.loopback("--permission", "65535")
    let relay = try box.relay(to: server.port) { _, request, whole in
      OutcomeTests.publishes(request, whole) ? answer("504 Gateway Timeout") : whole
    }
    let run = try await box.sluice("--no-clobber", "--retries", "0", destination(kind, relay.authority), input: bytes)
    try run.success()
    #expect(try stored(kind, server) == bytes)
  }

  @Test("a 503 to the question of --verify is asked again, and the object is sent once", arguments: Kind.allCases, [true, false])
  func questionFails(kind: Kind, noClobber: Bool) async throws {
    let server = try await box.loopback("--permission", "65535")
    let isStored = Mutex(false)
    let failed = Mutex(0)
    let relay = try box.relay(to: server.port) { _, request, whole in
      if OutcomeTests.publishes(request, whole) {
        isStored.withLock { $0 = true }
        return whole
      }
      // The first questions after the object got its name; the old one of AList is removed meanwhile.
      guard isStored.withLock({ $0 }), failed.withLock({ $0 }) < 2, request.target != "/api/fs/remove" else { return whole }
      failed.withLock { $0 += 1 }
      return answer("503 Service Unavailable")
    }
    let options = (noClobber ? ["--no-clobber"] : []) + ["--verify", "--retries", "4", destination(kind, relay.authority)]
    let run = try await box.start(box.client(options, input: .bytes(bytes))).finish()
    let result = try run.success()
    #expect(failed.withLock { $0 } == 2)
    #expect(result["attempts"].int == 1, "\(run.summary)")
    #expect(result["verified"].text != nil)
    #expect(try stored(kind, server) == bytes)
  }

  @Test("a question that nobody answers is told of as that, and the object is not sent again")
  func questionUnanswered() async throws {
    let server = try await box.loopback("--permission", "65535")
    let relay = try box.relay(to: server.port) { number, request, whole in
      request.method == "HEAD" && number > 1 ? answer("503 Busy") : whole
    }
    let run = try await box.sluice("--verify", "--retries", "1", destination(.plain, relay.authority), input: bytes)
    let result = try run.failure(69, "server")
    #expect(result["attempts"].int == 1)
    #expect(run.errorText.contains("the upload succeeded, but what is there could not be verified"), "\(run.summary)")
    #expect(try stored(.plain, server) == bytes)
  }

  @Test("an object of another size that is there after the upload is named as that, not as somebody else's")
  func mismatch() async throws {
    let server = try await box.loopback("--permission", "65535")
    let relay = try box.relay(to: server.port) { number, request, whole in
      request.method == "HEAD" && number > 2 ? answer("200 OK", ["Content-Length: 5"]) : whole
    }
    let run = try await box.sluice("--no-clobber", "--verify", "--retries", "1", destination(.plain, relay.authority), input: bytes)
    try run.failure(69, "server")
    #expect(run.errorText.contains("has 5 bytes there instead of 12"), "\(run.summary)")
  }

  /// How a head is written that says the same as another.
  enum Head: String, CaseIterable, Sendable {
    case twoLengths, listedLength, lineFeeds, folded, blank, lengthAndChunks, long

    /// Whether it means what it says without a doubt.
    var isClear: Bool { self == .twoLengths || self == .listedLength }

    func written(_ whole: [UInt8]) -> [UInt8] {
      let text = String(decoding: whole, as: UTF8.self)
      guard let end = text.range(of: "\r\n\r\n") else { return whole }
      let body = text[end.upperBound...]
      let lines = text[..<end.lowerBound].components(separatedBy: "\r\n").filter { line in
        !["content-length:", "transfer-encoding:"].contains { line.lowercased().hasPrefix($0) }
      }
      let length = "Content-Length: \(body.utf8.count)"
      let separator = self == .lineFeeds ? "\n" : "\r\n"
      let more =
        switch self {
        case .twoLengths: [length, length]
        case .listedLength: ["\(length), \(body.utf8.count)"]
        case .lineFeeds: [length]
        case .folded: [length, "X-Folded: a", "\tb"]
        case .blank: ["Content-Length : \(body.utf8.count)"]
        case .lengthAndChunks: ["Content-Length: 3", "Transfer-Encoding: chunked"]
        case .long: ["X-Long: \(String(repeating: "x", count: 100_000))", length]
        }
      let chunks = body.isEmpty ? "0\r\n\r\n" : "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
      return Array(
        ((lines + more).joined(separator: separator) + separator + separator + (self == .lengthAndChunks ? chunks : String(body))).utf8)
    }
  }

  @Test(
    "a success whose head is badly written is looked after and told of, one with equal lengths twice is a success",
    arguments: Kind.allCases, Head.allCases)
  func badHead(kind: Kind, head: Head) async throws {
    let server = try await box.loopback("--permission", "65535")
    let relay = try box.relay(to: server.port) { _, request, whole in
      OutcomeTests.publishes(request, whole) || request.method == "PUT" ? head.written(whole) : whole
    }
    let run = try await box.sluice("--retries", "0", destination(kind, relay.authority), input: bytes)
    let result = try run.success()
    #expect(result["attempts"].int == 1)
    #expect(try stored(kind, server) == bytes)
    #expect(run.errorText.contains("malformed") == !head.isClear, "\(run.summary)")
    #expect(run.errorText.isEmpty == head.isClear, "\(run.summary)")
  }

  @Test("a task that a badly written answer tells of is not looked for before it ends")
  func badHeadOfTask() async throws {
    let server = try await box.loopback("--task-delay", "60000")
    let relay = try box.relay(to: server.port) { _, request, whole in request.method == "PUT" ? Head.folded.written(whole) : whole }
    let run = try await box.start(
      box.client(["-o", "as-task", "--retries", "1", destination(.alist, relay.authority)], input: .bytes(bytes))
    ).finish()
    let result = try run.success()
    #expect(result["attempts"].int == 1)
    #expect(result["verified"].text == nil, "\(run.summary)")
  }

  @Test("no server can say of itself that its answer is malformed")
  func claimedFlaw() async throws {
    let server = try await box.loopback()
    let relay = try box.relay(to: server.port) { _, request, whole in
      request.method == "PUT" ? answer("201 Created", ["X-Sluice-Flaw: it is none", "Content-Length: 0"]) : whole
    }
    let run = try await box.sluice("--retries", "0", destination(.plain, relay.authority), input: bytes)
    try run.success()
    #expect(run.errorText.isEmpty, "\(run.summary)")
  }

  @Test("an interim answer that is badly written does not stand in the way of the answer")
  func badInterim() async throws {
    let server = try await box.loopback()
    let relay = try box.relay(to: server.port) { _, request, whole in
      request.method == "PUT" ? Array("HTTP/1.1 103 Early Hints\nLink: </x>\n\n".utf8) + whole : whole
    }
    let run = try await box.sluice("--retries", "0", destination(.plain, relay.authority), input: bytes)
    try run.success()
    #expect(run.errorText.isEmpty, "\(run.summary)")
  }

  @Test("a server that writes all its heads badly can be used all the same", arguments: Head.allCases)
  func allHeadsBad(head: Head) async throws {
    let server = try await box.loopback()
    let relay = try box.relay(to: server.port) { _, request, whole in request.method == "HEAD" ? whole : head.written(whole) }
    try await box.sluice("--verify", "--retries", "0", destination(.plain, relay.authority), input: bytes).success()
    #expect(try stored(.plain, server) == bytes)
  }

  @Test("a badly written success of an object that is not there is a failure")
  func badHeadAndNothing() async throws {
    let server = try box.scripted { exchange in
      if exchange.request.method == "HEAD" { return exchange.answer("", status: "404 Not Found") }
      exchange.readBody()
      exchange.send("HTTP/1.1 201 Created\nContent-Length: 0\n\n")
    }
    let run = try await box.sluice("--retries", "0", "http://\(server.authority)/x", input: bytes)
    try run.failure(69, "server")
    #expect(run.errorText.contains("not there"), "\(run.summary)")
  }

  @Test("an answer that is no HTTP leaves the question whether the object is there, which is asked", arguments: [true, false])
  func garbage(noClobber: Bool) async throws {
    let server = try await box.loopback()
    let relay = try box.relay(to: server.port) { _, request, whole in request.method == "PUT" ? Array("220 ready\r\n\r\n".utf8) : whole }
    let options = (noClobber ? ["--no-clobber"] : []) + ["--retries", "0", destination(.plain, relay.authority)]
    let run = try await box.start(box.client(options, input: .bytes(bytes))).finish()
    // An older object of the same size would look the same.
    if noClobber { try run.success() } else { try run.failure(76, "protocol") }
    #expect(try stored(.plain, server) == bytes)
  }
}

import BytePath
import Foundation
import Support
import Testing

@testable import Endpoints

/// What S3 and Azure say of an object that is read back.
@Suite("objects are read from S3 and Azure")
struct S3ReadingTests {
  private static let bytes = "0123456789"
  private static let md5 = Checksum(.md5, of: Array(bytes.utf8))
  private static let sha256 = Checksum(.sha256, of: Array(bytes.utf8))

  private static func error(_ code: String) -> String { "<Error><Code>\(code)</Code><Message>words</Message></Error>" }

  private func with(
    _ options: [String: String] = [:], answer: @escaping @Sendable (Exchange) -> Void,
    _ body: (S3, ScriptedServer) async throws -> Void
  ) async throws {
    let server = try ScriptedServer(answer)
    var context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
    context.options = options
    let remote = Remote(
      base: try BaseURL("http://\(server.authority)"), username: "key", password: .value("secret", origin: "the test"))
    let store = try S3(remote, context)
    let result: Result<Void, any Error>
    do { result = .success(try await body(store, server)) } catch { result = .failure(error) }
    await store.close()
    server.stop()
    try result.get()
  }

  private func head(_ exchange: Exchange, _ headers: [String], length: Int = 10) {
    exchange.send((["HTTP/1.1 200 OK", "Content-Length: \(length)"] + headers).joined(separator: "\r\n") + "\r\n\r\n")
  }

  @Test("a checksum of the whole must be that of the object; a tag proves it, but does not count against it")
  func checksums() async throws {
    let tag = "ETag: \"\(Self.md5.hex)\""
    let cases: [(headers: [String], checksums: [HashAlgorithm: Checksum], hints: [HashAlgorithm: Checksum])] = [
      ([tag], [:], [.md5: Self.md5]), ([tag, "x-amz-server-side-encryption: AES256"], [:], [.md5: Self.md5]),
      ([tag, "x-amz-server-side-encryption: aws:kms"], [:], [:]), (["ETag: \"\(Self.md5.hex)-2\""], [:], [:]),
      ([tag, "x-amz-server-side-encryption-customer-algorithm: AES256"], [:], [:]),
      (["ETag: \"x\"", "x-amz-checksum-sha256: \(Self.sha256.base64)"], [.sha256: Self.sha256], [:]),
      (["ETag: \"x\"", "x-amz-checksum-sha256: \(Self.sha256.base64)-2"], [:], [:]),
      (["ETag: \"x\"", "x-amz-checksum-md5: \(Self.md5.base64)"], [.md5: Self.md5], [:]),
    ]
    for (headers, checksums, hints) in cases {
      try await with {
        head($0, headers)
      } _: { store, _ in
        let stored = try #require(try await store.stat("box/x", fresh: true).stored)
        #expect(stored.checksums == checksums && stored.hints == hints && !stored.isYoung, "\(headers)")
      }
    }
  }

  @Test("a checksum that comes with a part is not that of the object")
  func partChecksum() async throws {
    try await with { exchange in
      exchange.answer(
        "234", status: "206 Partial Content",
        headers: ["Content-Range: bytes 2-4/10", "ETag: \"x\"", "x-amz-checksum-sha256: \(Self.sha256.base64)"])
    } _: { (store, _) async throws in
      let stored = try #require(try await store.read("box/x", 2..<5, of: "x", into: Kept()).stored)
      #expect(stored.checksums.isEmpty && stored.size == 10)
    }
  }

  @Test("what replaces an object is not read, whether the server knows conditions or not", arguments: [true, false])
  func replaced(knowsConditions: Bool) async throws {
    try await with { exchange in
      if knowsConditions {
        exchange.answer(Self.error("PreconditionFailed"), status: "412 Precondition Failed", type: "application/xml")
      } else {
        exchange.answer(
          "234", status: "206 Partial Content", headers: ["x-ms-request-id: 1", "Content-Range: bytes 2-4/10", "ETag: \"new\""])
      }
    } _: { store, _ in
      let kept = Kept()
      guard case .untold(let failure) = try await store.read("box/x", 2..<5, of: "old", into: kept) else {
        return #expect(Bool(false), "it was read")
      }
      #expect(failure.kind == .input && failure.message == "box/x was replaced while it was read" && kept.bytes.isEmpty)
    }
  }

  @Test("the version that is asked for is the one that is looked at and read")
  func version() async throws {
    try await with(["version-id": "3/L4+kqtJ"]) { exchange in
      if exchange.request.method == "HEAD" {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"x\"\r\n\r\n")
      } else {
        exchange.answer(Self.bytes, headers: ["ETag: \"x\""])
      }
    } _: { (store, server) async throws in
      #expect(try await store.stat("box/x", fresh: true).stored?.size == 10)
      #expect(try await store.read("box/x", nil, of: "x", into: Kept()).stored?.size == 10)
      #expect(server.requests.map(\.target) == ["/box/x?versionId=3%2FL4%2BkqtJ", "/box/x?versionId=3%2FL4%2BkqtJ"])
    }
    let option = try #require(S3.kind.options.first { $0.key == "version-id" })
    #expect(option.isForReading && !option.isForWriting)
    #expect(throws: Failure.self) { try S3.kind.check(["version-id": ""]) }
  }

  @Test(
    "what is refused says why",
    arguments: [
      ("403 Forbidden", "AccessDenied", .auth, "s3:ListBucket"), ("403 Forbidden", "InvalidObjectState", .rejected, "restore-object"),
      ("416 Range", "InvalidRange", .input, nil), ("503 Slow", "SlowDown", .server, nil), ("400 Bad", "InvalidArgument", .rejected, nil),
    ] as [(String, String, Failure.Kind, String?)])
  func refused(status: String, code: String, kind: Failure.Kind, hint: String?) async throws {
    try await with {
      $0.answer(Self.error(code), status: status, type: "application/xml")
    } _: { (store, _) async throws in
      guard case .untold(let failure) = try await store.read("box/x", 2..<5, of: nil, into: Kept()) else {
        return #expect(Bool(false), "it was read")
      }
      #expect(failure.kind == kind && (hint.map { failure.hint?.contains($0) == true } ?? true), "\(failure)")
    }
  }

  @Test("that nothing is there is said of a bucket that is, by what is S3")
  func nothing() async throws {
    let cases: [(body: String, status: String, kind: Failure.Kind?)] = [
      (Self.error("NoSuchKey"), "404 Not Found", nil), (Self.error("NoSuchVersion"), "404 Not Found", nil),
      (Self.error("NoSuchBucket"), "404 Not Found", .rejected), ("<h1>404</h1>", "404 Not Found", .protocol),
      (Self.error("AccessDenied"), "403 Forbidden", .auth), (Self.error("SlowDown"), "503 Slow Down", .server),
      ("", "502 Bad Gateway", .server), (Self.error("InvalidArgument"), "400 Bad Request", .rejected),
      // It is there now; of one that is empty there is no part.
      ("x", "206 Partial Content", .server), ("x", "200 OK", .server), (Self.error("InvalidRange"), "416 Range", .server),
    ]
    for said in cases {
      try await with {
        $0.answer(said.body, status: said.status, type: "application/xml")
      } _: { store, _ in
        var failure: Failure?
        do throws(Failure) { try await store.confirmNothing(at: "box/x") } catch { failure = error }
        #expect(failure?.kind == said.kind, "\(said)")
      }
    }
    try await with { exchange in
      exchange.send("HTTP/1.1 405 Method Not Allowed\r\nx-amz-delete-marker: true\r\nContent-Length: 0\r\n\r\n")
    } _: { (store, _) async throws in
      #expect(try await store.stat("box/x", fresh: true).isNothing)
      try await store.confirmNothing(at: "box/x")
    }
  }

  @Test("a blob of another version is not read, whether the server knows conditions or not", arguments: [true, false])
  func azure(knowsConditions: Bool) async throws {
    let server = try ScriptedServer { exchange in
      if knowsConditions {
        exchange.answer("", status: "412 Precondition Failed", headers: ["x-ms-request-id: 1", "x-ms-error-code: ConditionNotMet"])
      } else {
        exchange.answer(
          "234", status: "206 Partial Content", headers: ["x-ms-request-id: 1", "Content-Range: bytes 2-4/10", "ETag: \"new\""])
      }
    }
    defer { server.stop() }
    let store = try AzureBlob(
      Remote(base: try BaseURL("http://\(server.authority)"), token: .value("sv=1&sig=abc", origin: "the test")),
      EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in }))
    let kept = Kept()
    let read: Result<Finding, Failure>
    do throws(Failure) { read = .success(try await store.read("/acct/box/x", 2..<5, of: "\"old\"", into: kept)) } catch {
      read = .failure(error)
    }
    await store.close()
    guard case .success(.untold(let failure)) = read else { return #expect(Bool(false), "\(read)") }
    #expect(failure.kind == .input && kept.bytes.isEmpty)
  }
}

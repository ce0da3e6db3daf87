import BytePath
import Foundation
import Support
import Testing

@testable import Endpoints

/// What the answers to a GET are taken for, byte by byte as servers and those before them write them.
@Suite("objects are read by HTTP")
struct HTTPReadingTests {
  /// A whole answer after its status line: header lines, an empty one, and the body.
  struct Said: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var range: Range<Int64>?
    var status: String
    var headers: [String]
    var body = "0123456789"
    /// What reaches the sink.
    var bytes = ""
    /// Of the object; nil if the read is no success.
    var size: Int64??
    var kind: Failure.Kind?
    var isRetryable = false
    var path = "/x"
  }

  private static func part(_ text: String, _ range: String?, _ more: [String] = [], _ body: String, _ check: (inout Said) -> Void) -> Said {
    let headers = (range.map { ["Content-Range: \($0)"] } ?? []) + more
    var said = Said(testDescription: text, range: 2..<5, status: "206 Partial Content", headers: headers, body: body)
    check(&said)
    return said
  }

  private static func whole(_ text: String, _ headers: [String], body: String = "0123456789", _ check: (inout Said) -> Void) -> Said {
    var said = Said(testDescription: text, status: "200 OK", headers: headers, body: body)
    check(&said)
    return said
  }

  private static func isWhole(_ said: inout Said) { (said.bytes, said.size) = ("0123456789", 10) }
  private static func isPart(_ said: inout Said) { (said.bytes, said.size) = ("234", 10) }
  private static func isNoPart(_ said: inout Said) { said.kind = .protocol }
  private static func isCut(_ said: inout Said) { (said.kind, said.isRetryable, said.bytes) = (.protocol, true, "01234") }

  static let answers = [
    whole("a length", ["Content-Length: 10"], isWhole),
    whole("chunks", ["Transfer-Encoding: chunked"], body: "a\r\n0123456789\r\n0\r\n\r\n", isWhole),
    whole("up to the end of the connection", []) { ($0.bytes, $0.size) = ("0123456789", .some(nil)) },
    whole("nothing", ["Content-Length: 0"], body: "") { $0.size = 0 },
    whole("no chunk", ["Transfer-Encoding: chunked"], body: "0\r\n\r\n") { $0.size = 0 },
    whole("cut before its length", ["Content-Length: 10"], body: "01234", isCut),
    whole("cut in a chunk", ["Transfer-Encoding: chunked"], body: "a\r\n01234", isCut),
    whole("cut before the last chunk", ["Transfer-Encoding: chunked"], body: "5\r\n01234\r\n", isCut),
    whole("compressed on the way", ["Content-Encoding: gzip", "Content-Length: 10"], isNoPart),
    whole("compressed itself", ["Content-Encoding: x-gzip", "Content-Length: 10"]) {
      isWhole(&$0)
      $0.path = "/x.sql.gz"
    },
    whole("compressed twice", ["Content-Encoding: gzip, gzip", "Content-Length: 10"]) { ($0.kind, $0.path) = (.protocol, "/x.gz") },
    whole("not compressed", ["Content-Encoding: identity", "Content-Length: 10"], isWhole),
    part("a part", "bytes 2-4/10", ["Content-Length: 3"], "234", isPart),
    part("a part in chunks", "bytes 2-4/10", ["Transfer-Encoding: chunked"], "3\r\n234\r\n0\r\n\r\n", isPart),
    part("a part of nobody knows how much", "bytes 2-4/*", ["Content-Length: 3"], "234") { ($0.bytes, $0.size) = ("234", .some(nil)) },
    part("up to the end", "bytes 2-3/4", ["Content-Length: 2"], "23") { ($0.bytes, $0.size) = ("23", 4) },
    part("less than asked for", "bytes 2-3/10", ["Content-Length: 2"], "23") {
      ($0.bytes, $0.kind, $0.isRetryable) = ("23", .server, true)
    },
    part("another beginning", "bytes 1-3/10", ["Content-Length: 3"], "123", isNoPart),
    part("another end", "bytes 2-5/10", ["Content-Length: 4"], "2345", isNoPart),
    part("no range", nil, ["Content-Length: 3"], "234", isNoPart), part("words", "bytes 2-x/10", ["Content-Length: 3"], "234", isNoPart),
    part("a total that can't be", "bytes 2-4/3", ["Content-Length: 3"], "234", isNoPart),
    part("several", nil, ["Content-Type: multipart/byteranges; boundary=x", "Content-Length: 3"], "--x", isNoPart),
    part("a page of another length", "bytes 2-4/10", ["Content-Length: 8"], "<h1>234<", isNoPart),
    part("more in chunks", "bytes 2-4/10", ["Transfer-Encoding: chunked"], "4\r\n2345\r\n0\r\n\r\n", isNoPart),
    part("less in chunks", "bytes 2-4/10", ["Transfer-Encoding: chunked"], "2\r\n23\r\n0\r\n\r\n") {
      ($0.bytes, $0.kind, $0.isRetryable) = ("23", .protocol, true)
    },
    part("all of it", nil, ["Content-Length: 10"], "0123456789") { ($0.status, $0.kind) = ("200 OK", .protocol) },
    part("a part as rclone's S3 server says it", "bytes 2-4/10", ["Content-Length: 3"], "234") {
      isPart(&$0)
      $0.status = "200 OK"
    },
    part("all of it, and called a part", "bytes 2-4/10", ["Content-Length: 10"], "0123456789") {
      ($0.status, $0.kind) = ("200 OK", .protocol)
    },
    part("beyond the end", "bytes */2", ["Content-Length: 0"], "") { ($0.status, $0.kind) = ("416 Range Not Satisfiable", .input) },
    part("no permission", nil, ["Content-Length: 0"], "") { ($0.status, $0.kind) = ("403 Forbidden", .auth) },
    part("a server that is busy", nil, ["Content-Length: 0"], "") { ($0.status, $0.kind, $0.isRetryable) = ("503 Busy", .server, true) },
  ]

  @Test("an answer is taken for what it is", arguments: answers)
  func answer(said: Said) async throws {
    let server = try ScriptedServer { exchange in
      exchange.send((["HTTP/1.1 \(said.status)"] + said.headers).joined(separator: "\r\n") + "\r\n\r\n" + said.body)
      exchange.close()
    }
    defer { server.stop() }
    let store = try HTTPReadingTests.store(server)
    let kept = Kept()
    let result: Result<Finding, Failure>
    do throws(Failure) { result = .success(try await store.read(said.path, said.range, of: nil, into: kept)) } catch {
      result = .failure(error)
    }
    await store.close()
    #expect(String(decoding: kept.bytes, as: UTF8.self) == said.bytes)
    switch result {
    case .success(.stored(let stored)): #expect(said.kind == nil && stored.size == said.size ?? -1, "\(stored)")
    case .success(.untold(let failure)), .failure(let failure):
      #expect(failure.kind == said.kind && failure.isRetryable == said.isRetryable, "\(failure)")
    case .success(.nothing): Issue.record("nothing")
    }
  }

  private static let old = "Last-Modified: Wed, 25 Nov 2026 13:11:40 GMT"
  private static let date = "Date: Wed, 25 Nov 2026 13:11:41 GMT"

  @Test(
    "an object is young while another one may come to have its version",
    arguments: [
      ([old, date], true), ([old, "Date: Wed, 25 Nov 2026 13:11:43 GMT"], false), ([old, date, "ETag: \"abc\""], false),
      ([old, date, "ETag: W/\"abc\""], true), ([old, date, "ETag: \"6b06de8c-e\""], true), ([old, date, "ETag: \"6b06de8d-e\""], false),
      ([old], false), ([date], true), ([date, "ETag: \"abc\""], false), (["Last-Modified: Fri, 01 Jan 2100 00:00:00 GMT"], true),
    ] as [([String], Bool)])
  func young(headers: [String], isYoung: Bool) async throws {
    try await stat(headers) { #expect($0.isYoung == isYoung) }
  }

  @Test(
    "the hashes that answers tell are known",
    arguments: [
      (["Repr-Digest: sha-512=:AAAA:, sha-256=:%256:"], true), (["Digest: SHA-256=%256"], true), (["Digest: md5=%md5,sha=%sha1"], true),
      (["Content-MD5: %md5"], true), (["x-goog-hash: crc32c=n03x6A==", "x-goog-hash: md5=%md5"], true),
      (["x-goog-hash: crc32c=n03x6A==,md5=%md5"], true), (["Content-Digest: sha-256=:%256:"], false),
      (["Digest: sha-256=none, md5"], false),
    ])
  func digests(headers: [String], areKnown: Bool) async throws {
    let bytes = Array("0123456789".utf8)
    let values = ["%256": HashAlgorithm.sha256, "%md5": .md5, "%sha1": .sha1].mapValues { Checksum($0, of: bytes) }
    let lines = headers.map { line in values.reduce(line) { $0.replacing($1.key, with: $1.value.base64) } }
    try await stat(lines) { stored in
      #expect(stored.checksums.isEmpty == !areKnown)
      for (algorithm, sum) in stored.checksums { #expect(sum == Checksum(algorithm, of: bytes)) }
    }
    try await stat(["ETag: \"\(Checksum(.md5, of: bytes).hex)\""]) { #expect($0.hints == [.md5: Checksum(.md5, of: bytes)]) }
  }

  @Test("a directory to whose page a server sends on is no object")
  func directory() async throws {
    let server = try ScriptedServer { exchange in
      if exchange.request.target == "/a%20b" {
        exchange.answer("", status: "301 Moved Permanently", headers: ["Location: /a%20b/"])
      } else {
        exchange.answer("<h1>Index of</h1>", type: "text/html")
      }
    }
    defer { server.stop() }
    let store = try HTTPReadingTests.store(server)
    let kept = Kept()
    let found = try await store.read("/a b", nil, of: nil, into: kept)
    await store.close()
    guard case .untold(let failure) = found else { return #expect(Bool(false), "\(found)") }
    #expect(failure.kind == .rejected && kept.bytes.isEmpty)
  }

  @Test(
    "what replaced an object is told from it by tag, time or size",
    arguments: ["ETag: \"b\"", "Last-Modified: Wed, 25 Nov 2026 13:11:41 GMT"])
  func replaced(header: String) async throws {
    let server = try ScriptedServer { exchange in
      exchange.answer("new", headers: [header])
    }
    defer { server.stop() }
    let store = try HTTPReadingTests.store(server)
    let kept = Kept()
    let version = "\"a\"\nWed, 25 Nov 2026 13:11:40 GMT\n3"
    let found = try await store.read("/x", nil, of: version, into: kept)
    await store.close()
    guard case .untold(let failure) = found else { return #expect(Bool(false), "\(found)") }
    #expect(failure.kind == .input && failure.message == "/x was replaced while it was read" && kept.bytes.isEmpty)
  }

  private func stat(_ headers: [String], _ check: (Stored) -> Void) async throws {
    let server = try ScriptedServer { exchange in
      exchange.send((["HTTP/1.1 200 OK", "Content-Length: 10"] + headers).joined(separator: "\r\n") + "\r\n\r\n")
    }
    defer { server.stop() }
    let store = try HTTPReadingTests.store(server)
    let found = try await store.stat("/x", fresh: true)
    await store.close()
    check(try #require(found.stored))
  }

  private static func store(_ server: ScriptedServer) throws -> PlainHTTP {
    let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
    return try PlainHTTP(Remote(base: try BaseURL("http://\(server.authority)")), context)
  }
}

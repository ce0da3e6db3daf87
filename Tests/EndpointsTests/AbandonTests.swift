import BytePath
import Endpoints
import Foundation
import Support
import Synchronization
import Testing

private let old = Array("yesterday's good one".utf8)
private let new = Array("today's\n".utf8)
private let temporary = "/d/.x.sluice-aaaaaaaa"
private let aside = "/d/.x.sluice-bbbbbbbb"

/// What is at a path, and what is there when nobody needs the upload any more.
struct AbandonCase: Sendable, CustomTestStringConvertible {
  let checkpoint: String
  var before: [String: [UInt8]]
  let after: [String: [UInt8]]

  var testDescription: String { checkpoint.replacing("\t", with: " ") + ", with " + before.keys.sorted().joined(separator: " ") }
}

private let alistCases = [
  AbandonCase(checkpoint: note("sending", ".x.sluice-aaaaaaaa"), before: ["/d/x": old, temporary: new], after: ["/d/x": old]),
  AbandonCase(checkpoint: note("sending", ".x.sluice-aaaaaaaa"), before: ["/d/x": old], after: ["/d/x": old]),
  AbandonCase(checkpoint: note("sending", ".x.sluice-aaaaaaaa"), before: [:], after: [:]),
  AbandonCase(checkpoint: note("sending", nil), before: ["/d/x": old], after: ["/d/x": old]),
  AbandonCase(
    checkpoint: note("sending", ".x.sluice-aaaaaaaa", #","session":{"id":"no-such-session","pieceSize":1048576}"#),
    before: ["/d/x": old, temporary: new], after: ["/d/x": old]),
  AbandonCase(
    checkpoint: note("sending", ".x.sluice-aaaaaaaa", #","session":{"pieceSize":1048576}"#), before: ["/d/x": old, temporary: new],
    after: ["/d/x": old]),
  AbandonCase(
    checkpoint: note("sending", ".x.sluice-aaaaaaaa", #","isCompleting":true,"session":{"id":"no-such-session","pieceSize":1048576}"#),
    before: [temporary: new], after: [:]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa"), before: ["/d/x": old, temporary: new], after: ["/d/x": old]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa"), before: ["/d/x": new], after: ["/d/x": new]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa", moved), before: ["/d/x": old, temporary: new], after: ["/d/x": old]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa", moved), before: [aside: old, temporary: new], after: ["/d/x": old]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa", moved), before: [aside: old, "/d/x": new], after: ["/d/x": new]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa", moved), before: [aside: old], after: ["/d/x": old]),
  // What this upload can't have written is nobody's to touch.
  AbandonCase(checkpoint: note("sending", "y"), before: ["/d/y": old], after: ["/d/y": old]),
  AbandonCase(
    checkpoint: note("sending", "../e/.x.sluice-aaaaaaaa"), before: ["/e/.x.sluice-aaaaaaaa": old], after: ["/e/.x.sluice-aaaaaaaa": old]),
  AbandonCase(
    checkpoint: note("renaming", ".x.sluice-aaaaaaaa", #","aside":"y""#), before: ["/d/y": old, temporary: new],
    after: ["/d/y": old, temporary: new]),
  AbandonCase(checkpoint: "nonsense", before: ["/d/x": old], after: ["/d/x": old]),
]

private let moved = #","aside":".x.sluice-bbbbbbbb""#

/// - Parameter more: further members of the note.
private func note(_ stage: String, _ name: String?, _ more: String = "") -> String {
  #"{"stage":"\#(stage)"\#(name.map { #","temporary":"\#($0)""# } ?? "")\#(more)}"#
}

private let webDAVCases = [
  AbandonCase(checkpoint: note("sending", ".x.sluice-aaaaaaaa"), before: ["/d/x": old, temporary: new], after: ["/d/x": old]),
  AbandonCase(checkpoint: note("renaming", ".x.sluice-aaaaaaaa"), before: ["/d/x": old, temporary: new], after: ["/d/x": old]),
  AbandonCase(
    checkpoint: note("renaming", ".x.sluice-aaaaaaaa", #","before":{"isNothing":true}"#), before: ["/d/x": new], after: ["/d/x": new]),
  AbandonCase(
    checkpoint: note("sending", "x.sluice-aaaaaaaa"), before: ["/d/x": old, "/d/x.sluice-aaaaaaaa": new, temporary: old],
    after: ["/d/x": old, temporary: old]),
  AbandonCase(checkpoint: note("sending", nil), before: ["/d/x": new], after: ["/d/x": new]),
  // What this upload can't have written is nobody's to touch.
  AbandonCase(checkpoint: note("sending", "y"), before: ["/d/y": old], after: ["/d/y": old]),
  AbandonCase(
    checkpoint: note("sending", "../e/.x.sluice-aaaaaaaa"), before: ["/e/.x.sluice-aaaaaaaa": old], after: ["/e/.x.sluice-aaaaaaaa": old]),
  AbandonCase(checkpoint: "nonsense", before: ["/d/x": old], after: ["/d/x": old]),
]

/// What a run that died has left at AList or a WebDAV server: its checkpoint names all of it, and `abandon` puts it right.
@Suite("abandoned uploads")
struct AbandonTests {
  @Test(
    "AList: temporary names go, and an old object that was moved aside comes back if its place is empty", arguments: ["openlist", "alist"],
    alistCases)
  func alist(flavor: String, one: AbandonCase) async throws {
    try await withServer("--flavor", flavor, "--multipart") { box, server in
      try await check(one, server) { try Publisher(AList($0, AbandonTests.context), AbandonTests.context) }
    }
  }

  @Test("WebDAV: temporary names go", arguments: webDAVCases)
  func webDAV(one: AbandonCase) async throws {
    try await withServer("--permission", "\(0b1111111111)") { box, server in
      // Of WebDAV's paths the first part is the server's own.
      try await check(one, server, path: "/dav/d/x") { try Publisher(WebDAV($0, AbandonTests.context), AbandonTests.context) }
    }
  }

  @Test("AList: a session that lives is ended, and its file goes")
  func session() async throws {
    try await withServer("--multipart", "--on", "/api/fs/multipart/chunk", "--cut-after", "1000") { box, server in
      let publisher = try Publisher(AList(AbandonTests.remote(server), AbandonTests.context), AbandonTests.context)
      let upload = try await AbandonTests.upload(
        [UInt8](repeating: 7, count: 3 << 20), "/d/x", Attributes(options: ["chunked": "1M"]), Checkpoint(nil) { _ in }, in: box)
      try await using(publisher) { publisher in
        await #expect(throws: Failure.self) { try await publisher.put(upload) }
        #expect(upload.checkpoint.text?.contains(#""temporary":".x.sluice-"#) == true)
        #expect(upload.checkpoint.text?.contains(#""session":{"id""#) == true)
        #expect(names(in: server.alistFile("/d")).count == 1)
        try await publisher.abandon(upload)
        #expect(names(in: server.alistFile("/d")).isEmpty)
        #expect(upload.checkpoint.text == nil)
      }
      #expect(try server.log("/api/fs/multipart/abort").count == 1)
    }
  }

  @Test(
    "a temporary name is noted before the server has a byte of it", arguments: [[], ["--multipart"]], ["Local", "SFTP"])
  func notedFirst(options: [String], driver: String) async throws {
    try await withServer(["--provider", driver] + options) { box, server in
      try write(old, to: server.alistFile("/d/x"))
      let publisher = try Publisher(AList(AbandonTests.remote(server), AbandonTests.context), AbandonTests.context)
      try await expectNoted(publisher, "/d/x", Attributes(options: options.isEmpty ? [:] : ["chunked": "1M"]), box, server)
    }
  }

  @Test("WebDAV: a temporary name is noted before the server has a byte of it")
  func notedFirstByWebDAV() async throws {
    try await withServer("--permission", "\(0b1111111111)") { box, server in
      try write(old, to: server.alistFile("/d/x"))
      try await expectNoted(
        try Publisher(WebDAV(AbandonTests.remote(server), AbandonTests.context), AbandonTests.context), "/dav/d/x", Attributes(), box,
        server)
    }
  }

  private func expectNoted(
    _ publisher: Publisher, _ path: String, _ attributes: Attributes, _ box: Sandbox, _ server: Loopback
  ) async throws {
    let surprises = Mutex<[String]>([])
    let seen = Mutex<[String]>([])
    let checkpoint = Checkpoint(nil) { text in
      let noted = seen.withLock { seen in
        seen.append(text ?? "")
        return seen.joined(separator: " ")
      }
      // Nothing is there that no note before this one, or this one, has named.
      for name in names(in: server.alistFile("/d")) where name != "x" && !noted.contains(name) {
        surprises.withLock { $0.append(name) }
      }
      // The first time that a name is noted it is not there yet.
      if let name = text?.firstMatch(of: /[^"\/\t ]*\.sluice-[0-9a-z]{8}/)?.output,
        !seen.withLock({ $0.dropLast().joined().contains(name) }), exists(server.alistFile("/d/\(name)"))
      {
        surprises.withLock { $0.append("\(name) was there") }
      }
    }
    let upload = try await AbandonTests.upload([UInt8](repeating: 7, count: 3 << 20), path, attributes, checkpoint, in: box)
    try await using(publisher) { _ = try await $0.put(upload) }
    #expect(surprises.withLock { $0 } == [])
    #expect(seen.withLock { $0.count } > 1)
    #expect(upload.checkpoint.text == nil)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  private func check(_ one: AbandonCase, _ server: Loopback, path: String = "/d/x", _ open: (Remote) throws -> Publisher) async throws {
    for (path, bytes) in one.before { try write(bytes, to: server.alistFile(path)) }
    // Who abandons twice does no harm.
    for _ in 1...2 {
      let box = try Sandbox()
      let upload = try await AbandonTests.upload(
        new, path, Attributes(), Checkpoint(one.checkpoint) { _ in }, in: box)
      try await using(try open(AbandonTests.remote(server))) { try await $0.abandon(upload) }
      await box.close()
      var found: [String: [UInt8]] = [:]
      for folder in ["/d", "/e"] {
        for name in names(in: server.alistFile(folder)) { found["\(folder)/\(name)"] = try contents(server.alistFile("\(folder)/\(name)")) }
      }
      #expect(found == one.after)
    }
  }

  /// Closes the store also where the test fails: its client must not be left open.
  private func using(_ publisher: Publisher, _ body: (Publisher) async throws -> Void) async throws {
    let result: Result<Void, any Error>
    do { result = .success(try await body(publisher)) } catch { result = .failure(error) }
    await publisher.store.close()
    try result.get()
  }

  private func withServer(_ options: String..., body: (Sandbox, Loopback) async throws -> Void) async throws {
    try await withServer(options, body: body)
  }

  private func withServer(_ options: [String], body: (Sandbox, Loopback) async throws -> Void) async throws {
    let box = try Sandbox()
    let result: Result<Void, any Error>
    do { result = .success(try await body(box, try await box.loopback(options))) } catch { result = .failure(error) }
    await box.close()
    try result.get()
  }

  private static let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })

  private static func remote(_ server: Loopback) throws -> Remote {
    Remote(base: try BaseURL(server.url), token: .value(Loopback.token, origin: "the test"))
  }

  private static func upload(
    _ bytes: [UInt8], _ path: String, _ attributes: Attributes, _ checkpoint: Checkpoint, in box: Sandbox
  ) async throws -> Upload {
    let folder = "\(box.path)/spool"
    let payload = try await Payload.made(of: bytes) { () throws(Failure) in try SpoolDirectory(folder) }
    return Upload(payload, to: path, attributes, Meter(), checkpoint)
  }
}

import BytePath
import Endpoints
import Foundation
import Support
import Testing

/// What no command does yet: objects are read, listed and removed.
@Suite("a WebDAV store")
struct WebDAVStoreTests {
  private static let servers = [
    ("start-nginx-dav.sh", "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"),
    ("start-apache-dav.sh", "/usr/lib/apache2/modules/mod_dav_fs.so"), ("start-rclone-webdav.sh", "/usr/bin/rclone"),
  ].filter { exists($0.1) }.map(\.0)

  @Test("objects are read whole and in part, listed and removed", arguments: servers)
  func real(script: String) async throws {
    let box = try Sandbox()
    let result: Result<Void, any Error>
    do { result = .success(try await use(try await box.peer(script).url, folder: "/d", box)) } catch {
      result = .failure(error)
    }
    await box.close()
    try result.get()
  }

  @Test("what the loopback server has")
  func loopback() async throws {
    let box = try Sandbox()
    let result: Result<Void, any Error>
    do {
      let server = try await box.loopback("--permission", "65535")
      result = .success(try await use(server.url, folder: "/dav/d", box))
    } catch { result = .failure(error) }
    await box.close()
    try result.get()
  }

  @Test("a server that sends no parts says so, and nothing of the whole is taken for one")
  func noParts() async throws {
    let server = try ScriptedServer { $0.answer("0123456789") }
    defer { server.stop() }
    let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
    let store = try WebDAV(Remote(base: try BaseURL("http://\(server.authority)")), context)
    let part = Kept()
    let found = try await store.read("/x", 2..<5, of: nil, into: part)
    await store.close()
    #expect(found.stored == nil && !found.isNothing)
    #expect(part.bytes.isEmpty)
  }

  private func use(_ url: String, folder: String, _ box: Sandbox) async throws {
    let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
    let store = try WebDAV(Remote(base: try BaseURL(url), token: .value(Loopback.token, origin: "the test")), context)
    let result: Result<Void, any Error>
    do { result = .success(try await expectAll(store, folder, box)) } catch { result = .failure(error) }
    await store.close()
    try result.get()
  }

  private func expectAll(_ store: WebDAV, _ folder: String, _ box: Sandbox) async throws {
    let bytes = Array("0123456789".utf8)
    for name in ["a b", "100%", "ü", "sub/x"] { try await put(bytes, "\(folder)/\(name)", store, box) }
    try await expectReads(store, "\(folder)/a b", bytes) {
      try await put(Array("other".utf8), "\(folder)/a b", store, box)
    }
    let listing = try #require(try await store.list(folder, page: nil))
    #expect(listing.next == nil)
    let entries = listing.entries.sorted { $0.path < $1.path }
    #expect(entries.map(\.path) == ["100%", "a b", "sub", "ü"].map { "\(folder)/\($0)" })
    #expect(entries.map(\.isDirectory) == [false, false, true, false])
    #expect(entries.first?.size == 10 && entries.last?.size == 10)
    #expect(try await store.list("\(folder)/none", page: nil) == nil)
    for _ in 1...2 { try await store.remove("\(folder)/100%") }
    #expect(try await store.stat("\(folder)/100%", fresh: true).isNothing)
  }

  private func put(_ bytes: [UInt8], _ path: String, _ store: WebDAV, _ box: Sandbox) async throws {
    let folder = "\(box.path)/spool"
    let payload = try await Payload.made(of: bytes) { () throws(Failure) in try SpoolDirectory(folder) }
    _ = try await store.put(Upload(payload, to: path, Attributes(), Meter(), Checkpoint(nil) { _ in }), at: path, .any)
  }

  private func expectReads(
    _ store: WebDAV, _ path: String, _ bytes: [UInt8], replace: () async throws -> Void
  ) async throws {
    let version = try await store.stat(path, fresh: true).stored?.version
    let whole = Kept()
    #expect(try await store.read(path, nil, of: version, into: whole).stored?.size == 10)
    #expect(whole.bytes == bytes)
    let part = Kept()
    let found = try await store.read(path, 2..<5, of: version, into: part)
    #expect(part.bytes == Array(bytes[2..<5]))
    #expect(found.stored != nil)
    #expect(try await store.read(path + "none", nil, of: nil, into: Kept()).isNothing)
    try await replace()
    let other = Kept()
    let replaced = try await store.read(path, nil, of: version, into: other)
    #expect(other.bytes.isEmpty && replaced.stored == nil && !replaced.isNothing)
  }
}

import BytePath
import Crypto
import Foundation
import Support
import Testing

@testable import Endpoints

/// What no command does yet: blobs are read, listed and removed.
@Suite("an Azure store")
struct AzureStoreTests {
  private func withStore(pageSize: Int = 5000, _ body: (AzureBlob, ScriptedAzure) async throws -> Void) async throws {
    let box = try Sandbox()
    let result: Result<Void, any Error>
    do {
      let server = try ScriptedAzure(box, md5: { Array(Insecure.MD5.hash(data: $0)) }, pageSize: pageSize)
      let base = try BaseURL("http://127.0.0.1:\(server.port)/acct")
      let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
      let store = try AzureBlob(Remote(base: base, token: .value(server.signature(), origin: "the test")), context)
      do { result = .success(try await body(store, server)) } catch { result = .failure(error) }
      await store.close()
    } catch { result = .failure(error) }
    await box.close()
    try result.get()
  }

  @Test("a blob is looked at, and read whole and in part, as long as it is the same one")
  func read() async throws {
    try await withStore { store, server in
      let bytes = Array("0123456789".utf8)
      server.plant(bytes, "d/x")
      let stored = try #require(try await store.stat("/box/d/x", fresh: true).stored)
      #expect(stored.size == 10 && stored.isDirectory == false && stored.modified == 784_111_777_000)
      #expect(stored.checksums == [.md5: Checksum(.md5, of: bytes)])
      #expect(try await store.stat("/box/d/none", fresh: true).isNothing)
      let (whole, part) = (Kept(), Kept())
      #expect(try await store.read("/box/d/x", nil, of: stored.version, into: whole).stored == stored)
      #expect(whole.bytes == bytes)
      #expect(try await store.read("/box/d/x", 2..<5, of: stored.version, into: part).stored == stored)
      #expect(part.bytes == Array(bytes[2..<5]))
      #expect(try await store.read("/box/d/none", nil, of: nil, into: Kept()).isNothing)
      server.plant([1], "d/x")
      let other = Kept()
      let replaced = try await store.read("/box/d/x", nil, of: stored.version, into: other)
      #expect(replaced.stored == nil && !replaced.isNothing && other.bytes.isEmpty)
    }
  }

  @Test("a directory is listed page by page, with its directories; one that is not there is none")
  func list() async throws {
    try await withStore(pageSize: 2) { store, server in
      for name in ["d/a&b", "d/c", "d/sub/x", "d/sub/y", "e", "dd"] { server.plant(Array(name.utf8), name) }
      var entries: [Stored] = []
      var page: String?
      var pages = 0
      repeat {
        let listing = try #require(try await store.list("/box/d", page: page))
        entries += listing.entries
        page = listing.next
        pages += 1
      } while page != nil
      #expect(pages == 2)
      #expect(entries.map(\.path) == ["/box/d/a&b", "/box/d/c", "/box/d/sub"])
      #expect(entries.map(\.isDirectory) == [false, false, true])
      #expect(try await store.stat("/box/d/a&b", fresh: true).stored == entries[0])
      #expect(try await store.list("/box/none", page: nil) == nil)
      #expect(try await store.list("/none", page: nil) == nil)
      #expect(try #require(try await store.list("/box", page: nil)).entries.map(\.path) == ["/box/d", "/box/dd"])
    }
  }

  @Test("a blob is removed; one that is not there is a success")
  func remove() async throws {
    try await withStore { store, server in
      server.plant([1], "x")
      for _ in 1...2 { try await store.remove("/box/x") }
      #expect(server.names.isEmpty)
    }
  }

  @Test("where container and blob stand in an address")
  func names() throws {
    func name(_ url: String, _ path: String) throws -> AzureName { try AzureName(path, at: try BaseURL(url)) }
    let account = try name("https://acct.blob.core.windows.net", "/box/d/x")
    #expect(account.containerPath == "/box" && account.blob == "d/x")
    let emulator = try name("http://127.0.0.1:10000", "/acct/box/d/x")
    #expect(emulator.containerPath == "/acct/box" && emulator.blob == "d/x")
    #expect(try name("http://azurite:10000/acct", "/box/x") == name("https://acct.blob.core.windows.net", "/box/x"))
    let container = try name("https://acct.blob.core.windows.net/box", "/d/x")
    #expect(container.containerPath == "" && container.blob == "d/x")
    for (url, path) in [("http://127.0.0.1:10000", "/acct"), ("https://acct.blob.core.windows.net", "//x")] {
      #expect(throws: Failure.self) { try name(url, path) }
    }
  }

  @Test("a block's name says what it is, and all are of one length below 65 bytes")
  func blocks() throws {
    let md5 = Checksum(.md5, of: [1])
    let blocks = [0, 1, 49_999].map { AzureBlock(session: AzureBlock.newSession(), index: $0, md5: md5) }
    #expect(Set(blocks.map(\.id.count)).count == 1)
    for block in blocks {
      #expect(AzureBlock(id: block.id) == block)
      #expect(try #require(Data(base64Encoded: block.id)).count <= 64)
    }
    #expect(AzureBlock(id: "AAAA") == nil)
  }

  @Test("very large objects go in larger blocks, and the largest of all in none")
  func plans() throws {
    let options = try AzureOptions([:])
    #expect(try options.plan(for: 64 << 20) == nil)
    #expect(try options.plan(for: 65 << 20)?.pieceSize == 16 << 20)
    #expect(try options.plan(for: 1 << 40)?.pieceSize == 21 << 20)
    #expect(throws: Failure.self) { try options.plan(for: 1 << 48) }
    #expect(throws: Failure.self) { try options.plan(for: .max) }
  }
}

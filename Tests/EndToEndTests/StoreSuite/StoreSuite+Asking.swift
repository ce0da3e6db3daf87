import BytePath
import Endpoints
import Support
import Synchronization
import Testing

/// Stores are asked what they have, read, and told to remove.
extension StoreSuite {
  private static let bytes = Array("0123456789".utf8)

  func stat(_ bench: StoreBench) async throws {
    try await asking(bench) { store in
      #expect(try await store.stat(bench.path("none"), fresh: true).isNothing, "\(bench.server)")
      try await bench.plant(StoreSuite.bytes, "told")
      let stored = try #require(try await store.stat(bench.path("told"), fresh: true).stored, "\(bench.server)")
      #expect(bench.tells(10, stored.size) && stored.isDirectory != true, "\(bench.server): \(stored)")
      for (algorithm, _) in stored.checksums { #expect([.md5, .sha1, .sha256].contains(algorithm), "\(bench.server): \(stored)") }
    }
  }

  func list(_ bench: StoreBench) async throws {
    let names = ["list/a b", "list/100%", "list/ü"]
    try await asking(bench) { store in
      _ = try await (store as? any DirectoryStore)?.makeDirectory(bench.path("list"), modified: nil)
      for name in names { try await bench.plant(StoreSuite.bytes, name) }
      var found: [Stored] = []
      var page: String?
      repeat {
        let listing = try #require(try await store.list(bench.path("list"), page: page), "\(bench.server)")
        found += listing.entries
        page = listing.next
      } while page != nil
      #expect(found.map(\.path).sorted() == names.map { bench.path($0) }.sorted(), "\(bench.server)")
      #expect(found.allSatisfy { bench.tells(10, $0.size) && $0.isDirectory != true }, "\(bench.server): \(found)")
    }
    try await listByCommand(bench, names)
  }

  /// What `sluice ls` says of the directory names what is in it to the next command.
  private func listByCommand(_ bench: StoreBench, _ names: [String]) async throws {
    let run = try await bench.sluice("ls", bench.destination("list"))
    #expect(run.exit == 0, "\(bench.server): \(run.summary)")
    let lines = try run.entries()
    #expect(lines.map { $0["name"].text } == names.map { String($0.dropFirst(5)) }.sorted(), "\(bench.server): \(run.summary)")
    let paths = names.map { bench.server == .file ? bench.destination($0) : bench.path($0) }.sorted()
    #expect(lines.map { $0["path"].text } == paths, "\(bench.server): \(run.summary)")
    for line in lines {
      #expect(line["dir"] == .bool(false) && bench.tells(10, line["bytes"].int.map(Int64.init)), "\(bench.server): \(run.summary)")
      #expect(line["modified"].text?.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil, "\(bench.server): \(run.summary)")
      let one = try await bench.sluice("ls", try #require(line["source"].text))
      #expect(try one.entries().map { $0["path"] } == [line["path"]], "\(bench.server): \(one.summary)")
    }
    let missing = try await bench.sluice("ls", bench.destination("list/none"))
    #expect(missing.exit == 66 && missing.output.isEmpty, "\(bench.server): \(missing.summary)")
  }

  func read(_ bench: StoreBench) async throws {
    try await asking(bench) { store in
      let nothing = Kept()
      #expect(try await store.read(bench.path("none"), nil, of: nil, into: nothing).isNothing, "\(bench.server)")
      try await bench.plant(StoreSuite.bytes, "read")
      let whole = Kept()
      #expect(try await store.read(bench.path("read"), nil, of: nil, into: whole).stored != nil, "\(bench.server)")
      expectSame(whole.bytes, StoreSuite.bytes, "\(bench.server)")
      // Who can't send a part says so, and nothing of the whole is taken for one.
      let part = Kept()
      let isPart = (try? await store.read(bench.path("read"), 2..<5, of: nil, into: part))?.stored != nil
      expectSame(part.bytes, isPart ? Array(StoreSuite.bytes[2..<5]) : [], "a part at \(bench.server)")
      #expect(nothing.bytes.isEmpty)
    }
  }

  func remove(_ bench: StoreBench) async throws {
    try await asking(bench) { store in
      let removing = try #require(store as? any RemovingStore, "\(bench.server)")
      try await bench.plant(StoreSuite.bytes, "gone")
      #expect(try await store.stat(bench.path("gone"), fresh: true).stored != nil, "\(bench.server)")
      for _ in 1...2 { try await removing.remove(bench.path("gone")) }
      #expect(try await store.stat(bench.path("gone"), fresh: true).isNothing, "\(bench.server)")
      #expect(try await bench.stored("gone") == nil, "\(bench.server)")
    }
  }

  private func asking(_ bench: StoreBench, _ work: (any Store) async throws -> Void) async throws {
    let kind = try #require(bench.server.kind)
    let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
    let store = try kind.init(bench.remote, context)
    let result: Result<Void, any Error>
    do { result = .success(try await work(store)) } catch { result = .failure(error) }
    await store.close()
    try result.get()
  }
}

extension StoreServer {
  /// The store in this process; nil where there is none.
  var kind: (any BuiltInStore.Type)? { builtInEndpoints.first { $0.kind.name == store } }
}

extension StoreBench {
  /// What the client is told by `destination` and `environment`.
  fileprivate var remote: Remote {
    get throws {
      let value = { (text: String) in SecretSource.value(text, origin: "the test") }
      let base =
        try server.isRemote ? BaseURL("http://\(authority)\(server == .dav(nil) ? "/dav" : server == .http(nil) ? "/plain" : "")") : nil
      return switch server {
      case .alist, .siyuan: Remote(base: base, token: value(Loopback.token))
      case .dav(nil): Remote(base: base, username: "admin", password: value(Loopback.password))
      case .azure: Remote(base: base, token: azure.map { value($0.signature()) })
      case .s3: Remote(base: base, username: S3Server.accessKey, password: value(S3Server.secretKey))
      default: Remote(base: base)
      }
    }
  }

  /// The kernel tells the size of an asset alone.
  fileprivate func tells(_ expected: Int64, _ size: Int64?) -> Bool { size == expected || size == nil && server == .siyuan }

  /// As the store writes it.
  fileprivate func path(_ name: String) -> String {
    switch server {
    case .siyuan: "data/\(name)"
    case .azure: "/acct/box/\(name)"
    case .s3: "\(bucket)/\(name)"
    case .file: file(name) ?? name
    default: "/\(name)"
    }
  }
}

private final class Kept: ByteSink {
  private let state = Mutex<[UInt8]>([])
  var bytes: [UInt8] { state.withLock { $0 } }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { $0 += bytes }
    return true
  }
}

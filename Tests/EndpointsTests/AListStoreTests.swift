import BytePath
import Foundation
import Support
import Testing

@testable import Endpoints

/// AList and OpenList as a store: what is asked of it, and read back. A server that runs is used as well if `SLUICE_ALIST_SERVER` names it:
/// `URL TOKEN FOLDER`, where the folder is one in which objects may come and go.
@Suite("AList as a store")
struct AListStoreTests {
  /// Where a test makes its objects.
  private struct Place {
    let store: AList
    let folder: String
    let box: Sandbox

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    func put(_ bytes: [UInt8], _ name: String, _ condition: Condition = .any) async throws {
      let payload = try await Payload.made(of: bytes) { [box] () throws(Failure) in try SpoolDirectory("\(box.path)/spool") }
      _ = try await store.put(
        Upload(payload, to: path(name), Attributes(), Meter(), Checkpoint(nil) { _ in }), at: path(name), condition)
    }

    func read(_ name: String, _ range: Range<Int64>? = nil, of version: String? = nil) async throws -> (bytes: [UInt8], Finding) {
      let sink = Kept()
      let finding = try await store.read(path(name), range, of: version, into: sink)
      return (sink.bytes, finding)
    }
  }

  static let servers = ["openlist", "alist"] + (ProcessInfo.processInfo.environment["SLUICE_ALIST_SERVER"] == nil ? [] : ["running"])

  @Test("an object is found, read as a whole and in parts, and removed, whatever its name", arguments: servers)
  func roundTrip(server: String) async throws {
    try await with(server) { place in
      var generator = SeededGenerator(5)
      let bytes = generator.bytes(300_000)
      for name in ["x", "100% %41.txt", "a+b ?#&.bin", "\u{4f60}\u{597d} \u{1f600}", "notes.md"] {
        #expect(try await place.store.stat(place.path(name), fresh: true).isNothing)
        #expect(try await place.read(name).1.isNothing)
        try await place.put(bytes, name, .absent)
        for fresh in [true, false] {
          let stored = try #require(try await place.store.stat(place.path(name), fresh: fresh).stored, "\(name)")
          #expect(stored.size == 300_000 && stored.isDirectory == false && stored.version != nil)
          #expect(abs((stored.modified ?? 0) - Int64(Date().timeIntervalSince1970 * 1000)) < 600_000)
        }
        let (whole, finding) = try await place.read(name)
        #expect(whole == bytes, "\(name): \(whole.count) bytes")
        let version = finding.stored?.version
        #expect(try await place.read(name, 7..<100_000, of: version).bytes == Array(bytes[7..<100_000]), "\(name)")
        #expect(try await place.read(name, 299_999..<300_000).bytes == [bytes[299_999]])
        let failure = await #expect(throws: Failure.self) { try await place.put([1], name, .absent) }
        #expect(failure?.kind == .exists)
        try await place.put(Array(bytes.dropLast()), name)
        let (none, replaced) = try await place.read(name, of: version)
        #expect(none.isEmpty && !replaced.isTold, "\(name)")
        try await place.store.remove(place.path(name))
        #expect(try await place.store.stat(place.path(name), fresh: true).isNothing)
        try await place.store.remove(place.path(name))
      }
      try await place.put([], "empty")
      #expect(try await place.read("empty").bytes.isEmpty)
    }
  }

  @Test("a folder is listed page by page, and none is removed or read as an object", arguments: servers)
  func listing(server: String) async throws {
    try await with(server) { place in
      let names = (0..<AListAPI.pageSize + 1).map { "n\($0)" }
      #expect(try await place.store.list(place.path("dir"), page: nil) == nil)
      _ = try await place.store.makeDirectory(place.path("dir/sub"), modified: nil)
      try await withThrowingTaskGroup { group in
        for part in 0..<4 {
          group.addTask {
            for name in names[part...] where (Int(name.dropFirst()) ?? 0) % 4 == part { try await place.put([1], "dir/\(name)") }
          }
        }
        try await group.waitForAll()
      }
      var found: [String: Stored] = [:]
      var page: String?
      repeat {
        let listing = try #require(try await place.store.list(place.path("dir"), page: page))
        for entry in listing.entries { found[entry.path] = entry }
        page = listing.next
      } while page != nil
      #expect(Set(found.keys) == Set((names + ["sub"]).map { place.path("dir/\($0)") }))
      #expect(found[place.path("dir/sub")]?.isDirectory == true && found[place.path("dir/n0")]?.size == 1)
      // Whatever page an object is on.
      for name in ["n0", "n200", "n99"] { #expect(try await place.store.stat(place.path("dir/\(name)"), fresh: true).stored?.size == 1) }
      #expect(try await place.store.stat(place.path("dir"), fresh: true).stored?.isDirectory == true)
      await #expect(throws: Failure.self) { try await place.store.remove(place.path("dir")) }
      await #expect(throws: Failure.self) { try await place.read("dir") }
      #expect(try await place.store.stat(place.path("dir/n7"), fresh: true).stored != nil)
    }
  }

  private func with(_ server: String, _ body: (Place) async throws -> Void) async throws {
    let box = try Sandbox()
    var remote: Remote
    var folder = "/d"
    if server == "running" {
      let words = try #require(ProcessInfo.processInfo.environment["SLUICE_ALIST_SERVER"]).split(separator: " ").map(String.init)
      remote = Remote(base: try BaseURL(words[0]), token: .value(words[1], origin: "the test"))
      folder = "\(words[2])/\(UUID().uuidString)"
    } else {
      let loopback = try await box.loopback(["--flavor", server])
      remote = Remote(base: try BaseURL(loopback.url), token: .value(Loopback.token, origin: "the test"))
    }
    let store = try AList(remote, EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in }))
    _ = try await store.makeDirectory(folder, modified: nil)
    let result: Result<Void, any Error>
    do { result = .success(try await body(Place(store: store, folder: folder, box: box))) } catch { result = .failure(error) }
    await store.close()
    await box.close()
    try result.get()
  }
}

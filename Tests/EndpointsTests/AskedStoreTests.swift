import BytePath
import Foundation
import Support
import Testing

@testable import Endpoints

/// What SiYuan and plugins are asked beside an upload: what is there, its bytes, lists, removal.
@Suite("stores that are asked")
struct AskedStoreTests {
  private static let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })

  private func withSiYuan(_ body: (SiYuan, Loopback) async throws -> Void) async throws {
    let directory = try TemporaryDirectory()
    let server = try await Loopback(in: directory.path)
    let remote = Remote(base: try BaseURL(server.url), token: .value(Loopback.token, origin: "a test"))
    let store = try SiYuan(remote, AskedStoreTests.context)
    let result: Result<Void, any Error>
    do { result = .success(try await body(store, server)) } catch { result = .failure(error) }
    await store.close()
    await server.stop()
    directory.remove()
    try result.get()
  }

  private func read(_ store: any Store, _ path: String, _ range: Range<Int64>? = nil) async throws -> [UInt8] {
    let kept = Kept()
    #expect(try await store.read(path, range, of: nil, into: kept).stored != nil)
    return kept.bytes
  }

  @Test("SiYuan: whole objects and parts of them, wherever they lie", arguments: ["data/x", "data/assets/x", "data/assets/x.svg"])
  func siyuanRead(path: String) async throws {
    try await withSiYuan { store, server in
      var generator = SeededGenerator(3)
      let bytes = generator.bytes(300_000)
      try write(bytes, to: server.siyuanFile("/\(path)"))
      let whole = try await read(store, path)
      #expect(whole.elementsEqual(bytes))
      for range in [0..<1, 5..<9, 299_990..<300_000, 299_990..<400_000, 0..<300_000] as [Range<Int64>] {
        let part = bytes[Int(range.lowerBound)..<min(Int(range.upperBound), bytes.count)]
        let read = try await read(store, path, range)
        #expect(read.elementsEqual(part), "\(range)")
      }
      let few = Kept(enough: 1)
      #expect(try await store.read(path, nil, of: nil, into: few).stored != nil)
      #expect(few.bytes.count < bytes.count)
      let reads = try server.log("/api/file/getFile")
      #expect(reads.isEmpty == (path == "data/assets/x"))
      #expect(try await store.read(path + "y", nil, of: nil, into: Kept()).isNothing)
      // The kernel tells no length, and the last chunk does.
      #expect(try await store.read(path, nil, of: nil, into: Kept()).stored?.size == 300_000 && !store.readsInParts(path))
      let failure = await #expect(throws: Failure.self) {
        try await store.read(String(path[..<path.lastIndex(of: "/")!]), nil, of: nil, into: Kept())
      }
      #expect(failure?.kind == .rejected)
    }
  }

  @Test("SiYuan: what is known of an object, and a version that another one has replaced")
  func siyuanStat() async throws {
    try await withSiYuan { store, server in
      try write([1, 2, 3], to: server.siyuanFile("/data/assets/x"))
      try write([1, 2, 3], to: server.siyuanFile("/data/x"))
      let asset = try #require(try await store.stat("data/assets/x", fresh: true).stored)
      #expect(asset.size == 3 && asset.isDirectory == false && asset.modified != nil)
      let version = try #require(asset.version)
      #expect(try await store.read("data/assets/x", nil, of: version, into: Kept()).stored != nil)
      #expect(try await store.stat("data/x", fresh: true).stored == Stored("data/x"))
      #expect(try await store.stat("data/assets", fresh: true).stored?.isDirectory == true)
      #expect(try await store.stat("data/y", fresh: true).isNothing)
      try write([4, 5, 6, 7], to: server.siyuanFile("/data/assets/x"))
      let kept = Kept()
      guard case .untold = try await store.read("data/assets/x", nil, of: version, into: kept) else {
        return #expect(Bool(false), "another object was read")
      }
      #expect(kept.bytes.isEmpty)
    }
  }

  @Test("SiYuan: lists, however long they are")
  func siyuanList() async throws {
    try await withSiYuan { store, server in
      try makeDirectory(server.siyuanFile("/data/dir/sub"))
      // More than other answers may have.
      for number in 0..<5000 {
        try write([], to: server.siyuanFile("/data/dir/\(number)" + String(repeating: "n", count: 200)))
      }
      let entries = try #require(try await store.list("data/dir", page: nil)).entries
      #expect(entries.count == 5001)
      #expect(entries.first { $0.path == "data/dir/sub" }?.isDirectory == true)
      let file = try #require(entries.first { $0.path.hasPrefix("data/dir/17n") })
      #expect(file.isDirectory == false && file.size == nil && (file.modified ?? 0) > 1_500_000_000_000)
      #expect(try await store.list("data/nowhere", page: nil) == nil)
      let root = try #require(try await store.list("", page: nil)).entries
      #expect(root.contains { $0.path == "data" })
      await #expect(throws: Failure.self) { try await store.list(file.path, page: nil) }
    }
  }

  @Test("SiYuan: one file is removed, and nothing else ever", arguments: ["", "/", " ", ".", "data/../data", "data/dir", "data/dir/"])
  func siyuanRemove(path: String) async throws {
    try await withSiYuan { store, server in
      try write([1], to: server.siyuanFile("/data/dir/x"))
      await #expect(throws: Failure.self) { try await store.remove(path) }
      #expect(try server.log("/api/file/removeFile").isEmpty)
      try await store.remove("data/dir/y")
      #expect(exists(server.siyuanFile("/data/dir/x")))
      try await store.remove("data/dir/x")
      #expect(!exists(server.siyuanFile("/data/dir/x")) && exists(server.siyuanFile("/data/dir")))
    }
  }

  /// - Parameter script: what is done for all but `check`.
  private func plugin(_ script: String, _ body: (Plugin) async throws -> Void) async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    let path = "\(directory.path)/sluice-endpoint-own"
    let check = #"[ "$1" != check ] || { echo '{"verbs":["stat","get","list","remove"]}'; exit; }"#
    try write(Array("#!/bin/sh\n\(check)\ncd '\(directory.path)'\n\(script)\n".utf8), to: path, mode: 0o755)
    try await body(Plugin(PluginProgram(named: "own", at: path), Remote(), options: [:], AskedStoreTests.context))
  }

  @Test("a plugin: the bytes as they are, all of them or a part")
  func pluginRead() async throws {
    let script = """
      [ "$SLUICE_PATH" = x ] || exit 66
      [ "$1" = get ] || { echo '{"version":7}'; exit; }
      printf '{"progress":1}\\n\\0\\377' | if [ -n "${SLUICE_LENGTH-}" ]; then dd bs=1 skip="$SLUICE_OFFSET" count="$SLUICE_LENGTH" 2> /dev/null; else cat; fi
      """
    try await plugin(script) { store in
      let bytes = Array("{\"progress\":1}\n\0".utf8) + [255]
      #expect(try await read(store, "x") == bytes)
      #expect(try await read(store, "x", 2..<5) == Array(bytes[2..<5]))
      #expect(try await read(store, "x", 10..<50) == Array(bytes[10...]))
      #expect(try await store.read("x", nil, of: nil, into: Kept()).stored?.size == Int64(bytes.count))
      #expect(try await store.read("y", nil, of: nil, into: Kept()).isNothing)
      #expect(try await store.read("x", nil, of: "7", into: Kept()).stored != nil)
      guard case .untold = try await store.read("x", nil, of: "6", into: Kept()) else {
        return #expect(Bool(false), "another object was read")
      }
    }
  }

  @Test("a plugin that writes without end is ended when nobody wants more, and what was not asked for is no success")
  func pluginReadsOn() async throws {
    try await plugin("exec yes") { store in
      let few = Kept(enough: 1)
      let found = try await store.read("x", nil, of: nil, into: few)
      #expect(found.stored != nil)
      let failure = await #expect(throws: Failure.self) { try await store.read("x", 0..<5, of: nil, into: Kept()) }
      #expect(failure?.kind == .protocol)
    }
    try await plugin("echo; exit 75") { store in
      let failure = await #expect(throws: Failure.self) { try await store.read("x", nil, of: nil, into: Kept()) }
      #expect(failure?.isRetryable == true)
    }
  }

  @Test("a plugin that gives some bytes of what it says is not there does not say so")
  func pluginSaysBoth() async throws {
    try await plugin("echo part; exit 66") { store in
      let failure = await #expect(throws: Failure.self) { try await store.read("x", nil, of: nil, into: Kept()) }
      #expect(failure?.kind == .protocol && !store.readsInParts("x"))
    }
  }

  @Test("a plugin: lists of names of all kinds, and removal")
  func pluginList() async throws {
    let script = """
      case $1 in
      list)
        [ "$SLUICE_PATH" != nowhere ] || exit 66
        echo '{"name":"a \\"b\\"","size":3,"modified":1000,"md5":null,"more":1}'
        echo
        printf '{"name":"ü","directory":true}' ;;
      remove) case $SLUICE_PATH in gone) exit 66 ;; kept) exit 73 ;; *) echo "$SLUICE_PATH" > removed ;; esac ;;
      esac
      """
    try await plugin(script) { store in
      for (directory, beginning) in [("dir", "dir/"), ("host:", "host:"), ("", ""), ("dir/", "dir/")] {
        let entries = try #require(try await store.list(directory, page: nil)).entries
        #expect(entries.map(\.path) == ["\(beginning)a \"b\"", "\(beginning)ü"])
        #expect(entries.map(\.size) == [3, nil] && entries.map(\.isDirectory) == [false, true] && entries[0].modified == 1000)
      }
      #expect(try await store.list("nowhere", page: nil) == nil)
      try await store.remove("x")
      try await store.remove("gone")
      let failure = await #expect(throws: Failure.self) { try await store.remove("kept") }
      #expect(failure?.kind == .rejected)
    }
  }

  @Test(
    "a list that means nothing is a failure",
    arguments: ["words", "[]", "{}", #"{"name":""}"#, #"{"name":"a/b"}"#, #"{"name":".."}"#, #"{"name":"a","size":-1}"#])
  func pluginNonsense(line: String) async throws {
    try await plugin("echo '{\"name\":\"good\"}'; echo '\(line)'") { store in
      let failure = await #expect(throws: Failure.self) { try await store.list("dir", page: nil) }
      #expect(failure?.kind == .protocol)
    }
  }

  @Test("a verb that a plugin has not named is not asked of it")
  func pluginLacks() async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    let path = "\(directory.path)/sluice-endpoint-own"
    try write(Array("#!/bin/sh\necho \"$1\" >> '\(directory.path)/verbs'\necho '{\"verbs\":[\"put\"]}'\n".utf8), to: path, mode: 0o755)
    let store = Plugin(PluginProgram(named: "own", at: path), Remote(), options: [:], AskedStoreTests.context)
    guard case .untold = try await store.stat("x", fresh: true) else { return #expect(Bool(false), "it was asked") }
    for ask in [
      { _ = try await store.read("x", nil, of: nil, into: Kept()) }, { _ = try await store.list("x", page: nil) },
      { try await store.remove("x") },
    ] as [() async throws -> Void] {
      let failure = await #expect(throws: Failure.self) { try await ask() }
      #expect(failure?.kind == .usage)
    }
    #expect(String(decoding: try contents("\(directory.path)/verbs"), as: UTF8.self) == "check\n")
  }
}

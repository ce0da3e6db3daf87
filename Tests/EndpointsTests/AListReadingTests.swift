import BytePath
import Foundation
import Support
import Synchronization
import Testing

@testable import Endpoints

/// What AList and OpenList answer to who reads an object back, as far as that is not what a server of files would.
@Suite("objects are read from AList and OpenList")
struct AListReadingTests {
  private static let bytes = "0123456789"
  private static let tag = "Etag: \"695735a5-a\""

  /// A server whose answers to the API are given by its path; each may change.
  private final class Server: Sendable {
    struct State {
      /// By the name of the call, or by the path of a download with its query: a body, or a whole answer.
      var answers: [String: String] = [:]
      /// By the path of a download, how it is answered.
      var downloads: [String: @Sendable (Exchange) -> Void] = [:]
    }

    private let state = Mutex(State())
    private let scripted = Mutex<ScriptedServer?>(nil)

    init() throws {
      let server = try ScriptedServer { [self] exchange in
        let target = exchange.request.target
        if let download = state.withLock({ $0.downloads[target] }) { return download(exchange) }
        let asked = JSONValue(parsing: exchange.readBody())
        let path = asked?["path"]?.string ?? ""
        let page = asked?["page"]?.integer ?? 1
        let isRefresh = asked?["refresh"]?.bool == true
        let keys = ["\(target) \(path)\(isRefresh ? " refresh" : "")", "\(target) \(path)", "\(target) \(path) \(page)"]
        let answers = state.withLock { $0.answers }
        let said = keys.lazy.compactMap { answers[$0] }.first
        exchange.answer(said ?? #"{"code":500,"message":"no such call in this test","data":null}"#)
      }
      scripted.withLock { $0 = server }
    }

    var authority: String { scripted.withLock { $0?.authority ?? "" } }
    func stop() { scripted.withLock { $0?.stop() } }
    func say(_ body: String, to call: String) { state.withLock { $0.answers[call] = body } }
    func send(_ path: String, _ answer: @escaping @Sendable (Exchange) -> Void) { state.withLock { $0.downloads[path] = answer } }
    func count(_ target: String) -> Int { scripted.withLock { $0?.requests.count { $0.target == target } ?? 0 } }
    var requests: [ScriptedServer.Request] { scripted.withLock { $0?.requests ?? [] } }

    /// An object that `fs/get` tells of.
    func has(_ path: String, at rawURL: String, size: Int = 10, modified: String = "2026-01-02T03:04:05.678Z", isAList: Bool = false) {
      let virtual = isAList ? #""virtual_path":"\#(path)","# : ""
      say(
        #"{"code":200,"message":"success","data":{\#(virtual)"name":"x","size":\#(size),"is_dir":false,"modified":"\#(modified)","hash_info":null,"#
          + #""raw_url":"\#(rawURL)","provider":"Local"}}"#, to: "/api/fs/get \(path)")
    }
  }

  private func with(_ body: (Server, AList) async throws -> Void) async throws {
    let server = try Server()
    let store = try AList(
      Remote(base: try BaseURL("http://\(server.authority)"), token: .value("secret-token", origin: "the test")),
      EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in }))
    let result: Result<Void, any Error>
    do { result = .success(try await body(server, store)) } catch { result = .failure(error) }
    await store.close()
    server.stop()
    try result.get()
  }

  /// What is read and how the reading ends.
  private func read(
    _ store: AList, _ range: Range<Int64>? = nil, of version: String? = nil, path: String = "/x"
  ) async -> (text: String, end: Result<Finding, Failure>) {
    let kept = Kept()
    let end: Result<Finding, Failure>
    do throws(Failure) { end = .success(try await store.read(path, range, of: version, into: kept)) } catch { end = .failure(error) }
    return (String(decoding: kept.bytes, as: UTF8.self), end)
  }

  private func failure(_ end: Result<Finding, Failure>) -> Failure? {
    switch end {
    case .failure(let failure), .success(.untold(let failure)): failure
    default: nil
    }
  }

  /// As a server of files sends it.
  private static let file: @Sendable (Exchange) -> Void = { send($0, bytes, tag) }

  private static func send(_ exchange: Exchange, _ bytes: String, _ tag: String) {
    guard let text = exchange.request.header("Range"), let range = ends(text) else {
      return exchange.answer(bytes, type: "application/octet-stream", headers: [tag])
    }
    let part = bytes.dropFirst(range.lowerBound).prefix(range.count)
    exchange.answer(
      String(part), status: "206 Partial Content", type: "application/octet-stream",
      headers: [tag, "Content-Range: bytes \(range.lowerBound)-\(range.lowerBound + part.count - 1)/\(bytes.count)"])
  }

  private static func ends(_ text: String) -> Range<Int>? {
    let ends = text.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
    return ends.count == 2 ? ends[0]..<ends[1] + 1 : nil
  }

  @Test("the address of an object is asked for once, however many parts are read side by side, and its sign is for the remote's own host")
  func place() async throws {
    try await with { (server, store) async throws in
      server.has("/x", at: "https://other.example/p/base/x?sign=a:0")
      server.send("/p/base/x?sign=a:0", Self.file)
      try await withThrowingTaskGroup { group in
        for start in 0..<4 {
          group.addTask { #expect(await read(store, Int64(start)..<Int64(start) + 3).text == Self.bytes.dropFirst(start).prefix(3)) }
        }
        try await group.waitForAll()
      }
      #expect(await read(store).text == Self.bytes)
      #expect(server.count("/api/fs/get") == 1)
      #expect(server.requests.filter { $0.target.hasPrefix("/p/") }.allSatisfy { $0.header("Authorization") == nil })
    }
  }

  @Test("a sign that has ended is asked for anew, and what was replaced meanwhile is not read", arguments: [true, false])
  func sign(isAList: Bool) async throws {
    try await with { (server, store) async throws in
      let place = { (sign: String, modified: String) in
        server.has("/x", at: "http://\(server.authority)/p/x?sign=\(sign):1", modified: modified, isAList: isAList)
        server.send("/p/x?sign=\(sign):1", Self.file)
      }
      let end = { (sign: String) in
        server.send("/p/x?sign=\(sign):1") {
          $0.answer(isAList ? #"{"code":401,"message":"sign expired","data":null}"# : "<p>no</p>", status: isAList ? "200 OK" : "401 No")
        }
      }
      place("a", "2026-01-02T03:04:05.678Z")
      let version = try await store.stat("/x", fresh: false).stored?.version
      #expect(await read(store, 0..<5, of: version).text == "01234")
      end("a")
      // Nobody has a better one, and now it was asked for a moment ago.
      #expect(failure(await read(store, 5..<10, of: version).end)?.kind == .auth)
      place("b", "2026-01-02T03:04:05.678Z")
      try await Task.sleep(for: .milliseconds(1100))
      #expect(await read(store, 5..<10, of: version).text == "56789")
      end("b")
      place("c", "2026-01-02T03:04:05.679Z")
      let (text, last) = await read(store, 5..<10, of: version)
      #expect(text.isEmpty && failure(last)?.kind == .input)
    }
  }

  @Test("what replaces an object between two parts is noticed by its tag and its size, though its address is known")
  func replaced() async throws {
    for (bytes, tag) in [(Self.bytes, "Etag: \"695735a6-a\""), (Self.bytes + "a", Self.tag)] {
      try await with { (server, store) async throws in
        server.has("/x", at: "http://\(server.authority)/p/x")
        server.send("/p/x", Self.file)
        #expect(await read(store, 0..<5).text == "01234")
        server.send("/p/x") { Self.send($0, bytes, tag) }
        #expect(failure(await read(store, 5..<10).end)?.kind == .input)
        #expect(server.count("/api/fs/get") == 1)
      }
    }
  }

  @Test("a page or words in place of an object are what they are")
  func pages() async throws {
    try await with { (server, store) async throws in
      let answers: [(body: String, type: String, status: String, kind: Failure.Kind)] = [
        ("<h1>hi</h1>", "text/html", "200 OK", .protocol), ("0123456789", "text/html", "200 OK", .protocol),
        (#"{"code":403,"message":"proxy not allowed","data":null}"#, "application/json", "200 OK", .rejected),
        (#"{"code":401,"message":"sign invalid","data":null}"#, "application/json", "200 OK", .auth),
        ("<h1>500</h1>", "text/html", "500 Internal Server Error", .server), ("<h1>403</h1>", "text/html", "403 Forbidden", .auth),
      ]
      for (number, said) in answers.enumerated() {
        server.has("/\(number)", at: "http://\(server.authority)/p/\(number)", isAList: true)
        server.send("/p/\(number)") { $0.answer(said.body, status: said.status, type: said.type) }
        for range in [nil, 2..<5] as [Range<Int64>?] {
          let (text, end) = await read(store, range, path: "/\(number)")
          #expect(text.isEmpty && failure(end)?.kind == said.kind, "\(said.body): \(end)")
        }
      }
    }
  }

  @Test("all of an object may come without a part being made of it, with its length and what servers of files say")
  func wholeAnswer() async throws {
    try await with { (server, store) async throws in
      server.has("/x", at: "http://\(server.authority)/p/x")
      server.send("/p/x") { $0.answer(Self.bytes, type: "application/octet-stream", headers: [Self.tag]) }
      #expect(await read(store).text == Self.bytes)
      let (text, end) = await read(store, 2..<5)
      #expect(text.isEmpty && failure(end)?.kind == .protocol)
    }
  }

  @Test("an object of which the server knows no bytes is looked at")
  func empty() async throws {
    try await with { (server, store) async throws in
      server.has("/x", at: "http://\(server.authority)/p/x", size: 0)
      server.send("/p/x") { $0.answer("", type: "application/octet-stream", headers: ["Etag: \"695735a5-0\""]) }
      let (text, end) = await read(store)
      #expect(text.isEmpty)
      #expect(try end.get().stored?.size == 0)
      server.send("/p/x", Self.file)
      let (none, other) = await read(store)
      #expect(none.isEmpty && failure(other)?.kind == .protocol)
    }
  }

  @Test("AList's web page of a text is never the text, and its WebDAV is tried first")
  func page() async throws {
    try await with { (server, store) async throws in
      server.has("/a%.md", at: "http://\(server.authority)/p/a%25.md?sign=a:0", isAList: true)
      let page: @Sendable (Exchange) -> Void = {
        $0.answer("<p>part</p>", status: "206 Partial Content", type: "text/html; charset=utf-8", headers: ["Content-Range: bytes 0-9/10"])
      }
      server.send("/p/a%2525.md?sign=a:0", page)
      server.send("/dav/a%25.md") { $0.answer("Unauthorized", status: "401 Unauthorized") }
      let (text, end) = await read(store, path: "/a%.md")
      #expect(text.isEmpty && failure(end)?.kind == .auth && failure(end)?.hint?.contains("login") == true, "\(end)")
      // One that makes no pages.
      server.send("/p/a%2525.md?sign=a:0", Self.file)
      #expect(await read(store, path: "/a%.md").text == Self.bytes)
      server.send("/p/a%2525.md?sign=a:0", page)
      server.send("/dav/a%25.md") {
        #expect($0.request.header("Authorization") == "Bearer secret-token")
        Self.file($0)
      }
      #expect(await read(store, path: "/a%.md").text == Self.bytes)
    }
  }

  @Test("what is elsewhere is read there, without the credentials")
  func foreign() async throws {
    let drive = try ScriptedServer { Self.file($0) }
    defer { drive.stop() }
    try await with { (server, store) async throws in
      server.has("/x", at: "http://\(drive.authority)/drive/abc?key=1")
      server.has("/y", at: "http://\(server.authority)/p/y?sign=a:0")
      server.send("/p/y?sign=a:0") { $0.answer("", status: "302 Found", headers: ["Location: http://\(drive.authority)/w/y"]) }
      // The address of another AList, which has the object under the same path.
      server.has("/z", at: "http://\(drive.authority)/p/z?sign=b:0")
      server.send("/p/z?sign=b:0") { $0.answer(#"{"code":401,"message":"sign invalid","data":null}"#) }
      for path in ["/x", "/y", "/z"] {
        #expect(await read(store, path: path).text == Self.bytes, "\(path)")
        #expect(await read(store, 2..<5, path: path).text == "234", "\(path)")
      }
      #expect(drive.requests.count == 6 && drive.requests.allSatisfy { $0.header("Authorization") == nil })
    }
  }

  private static func entries(_ names: [String], total: Int? = nil) -> String {
    let content = names.map { #"{"name":"\#($0)","size":1,"is_dir":false,"modified":"2026-01-02T03:04:05Z"}"# }.joined(separator: ",")
    return #"{"code":200,"message":"success","data":{"content":[\#(content)],"total":\#(total ?? names.count),"provider":"unknown"}}"#
  }

  private static let missing = #"{"code":500,"message":"failed get objs: failed get dir: object not found","data":null}"#
  private static let noRefresh = #"{"code":403,"message":"Refresh without permission","data":null}"#

  @Test(
    "that nothing is there is said where the listing of a folder above, made anew, shows that",
    arguments: [
      // What is said of the call and the folder, and the kind of the failure.
      ("it is not in its folder", ["list /a/b": entries(["other"])], nil),
      ("its folder is not there", ["list /a/b": missing, "list /a": entries([])], nil),
      ("nor is that above", ["list /a/b": missing, "list /a": missing, "list /": entries(["b"])], nil),
      ("no folder is there", ["list /a/b": missing, "list /a": missing, "list /": missing], .server),
      ("a folder that can't be listed", ["list /a/b": missing, "list /a": entries(["b"])], .server),
      ("it is there all the same", ["list /a/b": entries(["x"])], .server),
      ("it is on another page", ["list /a/b 1": entries(["y"], total: 201), "list /a/b 2": entries(["x"], total: 201)], .server),
      ("it is on no page", ["list /a/b 1": entries(["y"], total: 2), "list /a/b 2": entries(["X"], total: 2)], nil),
      ("the server gives short pages", ["list /a/b 1": entries(["y"], total: 2), "list /a/b 2": entries(["x"], total: 2)], .server),
      ("a page is missing", ["list /a/b 1": entries(["y"], total: 201), "list /a/b 2": entries([], total: 201)], .protocol),
      ("one has no name", ["list /a/b": #"{"code":200,"message":"success","data":{"content":[{"is_dir":false}],"total":1}}"#], .protocol),
      ("its storage fails", ["list /a/b": #"{"code":500,"message":"dial tcp: refused","data":null}"#], .server),
      ("its storage is not there", ["list /a/b": #"{"code":500,"message":"storage not found; rawPath: /a","data":null}"#], .rejected),
      ("it has a password", ["list /a/b": #"{"code":403,"message":"password is incorrect or you have no permission","data":null}"#], .auth),
      ("nobody may look anew", ["list /a/b refresh": noRefresh, "list /a/b": entries([])], .auth),
      ("nobody may look anew, at files of the server", ["list /a/b refresh": noRefresh, "list /a/b": entries([]), "get": "Local"], nil),
    ] as [(String, [String: String], Failure.Kind?)])
  func nothing(what: String, said: [String: String], kind: Failure.Kind?) async throws {
    try await with { (server, store) async throws in
      for (call, body) in said where call != "get" { server.say(body, to: "/api/fs/\(call)") }
      server.say(Self.missing, to: "/api/fs/get /a/b/x")
      let driver = said["get"] ?? "OneDrive"
      server.say(
        #"{"code":200,"message":"success","data":{"name":"b","size":0,"is_dir":true,"provider":"\#(driver)"}}"#, to: "/api/fs/get /a/b")
      var failure: Failure?
      do throws(Failure) { try await store.confirmNothing(at: "/a/b/x") } catch { failure = error }
      #expect(failure?.kind == kind, "\(what): \(String(describing: failure))")
    }
  }

  @Test("a list of what is not there is nothing only if that is certain")
  func list() async throws {
    try await with { (server, store) async throws in
      server.say(Self.missing, to: "/api/fs/list /a")
      server.say(Self.entries(["b"]), to: "/api/fs/list /")
      #expect(try await store.list("/a", page: nil) == nil)
      server.say(Self.entries(["a"]), to: "/api/fs/list /")
      await #expect(throws: Failure.self) { try await store.list("/a", page: nil) }
      server.say(Self.noRefresh, to: "/api/fs/list /a refresh")
      server.say(Self.entries(["x"]), to: "/api/fs/list /a")
      #expect(try await store.list("/a", page: nil)?.entries.map(\.path) == ["/a/x"])
      // All that was told of came, or it is no list.
      server.say(Self.entries(["x"], total: 2), to: "/api/fs/list /b 1")
      server.say(Self.entries(["y"], total: 2), to: "/api/fs/list /b 2")
      let first = try #require(await store.list("/b", page: nil))
      let second = try await store.list("/b", page: first.next)
      #expect(first.next != nil && second?.entries.map(\.path) == ["/b/y"] && second?.next == nil)
      server.say(Self.entries([], total: 2), to: "/api/fs/list /b 2")
      await #expect(throws: Failure.self) { try await store.list("/b", page: first.next) }
      server.say(#"{"code":200,"message":"success","data":{"content":[{"name":"x"}],"total":1}}"#, to: "/api/fs/list /c")
      await #expect(throws: Failure.self) { try await store.list("/c", page: nil) }
    }
  }

  @Test("an object is young where its time is that of this second, and has no fraction of one")
  func young() throws {
    let told = { (modified: String, date: String?) in
      JSONValue(parsing: Array(#"{"is_dir":false,"size":3,"modified":"\#(modified)"}"#.utf8)).flatMap {
        Stored(alist: $0, at: "/x", date: date)?.isYoung
      }
    }
    let date = "Fri, 02 Jan 2026 03:04:05 GMT"
    for modified in [
      "2026-01-02T03:04:05Z", "2026-01-02T03:04:04Z", "2026-01-02T04:04:06+01:00", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    ] {
      #expect(told(modified, date) == true, "\(modified)")
    }
    for modified in ["2026-01-02T03:04:03Z", "2026-01-02T03:04:05.6Z"] { #expect(told(modified, date) == false, "\(modified)") }
    #expect(told("2026-01-02T03:04:05Z", nil) == false)
  }
}

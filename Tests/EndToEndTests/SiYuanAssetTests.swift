import Foundation
import Support
import Testing

/// `-o asset`: a name that SiYuan makes, and the link for a note.
@Suite(.sandboxed)
struct SiYuanAssetTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  /// The files below a folder of the workspace.
  private func assets(of server: Loopback, in folder: String = "") -> [String] {
    names(in: server.siyuanFile("/data/assets\(folder)")).sorted()
  }

  @Test(
    "any name becomes one that a note can link to, and the link is in the result",
    arguments: [
      ("photo (1).PNG", "photo 1-", ".png"), ("what? [数] 100%.txt", "what_ 数 100-", ".txt"), ("plain", "plain-", ""),
      ("a \"quoted\" name", "a 22quoted22 name-", ""), (".hidden", "-", ".hidden"), ("end.", "end-", ""),
      (String(repeating: "é", count: 120) + ".txt", String(repeating: "é", count: 92) + "-", ".txt"),
      ("old-20260113113402-prc0u4k.png", "old-20260113113402-prc0u4k-", ".png"),
    ])
  func safeName(name: String, beginning: String, end: String) async throws {
    let server = try await box.loopback()
    let result = try await box.sluice("-o", "asset", server.siyuan("/data/assets/\(name)"), input: bytes).success()
    let link = try #require(result["link"].text)
    #expect(link.hasPrefix("assets/\(beginning)") && link.hasSuffix(end), "\(link)")
    #expect(link.dropFirst(7 + beginning.count).dropLast(end.count).wholeMatch(of: #/[0-9]{14}-[0-9a-z]{7}/#) != nil, "\(link)")
    #expect(result["path"].text == "data/assets/\(name)")
    guard case .object(let links) = result["response"]["data"]["succMap"] else { throw ProgramError(description: "no succMap") }
    #expect(links.values.map(\.text) == [link])
    try expectSame(contents(server.siyuanFile("/data/\(link)")), bytes)
    #expect(assets(of: server).count == 1)
  }

  @Test("the same object under the same name is the same asset, another one does not replace it", arguments: ["", "/sub/deep"])
  func again(folder: String) async throws {
    let server = try await box.loopback()
    let destination = server.siyuan("/data/assets\(folder)/a.txt")
    let first = try await box.sluice("-o", "asset", destination, input: bytes).success()["link"].text
    let second = try await box.sluice("-o", "asset", destination, input: bytes).success()["link"].text
    let other = try await box.sluice("-o", "asset", destination, input: bytes + [1]).success()["link"].text
    let empty = try await box.sluice("-o", "asset", "--min-size", "0", destination, input: []).success()["link"].text
    #expect(first == second)
    #expect(Set([first, other, empty]).count == 3)
    #expect(assets(of: server, in: folder).count == 3)
    for link in [first, other, empty] { #expect(try #require(link).hasPrefix("assets\(folder)/a-")) }
    try expectSame(contents(server.siyuanFile("/data/\(try #require(first))")), bytes)
  }

  @Test("an answer that is lost leaves one asset, and the link is known in the end")
  func lostAnswer() async throws {
    let server = try await box.loopback("--store-then-cut", "--times", "1")
    let result = try await box.sluice("-o", "asset", server.siyuan("/data/assets/photo (1).png"), input: bytes).success()
    #expect(result["attempts"].int == 2)
    #expect(try assets(of: server).map { "assets/\($0)" } == [#require(result["link"].text)])
  }

  @Test("a held spool becomes the same asset, and one that is newer is no reason to leave it out")
  func held() async throws {
    let server = try await box.loopback("--status", "503", "--times", "1")
    let destination = server.siyuan("/data/assets/scan.pdf")
    let id = try #require(
      try await box.sluice("-o", "asset", "--retries", "0", destination, input: bytes).failure(69, "server")["held"].text)
    let newer = try await box.sluice("-o", "asset", destination, input: [1, 2, 3]).success()["link"].text
    let pushed = try await box.sluice("held", "push", id).success()
    #expect(pushed["superseded"] == .null)
    let link = try #require(pushed["link"].text)
    #expect(link != newer)
    try expectSame(contents(server.siyuanFile("/data/\(link)")), bytes)
    #expect(try await box.sluice("-o", "asset", destination, input: bytes).success()["link"].text == link)
    #expect(assets(of: server).count == 2)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("--verify compares the asset, wherever it lies", arguments: ["a.txt", "a.svg", "photo (1).png"])
  func verify(name: String) async throws {
    let server = try await box.loopback("--truncate-stored", "5", "--times", "1")
    let large = [UInt8](repeating: 3, count: 100_000)
    let result = try await box.sluice("-o", "asset", "--verify", server.siyuan("/data/assets/\(name)"), input: large).success()
    #expect(result["attempts"].int == 2)
    #expect(result["verified"].text == "size+hash")
    #expect(assets(of: server).count == 1)
  }

  @Test(
    "what does nothing with an asset is a usage error before the input is read",
    arguments: [
      ["--no-clobber"], ["--mtime", "2020-01-01T00:00:00Z"], ["--part-size", "1M"], ["--no-preflight", "--no-clobber"],
    ])
  func usage(options: [String]) async throws {
    let server = try await box.loopback()
    let arguments = ["-o", "asset"] + options + [server.siyuan("/data/assets/x")]
    let run = try await box.start(box.client(arguments, input: .endless)).finish()
    run.usage()
    #expect(try server.log().isEmpty)
  }

  @Test("an asset has its place below data/assets", arguments: ["/data/x", "/temp/assets/x", "/data/20210808180117-czj9bvb/assets/x"])
  func place(path: String) async throws {
    let server = try await box.loopback()
    for options in [[], ["--no-preflight"]] {
      let run = try await box.start(box.client(["-o", "asset"] + options + [server.siyuan(path)], input: .endless)).finish()
      run.usage()
      #expect(run.errorText.contains("data/assets/x"), "\(run.summary)")
    }
    try await box.sluice("check", "-o", "asset", server.siyuan(path)).usage()
    #expect(try server.log().isEmpty)
  }

  @Test("check asks what the upload would ask, and a remote can make assets by itself")
  func remote() async throws {
    let server = try await box.loopback()
    let config = try box.file(
      "config.yaml", "remotes:\n  notes:\n    type: siyuan\n    url: \(server.url)\n    token: \(Loopback.token)\n    asset: \"\"\n",
      mode: 0o600)
    let environment: [String: String?] = ["SLUICE_CONFIG": config]
    try await box.sluice("check", "notes:data/assets/photo (1).png", environment: environment).success()
    #expect(assets(of: server).isEmpty)
    let result = try await box.sluice("notes:data/assets/photo (1).png", input: bytes, environment: environment).success()
    #expect(result["link"].text?.hasPrefix("assets/photo 1-") == true)
    try await box.sluice("notes:data/x", input: bytes, environment: environment).usage()
    try await box.sluice("mkdir", "-o", "asset", server.siyuan("/data/assets/x")).usage()
  }

  @Test("a read-only kernel is noticed before the input is read")
  func readOnly() async throws {
    let server = try await box.loopback("--read-only")
    try await box.sluice("-o", "asset", server.siyuan("/data/assets/x"), input: .endless).failure(73, "rejected")
    #expect(try server.log("/api/asset/upload").isEmpty)
  }

  @Test(
    "an answer without a link is no success",
    arguments: [
      (#"{"code":0,"msg":"write x.tmp: no space left on device","data":{"errFiles":["x"],"succMap":{}}}"#, 73, "rejected", 1),
      (#"{"code":0,"msg":"open x.tmp: something else","data":{"errFiles":["x"],"succMap":{}}}"#, 69, "server", 2),
      (#"{"code":0,"msg":"","data":{"errFiles":null,"succMap":{}}}"#, 69, "server", 2),
      (#"{"code":-1,"msg":"unexpected EOF","data":null}"#, 69, "server", 2),
      (#"{"code":-1,"msg":"Path [x] is not in workspace","data":null}"#, 69, "server", 2),
    ] as [(String, Int32, String, Int)])
  func noLink(answer: String, exit: Int32, kind: String, attempts: Int) async throws {
    let server = try box.scripted { exchange in
      exchange.readBody()
      exchange.answer(exchange.request.target == "/api/asset/upload" ? answer : #"{"code":404,"msg":"","data":null}"#)
    }
    let destination = "siyuan+http://\(server.authority)/data/assets/x"
    let run = try await box.sluice("-o", "asset", "--no-preflight", "--retries", "1", destination, input: bytes)
    let result = try run.failure(exit, kind)
    #expect(result["attempts"].int == attempts, "\(run.summary)")
    #expect(result["link"] == .null)
  }
}

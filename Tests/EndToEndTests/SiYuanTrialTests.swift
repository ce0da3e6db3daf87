import Foundation
import Support
import Testing

/// What was seen on a running kernel 3.7.3 and was not known before.
@Suite(.sandboxed)
struct SiYuanTrialTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test(
    "the loopback server sends a file of more than 2,048 bytes without a length, as the kernel does",
    .enabled(if: Program.installed("python3") != nil, "python3 is not installed"), arguments: [2048, 2049])
  func chunked(size: Int) async throws {
    let server = try await box.loopback("--open")
    try write([UInt8](repeating: 1, count: size), to: server.siyuanFile("/data/x"))
    try box.file(
      "ask.py",
      """
      import http.client, sys
      connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))
      connection.request('POST', '/api/file/getFile', '{"path":"data/x"}')
      answer = connection.getresponse()
      print(answer.getheader('Content-Length'), answer.getheader('Transfer-Encoding'), len(answer.read()))
      """)
    let asked = try await box.shell("python3 ask.py \(server.port)")
    #expect(asked.outputText == (size > 2048 ? "None chunked 2049\n" : "2048 None 2048\n"), "\(asked.summary)")
  }

  @Test("an upload that is to be verified can be held and pushed")
  func heldAndVerified() async throws {
    let server = try await box.loopback("--status", "503", "--times", "1")
    let large = [UInt8](repeating: 3, count: 100_000)
    let failed = try await box.sluice("--verify", "--retries", "0", server.siyuan("/data/x"), input: large).failure(69, "server")
    let id = try #require(failed["held"].text)
    let pushed = try await box.sluice("held", "push", id).success()
    #expect(pushed["verified"].text == "size+hash")
    #expect(box.spoolNames.isEmpty)
  }

  @Test("--verify finds other bytes of the same number")
  func otherBytes() async throws {
    let server = try box.scripted { exchange in
      switch exchange.request.target {
      case "/api/file/putFile": exchange.answer(#"{"code":0,"msg":"","data":null}"#)
      case "/api/file/getFile":
        exchange.readBody()
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nsome obiect\n\r\n0\r\n\r\n")
      case "/api/file/readDir": exchange.answer(#"{"code":409,"msg":"path is not a directory","data":null}"#)
      default: exchange.answer(#"{"code":404,"msg":"","data":null}"#)
      }
    }
    let run = try await box.sluice(
      "--verify", "--no-preflight", "--retries", "0", "siyuan+http://\(server.authority)/data/x", input: bytes)
    let result = try run.failure(69, "server")
    #expect(result["error"]["message"].text?.contains("other bytes") == true, "\(run.summary)")
  }

  @Test("what is only asked about is not read by the kernel")
  func onlyAsked() async throws {
    let server = try await box.loopback("--truncate-stored", "5")
    let destination = server.siyuan("/data/assets/x")
    try await box.sluice("check", destination).success()
    try await box.sluice(destination, input: bytes).success()
    try await box.sluice("check", "--no-clobber", destination).failure(73, "exists")
    try await box.sluice("--verify", "--retries", "0", destination, input: bytes).failure(69, "server")
    #expect(try server.log("/api/file/getFile").isEmpty)
    #expect(try server.log("/assets/x").isEmpty)
  }

  @Test("a long folder is a folder")
  func longFolder() async throws {
    let server = try await box.loopback()
    for number in 0..<200 { try write([], to: server.siyuanFile("/data/dir/a file with a long name \(number)")) }
    let result = try await box.sluice("check", server.siyuan("/data/dir")).failure(73, "rejected")
    #expect(result["error"]["message"].text == "data/dir is a directory")
  }

  @Test("what lies below a file is refused, and a folder that the kernel can't list is a folder")
  func notListed() async throws {
    let server = try await box.loopback()
    try write([], to: server.siyuanFile("/data/file"))
    for path in ["/data/file/x", "/data/file/folder/x"] {
      let result = try await box.sluice(server.siyuan(path), input: .endless).failure(73, "rejected")
      #expect(result["error"]["message"].text == "data/file is a file, not a directory")
    }
    try makeDirectory(server.siyuanFile("/data/dir"))
    try FileManager.default.createSymbolicLink(atPath: server.siyuanFile("/data/dir/link"), withDestinationPath: "nowhere")
    let result = try await box.sluice("check", server.siyuan("/data/dir")).failure(73, "rejected")
    #expect(result["error"]["message"].text == "data/dir is a directory")
    try await box.sluice(server.siyuan("/data/dir/x"), input: bytes).success()
  }

  @Test("a read-only kernel is noticed before the input is read")
  func readOnly() async throws {
    let server = try await box.loopback("--read-only")
    try await box.sluice("check", server.siyuan("/data/x")).failure(73, "rejected")
    try await box.sluice(server.siyuan("/data/x"), input: .endless).failure(73, "rejected")
    #expect(try server.log("/api/file/putFile").isEmpty)
    // Older kernels take this with an empty path for the whole workspace.
    #expect(try server.log("/api/file/removeFile").isEmpty)
  }

  @Test("a read-only kernel is known by its answer, in whatever language it speaks")
  func readOnlyWords() async throws {
    let server = try box.scripted { exchange in
      exchange.answer(
        #"{"cmd":"","reqId":0,"app":"","sid":"","pushMode":0,"callback":"","code":-1,"msg":"只读模式","data":{"closeTimeout":5000}}"#)
    }
    let destination = "siyuan+http://\(server.authority)/data/x"
    let result = try await box.sluice("--no-preflight", "--retries", "2", destination, input: bytes).failure(73, "rejected")
    #expect(result["attempts"].int == 1)
    #expect(result["error"]["message"].text?.contains("只读模式") == true)
  }

  /// Names and whether they can be new.
  private static let newNames: [(name: String, isAllowed: Bool)] = [
    (" blank before.txt", false), ("zero\u{200b}width", false), ("joined\u{200d}", false), ("\u{feff}bom", false),
    ("soft\u{ad}hyphen", false), ("no-break\u{a0}space", false), ("wide\u{3000}space", true), ("\u{3000}wide", false),
    ("right\u{202e}left", false),
    ("private\u{e000}", false), ("one blank.txt", true), ("e\u{301}🗄️数", true), (".hidden", true),
    (String(repeating: "n", count: 189), true), (String(repeating: "n", count: 190), false),
    (String(repeating: "n", count: 181) + ".txt", true), (String(repeating: "n", count: 182) + ".txt", false),
    (String(repeating: "n", count: 184) + ".txt", false), (String(repeating: "n", count: 185) + ".txt", true),
    (String(repeating: "n", count: 186) + ".txt", false), (String(repeating: "n", count: 145) + "-270-20260113113402-prc0u4k.png", true),
    (String(repeating: "n", count: 151) + "-270-20260113113402-prc0u4k.png", false),
  ]

  @Test("names that the kernel would refuse are refused before the input is read, and no others", arguments: newNames.indices)
  func newName(index: Int) async throws {
    let (name, isAllowed) = Self.newNames[index]
    let server = try await box.loopback()
    let destination = server.siyuan("/data/\(name)")
    let checked = try await box.sluice("check", destination)
    #expect(checked.exit == (isAllowed ? 0 : 73), "\(checked.summary)")
    // The server is asked too.
    let sent = try await box.sluice("--no-preflight", "--no-hold", "--retries", "0", destination, input: bytes)
    #expect(sent.exit == (isAllowed ? 0 : 73), "\(sent.summary)")
  }

  @Test("mkdir gives a folder the time of --mtime, and says where that is not to be had")
  func folderTime() async throws {
    let server = try await box.loopback()
    try await box.sluice("mkdir", "--mtime", "1577934245678", server.siyuan("/data/a/b")).success()
    #expect(try await server.puts(to: "/api/file/putFile")[0]["fields"]["modTime"].text == "1577934245678")
    #expect(try modified(server.siyuanFile("/data/a/b")).rounded(.down) == 1_577_934_245)
    try await box.sluice("mkdir", "--mtime", "1577934245678", server.alist("/a"), server.siyuan("/data/c")).usage()
    #expect(!exists(server.siyuanFile("/data/c")))
  }

  @Test("a time that the kernel would make another one of is refused before the input is read")
  func farTime() async throws {
    let server = try await box.loopback()
    for time in ["2500-01-01T00:00:00Z", "9223372036855"] {
      let run = try await box.sluice("--mtime=\(time)", server.siyuan("/data/x"), input: .endless)
      try run.failure(73, "rejected")
      try await box.sluice("mkdir", "--mtime=\(time)", server.siyuan("/data/x")).failure(73, "rejected")
    }
    #expect(try server.log("/api/file/putFile").isEmpty)
    try await box.sluice("--mtime", "2262-04-11T00:00:00Z", server.siyuan("/data/x"), input: bytes).success()
    #expect(try modified(server.siyuanFile("/data/x")) == 9_223_286_400)
  }
}

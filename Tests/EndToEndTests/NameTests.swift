import Foundation
import Support
import Testing

/// Names with every awkward character arrive as written, or are refused before the input is read.
@Suite(.sandboxed)
struct NameTests {
  /// What every file system can hold.
  private static let awkward = [
    "with blank", "a%20b", "100%", "a+b", "what?", "#1", "a&b=c", "it's", "say \"hi\"", "数据库备份", "データ", "한글", "🗄️📦", "e\u{301}te\u{301}",
    "été", "-dash", "--help", " leading", "trailing ", "a..b", "...", ".hidden", "semi;colon", "a%2Fb", "%252F", "(1)", "[x]{y}", "a*b",
    "$HOME",
    "`id`", "a|b", "<x>", "a:b", "C:", "~", "!", "@", ",", "^", "tab no", "\u{202e}rtl", "\u{a0}nbsp", "a\u{200b}b", "ÿ", "%E4", "&amp;",
    String(repeating: "n", count: 255), String(repeating: "漢", count: 85),
  ]
  private let box = Sandbox.here

  @Test("AList gets the name as written", arguments: awkward)
  func alist(name: String) async throws {
    let server = try await box.loopback()
    let result = try await box.sluice(server.alist("/dir/\(name)"), input: Array(name.utf8)).success()
    #expect(try contents(server.alistFile("/dir/\(name)")) == Array(name.utf8))
    #expect(names(in: server.alistFile("/dir")) == [name])
    #expect(result["path"].text == "/dir/\(name)")
    try await box.sluice("-o", "direct", server.alist("/dir/\(name)"), input: Array("again".utf8)).success()
    #expect(try await server.puts(2)[1]["headers"]["file-path"].text == percentEncoded("/dir/\(name)"))
    #expect(try contents(server.alistFile("/dir/\(name)")) == Array("again".utf8))
    #expect(names(in: server.alistFile("/dir")) == [name])
  }

  @Test("AList gets a folder's name as written", arguments: ["a b%c", "数#据?", "+&="])
  func folder(name: String) async throws {
    let server = try await box.loopback()
    try await box.sluice(server.alist("/\(name)/x"), input: Array("x".utf8)).success()
    #expect(names(in: server.alistFile("/")) == [name])
  }

  @Test("a local file gets the name as written", arguments: awkward)
  func file(name: String) async throws {
    try makeDirectory("\(box.work)/dir")
    let client = box.client(
      [name.utf8.count > 250 ? "--" : "-q"].filter { $0 != "--" } + ["file:dir/\(name)"], input: .bytes(Array("x".utf8)))
    try await box.start(client).finish().success()
    #expect(names(in: "\(box.work)/dir") == [name])
  }

  @Test(
    "SiYuan gets the names that it allows as written",
    arguments: [
      "with blank", "a+b", "数据库备份", "データ", "한글", "🗄️📦", "e\u{301}te\u{301}", "-dash", "a..b", ".hidden", "a-b_c,d@e^f",
      String(repeating: "n", count: 189),
    ])
  func siyuan(name: String) async throws {
    let server = try await box.loopback()
    let result = try await box.sluice(server.siyuan("/data/dir/\(name)"), input: Array(name.utf8)).success()
    #expect(try contents(server.siyuanFile("/data/dir/\(name)")) == Array(name.utf8))
    #expect(names(in: server.siyuanFile("/data/dir")) == [name])
    #expect(result["path"].text == "data/dir/\(name)")
  }

  @Test(
    "SiYuan's forbidden names are refused in a second, while the producer has no end",
    arguments: [
      "a%b", "what?", "#1", "a&b", "a=c", "it's", "say \"hi\"", "(1)", "[x]", "{y}", "a*b", "$x", "`id`", "a|b", "<", ">", "a:b", "~", "!",
      "semi;colon", "back\\slash", "dot.", String(repeating: "n", count: 190),
    ])
  func siyuanRefuses(name: String) async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.siyuan("/data/\(name)"), input: .endless)
    try run.failure(73, "rejected")
    #expect(run.duration < .seconds(20))
    #expect(try server.log("/api/file/putFile").isEmpty)
  }

  @Test("a name that SiYuan has already may be written again, though it is none that it would make")
  func siyuanExisting() async throws {
    let server = try await box.loopback()
    try write(Array("old".utf8), to: server.siyuanFile("/data/photo (1).png"))
    try await box.sluice(server.siyuan("/data/photo (1).png"), input: Array("new".utf8)).success()
    try expectSame(contents(server.siyuanFile("/data/photo (1).png")), Array("new".utf8))
  }

  @Test("parents of a SiYuan path may have any name")
  func siyuanParent() async throws {
    let server = try await box.loopback()
    try await box.sluice(server.siyuan("/data/a (b) & c/x"), input: Array("x".utf8)).success()
    #expect(exists(server.siyuanFile("/data/a (b) & c/x")))
  }

  @Test("a backslash is refused for AList before the input is read")
  func backslash() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.alist("/a\\b"), input: .endless)
    try run.failure(73, "rejected")
    #expect(run.duration < .seconds(20))
  }

  @Test(
    "paths that can't be sent are usage errors, before anything is asked or read",
    arguments: ["/", "", "/dir/", "/a/../b", "/./a", "/..", "/a%0Ab", "/a%00b", "/a%7Fb", "/%", "/%zz", "/a%2", "/%ff"])
  func unsendable(path: String) async throws {
    let server = try await box.loopback()
    for scheme in ["alist", "siyuan"] {
      let run = try await box.sluice("\(scheme)+\(server.url)\(path)", input: .endless)
      run.usage()
      #expect(run.duration < .seconds(20))
    }
    #expect(try server.log().isEmpty)
  }

  @Test("a newline in a destination is a usage error", arguments: ["./a\nb", "file:a\u{1b}[31m", "nas:/a\rb"])
  func controlCharacters(destination: String) async throws {
    let run = try await box.sluice(destination, input: Array("x".utf8))
    run.usage()
    #expect(!run.errorText.contains("\u{1b}"))
    #expect(names(in: box.work).isEmpty)
  }

  @Test("? and # need no escape in a URL: they are characters of the name", arguments: ["/a?b=c", "/a#b"])
  func unescaped(path: String) async throws {
    let server = try await box.loopback()
    try await box.sluice("alist+\(server.url)\(path)", input: Array("x".utf8)).success()
    #expect(exists(server.alistFile(path)))
  }

  @Test("raw UTF-8 and blanks in a URL arrive as written")
  func raw() async throws {
    let server = try await box.loopback()
    try await box.sluice("alist+\(server.url)/数据 库", input: Array("x".utf8)).success()
    #expect(exists(server.alistFile("/数据 库")))
  }

  @Test("a percent escape is decoded once, also of a slash")
  func escapedSlash() async throws {
    let server = try await box.loopback()
    try await box.sluice("alist+\(server.url)/a%252Fb", input: Array("x".utf8)).success()
    #expect(names(in: server.alistFile("/")) == ["a%2Fb"])
  }

  @Test("the path of NAME:PATH is literal")
  func literal() async throws {
    let server = try await box.loopback()
    let environment = ["SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": server.url, "SLUICE_REMOTE_NAS_TOKEN": Loopback.token]
    try await box.sluice("nas:/100%25 + ?.txt", input: Array("x".utf8), environment: environment).success()
    #expect(names(in: server.alistFile("/")) == ["100%25 + ?.txt"])
  }

  @Test("a name of more than 255 bytes is warned of")
  func tooLong() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice("--retries", "0", server.alist("/" + String(repeating: "n", count: 256)), input: Array("x".utf8))
    #expect(run.errorText.contains("warning") && run.errorText.contains("255"))
    #expect(run.exit != 0)
    #expect(try run.result()["error"]["message"].text?.contains("name too long") == true, "\(run.summary)")
  }
}

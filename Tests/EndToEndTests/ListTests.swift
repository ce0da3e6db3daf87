import Foundation
import Support
import Testing

/// `sluice ls`.
@Suite(.sandboxed)
struct ListTests {
  private let box = Sandbox.here

  private func names(_ run: Finished) throws -> [String] { try run.entries().compactMap { $0["name"].text } }

  @Test("a local directory is listed by the bytes of the names, whatever they are")
  func local() async throws {
    let files = ["b", "a b", "B", "100%", "数据.sql", "-dash", ".hidden", "e\u{301}", "é", "new\nline", "x?y#z", "\u{1f5c4}"]
    for name in files { try box.file("d/\(name)", "12345") }
    try makeDirectory("\(box.work)/d/sub")
    symlink("nowhere", "\(box.work)/d/link")
    let run = try await box.sluice("ls", "./d")
    #expect(run.exit == 0 && run.errorText.isEmpty, "\(run.summary)")
    let all = (files + ["sub", "link"]).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let found = try names(run)
    #expect(found.count == all.count && zip(found, all).allSatisfy { $0.utf8.elementsEqual($1.utf8) }, "\(run.summary)")
    for line in try run.entries() {
      let name = try #require(line["name"].text)
      #expect(line["path"].text == "./d/\(name)" && line["source"].text == "./d/\(name)", "\(run.summary)")
      #expect(line["bytes"].int == (files.contains(name) ? 5 : nil), "\(run.summary)")
      #expect(name == "link" || line["dir"] == .bool(name == "sub"), "\(run.summary)")
    }
    let home = try await box.sluice("ls", "~/", "/")
    #expect(home.exit == 0 && home.outputText.contains("\"path\":\"/tmp\""), "\(home.summary)")
  }

  @Test("the time of last change is told in UTC with milliseconds, also before 1970")
  func times() async throws {
    try box.file("d/x", "")
    for (milliseconds, text) in [
      (1_767_323_045_006, "2026-01-02T03:04:05.006Z"), (-1, "1969-12-31T23:59:59.999Z"), (0, "1970-01-01T00:00:00.000Z"),
    ] {
      let seconds = Int((Double(milliseconds) / 1000).rounded(.down))
      var times = [timespec(), timespec(tv_sec: seconds, tv_nsec: (milliseconds - seconds * 1000) * 1_000_000)]
      times[0] = times[1]
      #expect(utimensat(AT_FDCWD, "\(box.work)/d/x", times, 0) == 0)
      let run = try await box.sluice("ls", "./d")
      #expect(try run.entries().first?["modified"].text == text, "\(run.summary)")
    }
  }

  @Test("an object that is named is listed itself, but not with a slash behind it")
  func object() async throws {
    try box.file("d/x", "12345")
    let run = try await box.sluice("ls", "./d/x")
    #expect(run.exit == 0 && run.outputText.hasPrefix(#"{"name":"x","path":"./d/x","source":"./d/x","bytes":5,"#), "\(run.summary)")
    let server = try await box.loopback()
    try write(Array("12345".utf8), to: server.alistFile("/x"))
    #expect(try await names(box.sluice("ls", server.alist("/x"))) == ["x"])
    for (place, status) in [("./d/x/", 66), (server.alist("/x/"), 73)] as [(String, Int32)] {
      let refused = try await box.sluice("ls", place)
      #expect(refused.exit == status && refused.output.isEmpty, "\(refused.summary)")
      #expect(refused.errorText.contains(place), "\(refused.summary)")
    }
  }

  @Test("of several directories each is listed, and the first failure in their order is the exit status")
  func several() async throws {
    try box.file("d/x", "1")
    try box.file("e/y", "2")
    let server = try await box.loopback()
    try write([1], to: server.alistFile("/file"))
    let run = try await box.sluice("ls", "./d", "./none", server.alist("/file/"), "./e")
    #expect(run.exit == 66, "\(run.summary)")
    #expect(try run.entries().map { $0["source"].text } == ["./d/x", "./e/y"], "\(run.summary)")
    for place in ["./none: there is no such directory", "\(server.alist("/file/")): "] {
      #expect(run.errorText.contains(place), "\(run.summary)")
    }
    let reordered = try await box.sluice("ls", server.alist("/file/"), "./none")
    #expect(reordered.exit == 73 && reordered.output.isEmpty, "\(reordered.summary)")
    let plain = try await box.sluice("ls", "./d", server.plain("/"))
    plain.usage()
    #expect(
      plain.errorText.contains("plain HTTP lists no directories") && plain.errorText.contains("hint: dav+http://"), "\(plain.summary)")
    let wrong = try await box.sluice("ls", "./d", "unknown:/x")
    #expect(wrong.exit == 78 && wrong.outputText.contains("./d/x"), "\(wrong.summary)")
    try await box.sluice("ls", "d").usage()
    try await box.sluice("ls").usage()
    try await box.sluice("ls", "-o", "direct", "./d").usage()
  }

  @Test("what has not got its name yet is listed with --all alone")
  func temporary() async throws {
    let names = [".x.sluice-0a1b2c3d", "x.sluice-0a1b2c3d"]
    let others = [".sluice-1000", ".x", "x.sluice-", "x.sluice-0a1b2c3", "x.sluice-0a1b2c3d.gz", "x.sluice-OA1B2C3D"]
    for name in names + others { try box.file("d/\(name)", "") }
    #expect(try await self.names(box.sluice("ls", "./d")) == others.sorted())
    for option in ["-a", "--all"] { #expect(try await self.names(box.sluice("ls", option, "./d")) == (names + others).sorted()) }
    #expect(try await self.names(box.sluice("ls", "./d/\(names[0])")) == [names[0]])
  }

  @Test("the root of a server, of a remote and of a bucket")
  func roots() async throws {
    let server = try await box.loopback()
    let s3 = try ScriptedS3(box)
    try write([1], to: server.alistFile("/a%b"))
    s3.plant([1], at: "/b/dir/x")
    s3.plant([1], at: "/b/dir")
    var environment = s3.environment
    for (key, value) in ["TYPE": "alist", "URL": server.url, "TOKEN": Loopback.token] { environment["SLUICE_REMOTE_NAS_\(key)"] = value }
    for (place, source) in [
      (server.alist("/"), "\(server.alist("/"))a%25b"), (server.alist(""), "\(server.alist(""))/a%25b"), ("nas:", "nas:a%b"),
      ("nas:/", "nas:/a%b"),
    ] {
      let run = try await box.sluice("ls", place, environment: environment)
      #expect(try run.entries().map { $0["source"].text } == [source], "\(place): \(run.summary)")
      #expect(try run.entries().map { $0["path"].text } == ["/a%b"], "\(place): \(run.summary)")
      #expect(try await box.sluice("ls", source, environment: environment).outputText == run.outputText)
    }
    let run = try await box.sluice("ls", "s3://b", environment: environment)
    let lines = try run.entries()
    #expect(
      lines.map { $0["path"].text } == ["b/dir", "b/dir/"] && lines.map { $0["dir"] } == [.bool(false), .bool(true)], "\(run.summary)")
    #expect(lines.map { $0["source"].text } == ["s3://b/dir", "s3://b/dir"], "\(run.summary)")
    let none = try await box.sluice("ls", "s3://other", "s3://b/none", environment: environment)
    #expect(none.exit == 66 && none.output.isEmpty, "\(none.summary)")
  }

  // MARK: - Pages

  @Test("all pages of AList are asked for, and the first one anew")
  func pages() async throws {
    let server = try await box.loopback()
    let all = (1...450).map { "文件 \($0)" }
    for name in all { try write([1], to: server.alistFile("/many/\(name)")) }
    let run = try await box.sluice("ls", server.alist("/many"))
    #expect(try names(run) == all.sorted(), "\(run.summary)")
    let asked = try server.log("/api/fs/list")
    #expect(asked.count == 3)
  }

  @Test("who may not have AList look anew is shown what it remembers")
  func refreshing() async throws {
    let server = try await box.loopback("--permission", "0")
    try write([1], to: server.alistFile("/x"))
    let run = try await box.sluice("ls", server.alist("/"))
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try names(run) == ["x"], "\(run.summary)")
  }

  @Test("a page that fails for a moment is asked for again, and one that fails for good is the end of the whole list", arguments: [1, 99])
  func failingPage(times: Int) async throws {
    let server = try await box.loopback("--on", "/api/fs/list", "--skip", "1", "--times", "\(times)", "--status", "503")
    for number in 1...250 { try write([1], to: server.alistFile("/many/\(number)")) }
    try box.file("d/x", "")
    let run = try await box.sluice("ls", "--retries", "1", server.alist("/many"), "./d")
    #expect(run.exit == (times == 1 ? 0 : 69), "\(run.summary)")
    #expect(try run.entries().count == (times == 1 ? 251 : 1), "\(run.summary)")
  }

  @Test("more than a thousand objects of S3, a name that comes twice once")
  func manyObjects() async throws {
    let server = try box.scripted { exchange in
      let target = exchange.request.target
      let page = target.firstMatch(of: /continuation-token=(\d)/).flatMap { Int($0.1) } ?? 0
      // The last of a page is the first of the next, and a page may be empty.
      let keys = page == 1 ? [] : (page * 500..<page * 500 + 1001).map { "k\($0)" }
      let entries = keys.map { "<Contents><Key>d%2F\($0)+%E6%96%87</Key><Size>1</Size></Contents>" }.joined()
      let following = page == 0 ? 1 : page == 1 ? 2 : 4
      let next = page == 4 ? "" : "<IsTruncated>true</IsTruncated><NextContinuationToken>\(following)</NextContinuationToken>"
      exchange.answer("<ListBucketResult><EncodingType>url</EncodingType>\(entries)\(next)</ListBucketResult>")
    }
    let run = try await box.sluice("ls", "s3://b/d", environment: s3(server))
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try names(run) == (0...3000).map { "k\($0) 文" }.sorted(), "\(run.summary)")
  }

  private func s3(_ server: ScriptedServer) -> [String: String?] {
    ["AWS_ENDPOINT_URL": "http://\(server.authority)", "AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "a-secret-key"]
  }

  @Test("pages that have no end are a failure", arguments: ["the same", "others"])
  func endlessPages(bringing: String) async throws {
    let asked = Counter()
    let server = try box.scripted { exchange in
      let count = asked.increment()
      exchange.answer(
        "<ListBucketResult><Contents><Key>d/x</Key></Contents><IsTruncated>true</IsTruncated>"
          + "<NextContinuationToken>\(bringing == "others" ? count : 1)</NextContinuationToken></ListBucketResult>")
    }
    let run = try await box.sluice("ls", "s3://b/d", environment: s3(server))
    #expect(run.exit == 76 && run.output.isEmpty && run.errorText.contains("have no end"), "\(run.summary)")
  }

  @Test(
    "a list of S3 that is not all of it is none",
    arguments: [
      "<IsTruncated>true</IsTruncated>", "<IsTruncated>true</IsTruncated><NextContinuationToken/>", "<Contents><Size>1</Size></Contents>",
      "<EncodingType>url</EncodingType><Contents><Key>d%2F%zz</Key></Contents>", "<CommonPrefixes/>",
    ])
  func cutList(fault: String) async throws {
    let server = try box.scripted { exchange in
      exchange.answer("<ListBucketResult><Contents><Key>d/x</Key></Contents>\(fault)</ListBucketResult>")
    }
    let run = try await box.sluice("ls", "s3://b/d", environment: s3(server))
    #expect(run.exit == 76 && run.output.isEmpty, "\(run.summary)")
  }

  @Test(
    "that there is nothing is not said while nobody knows",
    arguments: [("503 Slow Down", 69), ("403 Forbidden", 77), ("404 Not Found", 66)])
  func unknown(status: String, exit: Int32) async throws {
    let server = try box.scripted { exchange in
      guard exchange.request.method == "HEAD" else { return exchange.answer("<ListBucketResult/>") }
      exchange.send("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")
    }
    let run = try await box.sluice("ls", "--retries", "0", "s3://b/a.gz", environment: s3(server))
    #expect(run.exit == exit && run.output.isEmpty, "\(run.summary)")
  }

  @Test("what is no list of S3 is no missing directory")
  func otherServer() async throws {
    let server = try box.scripted { $0.answer("<html>Not Found</html>", status: "404 Not Found") }
    let run = try await box.sluice("ls", "s3://b/d", environment: s3(server))
    #expect(run.exit == 76 && run.output.isEmpty, "\(run.summary)")
  }

  // MARK: - Sets of parts

  @Test("a set of parts is one object, and what is no whole set is what it is")
  func sets() async throws {
    try makeDirectory("\(box.work)/d")
    try await box.sluice("--part-size", "4", "./d/big", input: Array("0123456789".utf8)).success()
    let sum = try box.file("d/big.sha256", "")
    for name in [
      "cut.part-00001", "gap.parts.json", "gap.part-00001", "gap.part-00003", "both", "both.part-00001", "both.parts.json",
      "lone.parts.json",
    ] {
      try box.file("d/\(name)", "123")
    }
    for name in ["é", "e\u{301}"] {
      try box.file("d/\(name).parts.json", "{}")
      try box.file("d/\(name).part-00001", "12")
    }
    for number in 1...100_001 where number < 3 || number > 99_999 { try box.file("d/wide.part-\(number < 10 ? "0000" : "")\(number)", "1") }
    try box.file("d/wide.parts.json", "{}")
    let run = try await box.sluice("ls", "./d")
    let shown = try run.entries().map { "\($0["name"].text ?? "") \($0["bytes"].int ?? -1) \($0["parts"].int ?? 0)" }
    #expect(
      shown == [
        "big 10 3", "big.sha256 0 0", "both 3 0", "both.part-00001 3 0", "both.parts.json 3 0", "cut.part-00001 3 0", "e\u{301} 2 1",
        "gap.part-00001 3 0", "gap.part-00003 3 0", "gap.parts.json 3 0", "lone.parts.json 3 0", "wide.part-00001 1 0",
        "wide.part-00002 1 0", "wide.part-100000 1 0", "wide.part-100001 1 0", "wide.parts.json 2 0", "é 2 1",
      ], "\(run.summary)")
    let big = try #require(try run.entries().first)
    #expect(big["path"].text == "./d/big" && big["source"].text == "./d/big" && big["dir"] == .bool(false), "\(run.summary)")
    #expect(exists(sum))
  }

  // MARK: - A terminal

  @Test("on a terminal there are names, with -l a table, and nothing that the terminal would obey", arguments: [[], ["-l"]])
  func terminal(options: [String]) async throws {
    try makeDirectory("\(box.work)/d/sub")
    try await box.sluice("--part-size", "1M", "./d/big", input: [UInt8](repeating: 1, count: 3 << 20)).success()
    try box.file("d/数据", "12345")
    try box.file("d/esc\u{1b}[2J", "")
    let terminal = try PseudoTerminal(columns: 80)
    var client = box.client(["ls"] + options + ["./d", "./d/数据", "./d/sub"], environment: ["TZ": "UTC-2"])
    client.output = .descriptor(terminal.child)
    let run = try await box.start(client).finish()
    #expect(run.exit == 0, "\(run.summary)")
    try await eventually("it is all there") { terminal.text.contains("./d/sub:") }
    let lines = terminal.text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
    guard !options.isEmpty else {
      #expect(lines == ["./d:", "big", "esc\\u{1b}[2J", "sub/", "数据", "数据", "", "./d/sub:", ""], "\(lines)")
      return
    }
    #expect(lines[1].split(separator: " ") == ["SIZE", "PARTS", "MODIFIED", "NAME"], "\(lines)")
    let time = Date().addingTimeInterval(7200).formatted(.iso8601).prefix(10)
    #expect(lines[2].wholeMatch(of: try Regex("3\\.0 MiB +3  \(time) \\d\\d:\\d\\d:\\d\\d  big")) != nil, "\(lines)")
    #expect(lines[4].hasSuffix("  sub/") && lines[4].hasPrefix("      -      -  "), "\(lines)")
    #expect(lines[5].hasPrefix("    5 B      -  ") && lines[5].hasSuffix("  数据"), "\(lines)")
    #expect(!terminal.text.contains("\u{1b}"), "\(lines)")
  }

  @Test("--result takes the lines, also from a terminal")
  func result() async throws {
    try box.file("d/x", "")
    let terminal = try PseudoTerminal()
    var client = box.client(["ls", "--result", "list", "./d"])
    client.output = .descriptor(terminal.child)
    let run = try await box.start(client).finish()
    #expect(run.exit == 0 && terminal.text.isEmpty, "\(run.summary)")
    #expect(box.lines("list").count == 1 && box.lines("list")[0].hasPrefix(#"{"name":"x""#))
  }

  @Test("a list that can't be written to its end is a failure")
  func unwritten() async throws {
    try box.file("d/x", "")
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    defer { close(full) }
    var client = box.client(["ls", "./d"])
    client.output = .descriptor(full)
    let run = try await box.start(client).finish()
    #expect(run.exit == 74 && run.errorText.contains("cannot write to standard output"), "\(run.summary)")
  }

  // MARK: - Plugins

  @Test("a plugin lists what it has, or says that it can't")
  func plugin() async throws {
    let list = #"printf '%s\n' '{"name":"b","size":3,"modified":1767323045006}' '{"name":"a","directory":true}'"#
    try box.plugin(
      "own", put: "true",
      others: #"case $1 in check) echo '{"verbs":["list"]}' ;; list) [ "$SLUICE_PATH" != none ] || exit 66; \#(list) ;; *) exit 64 ;; esac"#
    )
    try box.plugin("mute", put: "true")
    let run = try await box.sluice("ls", "own:dir", environment: box.plugins)
    #expect(
      run.outputText == """
        {"name":"a","path":"dir/a","source":"own:dir/a","dir":true}
        {"name":"b","path":"dir/b","source":"own:dir/b","bytes":3,"modified":"2026-01-02T03:04:05.006Z","dir":false}

        """, "\(run.summary)")
    let none = try await box.sluice("ls", "own:none", environment: box.plugins)
    #expect(none.exit == 66 && none.output.isEmpty, "\(none.summary)")
    let mute = try await box.sluice("ls", "mute:dir", environment: box.plugins)
    #expect(mute.exit == 64 && mute.output.isEmpty, "\(mute.summary)")
  }
}

import Foundation
import Support
import Testing

/// The plugins of examples/plugins against what they are for, and that of sluice-endpoint(7).
@Suite(.sandboxed)
struct ExamplePluginTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private static let folder = "\(Document.folder)/examples/plugins"
  private static let rclone = Program.installed("rclone") != nil
  private static let jq = Program.installed("jq") != nil
  private static let curl = Program.installed("curl") != nil

  private var environment: [String: String?] {
    ["PATH": "\(box.work)/bin:\(ExamplePluginTests.folder):\(box.environment["PATH"] ?? "")"]
  }

  private func sluice(_ arguments: String..., input: [UInt8]? = nil) async throws -> Finished {
    try await box.start(box.client(arguments, input: input.map { .bytes($0) } ?? .nothing, environment: environment)).finish()
  }

  @Test("the plugin in sluice-endpoint(7) works as it stands there, and so do the commands")
  func manual() async throws {
    let page = Document("man/sluice-endpoint.7")
    let blocks = page.literalBlocks
    try box.file("bin/sluice-endpoint-folder", #require(blocks.first { $0.hasPrefix("#!") }), mode: 0o755)
    let config = try #require(blocks.first { $0.hasPrefix("remotes:") }).replacing("/mnt/disk", with: "\(box.work)/disk")
    try write(Array(config.utf8), to: "\(box.home)/.config/sluice/config.yaml", mode: 0o600)
    try box.file("bin/sluice", "#!/bin/sh\nexec '\(Program.built("sluice"))' \"$@\"\n", mode: 0o755)
    try box.file("hello.txt", "hello\n")
    try makeDirectory("\(box.work)/disk")
    #expect(page.manualExamples.count == 6)
    for line in page.manualExamples {
      var program = Program("/bin/sh", ["-c", line.replacing("/mnt/disk", with: "\(box.work)/disk")])
      program.environment = box.environment.merging(environment.compactMapValues { $0 }) { $1 }
      program.directory = box.work
      let run = try await box.start(program).finish()
      #expect(run.exit == 0, "\(line)\n\(run.summary)")
      if line.contains("endpoints") { #expect(run.outputText.contains("sluice-endpoint-folder")) }
    }
    for name in ["hello.txt", "2026/hello.txt", "x"] { try expectSame(contents("\(box.work)/disk/\(name)"), Array("hello\n".utf8)) }
    #expect(names(in: "\(box.work)/disk").sorted() == ["2026", "hello.txt", "x"])
    try await sluice("--no-clobber", "disk:hello.txt", input: bytes).failure(73, "exists")
    #expect(try await sluice("--verify", "disk:2026/hello.txt", input: bytes).success()["verified"].text == "size+hash")
    try box.file("disk/2026/a \"b\"", "")
    func asked(_ verb: String, _ path: String, _ more: [String: String] = [:]) async throws -> Finished {
      var program = Program("\(box.work)/bin/sluice-endpoint-folder", [verb])
      program.environment = box.environment.merging(["SLUICE_OPTION_ROOT": "\(box.work)/disk", "SLUICE_PATH": path]) { $1 }
        .merging(more) { $1 }
      return try await box.start(program).finish()
    }
    #expect(try await asked("get", "2026/hello.txt").output == bytes)
    #expect(try await asked("get", "2026/hello.txt", ["SLUICE_OFFSET": "5", "SLUICE_LENGTH": "3"]).outputText == "obj")
    #expect(try await asked("list", "2026").outputText == #"{"name":"a \"b\""}"# + "\n" + #"{"name":"hello.txt"}"# + "\n")
    #expect(try await asked("list", "").outputText.hasPrefix(#"{"name":"2026","directory":true}"#))
    #expect(try await asked("remove", "2026").exit == 73)
    for path in ["2026/a \"b\"", "none"] { #expect(try await asked("remove", path).exit == 0) }
    for verb in ["stat", "get", "list"] { #expect(try await asked(verb, "none", ["SLUICE_HASH": "true"]).exit == 66) }
    #expect(try await sluice("disk:y", input: bytes).success()["response"]["stored"].int == 12)
    try await sluice("--retries", "0", "-o", "root=\(box.work)/none", "disk:y", input: bytes).failure(69, "server")
  }

  @Test("rclone stores objects under names of all kinds, where a storage renames and where it does not", .enabled(if: rclone))
  func rcloneStores() async throws {
    let config = try box.file("rclone.conf", "[disk]\ntype = alias\nremote = \(box.work)/disk\n[memory]\ntype = memory\n")
    for (size, name) in [(0, "empty"), (300_000, "deep/er/ü 100% $HOME 'x'"), (3, "deep/er/ü 100% $HOME 'x'")] {
      var generator = SeededGenerator(UInt64(size))
      let bytes = generator.bytes(size)
      try await sluice("--min-size", "0", "-o", "config=\(config)", "rclone:disk:\(name)", input: bytes).success()
      try expectSame(contents("\(box.work)/disk/\(name)"), bytes)
    }
    #expect(names(in: "\(box.work)/disk/deep/er").count == 1)
    try await sluice("rclone:\(box.work)/disk/plain", input: bytes).success()
    try expectSame(contents("\(box.work)/disk/plain"), bytes)
    try await sluice("-o", "config=\(config)", "-o", "bwlimit=10M", "rclone:memory:bucket/x", input: bytes).success()
  }

  @Test("rclone's failures are told apart, and leave nothing", .enabled(if: rclone))
  func rcloneFails() async throws {
    try box.file("disk/there", "old")
    try await sluice("--no-clobber", "rclone:\(box.work)/disk/there", input: bytes).failure(
      73, ExamplePluginTests.jq ? "exists" : "rejected")
    try await sluice("rclone:nowhere:x", input: bytes).failure(69, "server")
    let closed = try box.scripted { _ in }
    closed.stop()
    let run = try await sluice("--retries", "0", "rclone::webdav,url='http://\(closed.authority)':x", input: bytes)
    #expect(try run.failure(69, "server")["error"]["retryable"].bool == true)
    #expect(names(in: "\(box.work)/disk") == ["there"])
    try await sluice("check", "rclone:\(box.work)/disk/new/x").success()
    try await sluice("mkdir", "rclone:\(box.work)/disk/new/y").success()
    #expect(exists("\(box.work)/disk/new/y"))
  }

  @Test(
    "what rclone can't see is not taken for absent, and is not replaced", .enabled(if: rclone),
    arguments: [(1, 69, "server"), (5, 69, "server"), (7, 77, "auth")] as [(Int, Int32, String)])
  func rcloneBlind(status: Int, exit: Int32, kind: String) async throws {
    let real = try #require(Program.installed("rclone"))
    try box.file("bin/rclone", "#!/bin/sh\ncase \" $* \" in *' lsf '*) exit \(status) ;; esac\nexec '\(real)' \"$@\"\n", mode: 0o755)
    try box.file("disk/there", "old")
    let run = try await sluice(
      "--no-preflight", "--no-clobber", "--retries", "0", "rclone:\(box.work)/disk/there", input: bytes)
    #expect(try run.failure(exit, kind)["error"]["retryable"].bool == (status == 5))
    #expect(box.lines("disk/there") == ["old"])
    #expect(names(in: "\(box.work)/disk") == ["there"])
  }

  @Test("a path that begins with a hyphen is no option of rclone", .enabled(if: rclone))
  func rcloneHyphen() async throws {
    try await sluice("rclone:--dry-run", input: bytes).success()
    try expectSame(contents("\(box.work)/--dry-run"), bytes)
    try await sluice("--no-clobber", "rclone:--dry-run", input: [1]).failure(73, ExamplePluginTests.jq ? "exists" : "rejected")
    try await sluice("mkdir", "rclone:-d").success()
    try await sluice("rclone:-d/x", input: bytes).success()
    try expectSame(contents("\(box.work)/-d/x"), bytes)
  }

  @Test("what rclone has is compared, listed, read and removed", .enabled(if: rclone && jq))
  func rcloneAsked() async throws {
    let name = "a \"b\" \\ 'c' 数据"
    let place = "rclone:\(box.work)/disk"
    let result = try await sluice("--verify", "--mtime", "1767323045006", "\(place)/\(name)", input: bytes).success()
    #expect(result["verified"].text == "size+hash")
    try makeDirectory("\(box.work)/disk/dir/ü")
    let list = try await sluice("ls", place)
    let lines = try list.entries()
    #expect(lines.map { $0["source"].text } == ["\(place)/\(name)", "\(place)/dir"], "\(list.summary)")
    #expect(lines.map { $0["bytes"].int } == [12, nil] && lines.map { $0["dir"].bool } == [false, true], "\(list.summary)")
    let modified = try #require(FileManager.default.attributesOfItem(atPath: "\(box.work)/disk/\(name)")[.modificationDate] as? Date)
    #expect(lines[0]["modified"].text?.hasPrefix(modified.formatted(.iso8601).dropLast()) == true, "\(list.summary)")
    #expect(try await sluice("ls", "\(place)/\(name)").entries().count == 1)
    for (missing, status) in [("none", 66), ("none/none", 66), ("\(name)/", 73)] as [(String, Int32)] {
      let run = try await sluice("ls", "\(place)/\(missing)")
      #expect(run.exit == status && run.output.isEmpty, "\(run.summary)")
    }
    func asked(_ verb: String, _ path: String, _ more: [String: String] = [:]) async throws -> Finished {
      var program = Program("\(ExamplePluginTests.folder)/sluice-endpoint-rclone", [verb])
      program.environment = box.environment.merging(["SLUICE_PATH": "\(box.work)/disk/\(path)", "SLUICE_HASH": "false"]) { $1 }
        .merging(more) { $1 }
      return try await box.start(program).finish()
    }
    #expect(try await asked("get", name).output == bytes)
    #expect(try await asked("get", name, ["SLUICE_OFFSET": "5", "SLUICE_LENGTH": "3"]).outputText == "obj")
    for verb in ["stat", "get", "list"] {
      let run = try await asked(verb, "nowhere")
      #expect(run.exit == 66 && run.error.isEmpty, "\(verb): \(run.summary)")
    }
    #expect(try await asked("remove", "dir").exit != 0)
    for _ in 1...2 { #expect(try await asked("remove", name).exit == 0) }
    #expect(names(in: "\(box.work)/disk") == ["dir"])
  }

  @Test("a signed URL gets a PUT with the length of the object", .enabled(if: curl), arguments: [0, 5, 3_000_000])
  func signed(size: Int) async throws {
    let server = try await box.loopback()
    var generator = SeededGenerator(UInt64(size))
    let bytes = generator.bytes(size)
    let url = server.plain("/") + "$SLUICE_PATH?signature=\\\"a%2Fb"
    let config = try box.file(
      "config.yaml", "remotes:\n  bucket:\n    type: signed\n    url-command: 'echo \"\(url)\"'\n", mode: 0o600)
    var client = box.client(
      ["--min-size", "0", "--content-type", "text/x", "bucket:x"], input: .bytes(bytes), environment: environment)
    client.environment["SLUICE_CONFIG"] = config
    let run = try await box.start(client).finish()
    let result = try run.success()
    #expect(result["response"]["http_status"].int == 201)
    #expect(result["endpoint"].text == "signed")
    #expect(!(run.outputText + run.errorText).contains("signature"))
    let request = try #require(try server.log().first { $0["method"].text == "PUT" })
    #expect(request["headers"]["content-length"].text == "\(size)")
    #expect(request["headers"]["transfer-encoding"] == .null)
    #expect(request["headers"]["content-type"].text == "text/x")
    let stored = try #require(names(in: server.plainFile("")).first)
    try expectSame(contents(server.plainFile("/\(stored)")), bytes)
  }

  @Test(
    "what the server of a signed URL says has its kind", .enabled(if: curl),
    arguments: [(403, 77, "auth"), (400, 73, "rejected"), (412, 73, "rejected"), (503, 69, "server")] as [(Int, Int32, String)])
  func signedFails(status: Int, exit: Int32, kind: String) async throws {
    let server = try await box.loopback("--on", "/plain", "--status", "\(status)")
    let run = try await sluice("--retries", "0", "-o", "url=\(server.plain("/x"))", "signed:", input: bytes)
    let result = try run.failure(exit, kind)
    #expect(result["response"]["http_status"].int == status)
    #expect(result["error"]["retryable"].bool == (status == 503))
  }

  @Test("a signed URL that is not there, or a server that is away", .enabled(if: curl))
  func unsigned() async throws {
    try await sluice("signed:x", input: bytes).failure(73, "rejected")
    try await sluice("-o", "url-command=exit 1", "signed:x", input: bytes).failure(77, "auth")
    try await sluice("mkdir", "-o", "url=http://h/", "signed:x").usage()
    let closed = try box.scripted { _ in }
    closed.stop()
    let run = try await sluice("--retries", "0", "-o", "url=http://\(closed.authority)/x", "signed:", input: bytes)
    #expect(try run.failure(69, "server")["error"]["retryable"].bool == true)
  }
}

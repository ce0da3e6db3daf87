import Foundation
import Support
import Testing

/// No file is read and written by one run, or written twice.
@Suite(.sandboxed)
struct FileUseTests {
  private let box = Sandbox.here
  private let bytes = Array("the only copy\n".utf8)

  @Test(
    "a file that is read is not written, whatever its name there is",
    arguments: [
      "--input in --result in", "--input in --result ./in", "--input in --result link", "--input link --result in",
      "--input in --result hard",
      "--input in --tee --result r >> in", "-z --input in --result in", "--input r --result ./in --token-file in",
      "--result in < in", "--tee --result r < in >> hard", "< in 1<> in", "--part-size 1k --input in --result in",
      "-n --input in --result in",
      "--input r --result in --cacert in",
    ])
  func readAndWritten(arguments: String) async throws {
    let server = try await box.loopback()
    try box.file("in", bytes)
    try box.file("r", "r")
    try FileManager.default.createSymbolicLink(atPath: "\(box.work)/link", withDestinationPath: "in")
    #expect(link("\(box.work)/in", "\(box.work)/hard") == 0)
    let run = try await box.shell("'\(Program.built("sluice"))' '\(server.alist("/x"))' \(arguments)")
    #expect(run.exit == 64, "\(run.summary)")
    #expect(run.errorText.contains("are the same file"), "\(run.summary)")
    try expectSame(contents("\(box.work)/in"), bytes)
    #expect(!exists(server.alistFile("/x")))
  }

  @Test(
    "no file is written twice",
    arguments: [
      "./out ./out", "./out file:out", "./out ./link", "./out ./dangling --result new", "./out --result out", "./out --result hard",
      "./new --result ./new", "./new ./here/new", "./out > out", "./new --tee --result r >> r", "./out --tee --result r >> hard",
    ])
  func writtenTwice(arguments: String) async throws {
    for name in ["out", "r"] { try box.file(name, bytes) }
    for (name, target) in [("link", "out"), ("dangling", "new"), ("here", ".")] {
      try FileManager.default.createSymbolicLink(atPath: "\(box.work)/\(name)", withDestinationPath: target)
    }
    #expect(link("\(box.work)/out", "\(box.work)/hard") == 0)
    let run = try await box.shell("echo x | '\(Program.built("sluice"))' \(arguments)")
    #expect(run.exit == 64, "\(run.summary)")
    #expect(run.errorText.contains("would be written twice"), "\(run.summary)")
    #expect(!exists("\(box.work)/new"))
    // What the shell's own `>` emptied is none of ours.
    if !arguments.hasSuffix("> out") { try expectSame(contents("\(box.work)/out"), bytes) }
    try expectSame(contents("\(box.work)/r"), bytes)
  }

  @Test(
    "what is no harm is not refused",
    arguments: [
      "--input in ./out >> in", "--input in --result /dev/null ./out", "--input in ./in", "-z --input in ./in > r",
      "--input in ./one ./two", "--result r ./out < in", "--min-size 0 --result /dev/null --input /dev/null ./out",
      "--input in --result new ./out",
    ])
  func harmless(arguments: String) async throws {
    try box.file("in", bytes)
    try box.file("one", "1")
    #expect(link("\(box.work)/one", "\(box.work)/two") == 0)
    let run = try await box.shell("'\(Program.built("sluice"))' \(arguments)")
    #expect(run.exit == 0, "\(run.summary)")
  }

  @Test("the other commands do not write over what they read either", arguments: ["check", "mkdir"])
  func otherCommands(command: String) async throws {
    let token = try box.file("token", "secret", mode: 0o600)
    let run = try await box.sluice(command, "--token-file", token, "--result", token, "alist+http://127.0.0.1:9/x")
    run.usage()
    try expectSame(contents(token), Array("secret".utf8))
  }

  @Test("the config file and what it names are not written over", arguments: ["config.yaml", "token"])
  func config(result: String) async throws {
    let token = try box.file("token", "secret", mode: 0o600)
    let text = "remotes:\n  nas:\n    type: alist\n    url: http://127.0.0.1:9\n    token-file: \(token)\n"
    let config = try box.file("config.yaml", text, mode: 0o600)
    let run = try await box.sluice("--result", result, "nas:/x", input: bytes, environment: ["SLUICE_CONFIG": config])
    run.usage()
    try expectSame(contents(token), Array("secret".utf8))
    try expectSame(contents(config), Array(text.utf8))
  }

  @Test(
    "files that many programs share are read too",
    arguments: [
      ("NETRC", "http://127.0.0.1:1/x"), ("SSL_CERT_FILE", "siyuan+http://127.0.0.1:1/data/x"), ("AWS_CONFIG_FILE", "s3://bucket/x"),
      ("AWS_SHARED_CREDENTIALS_FILE", "s3://bucket/x"),
    ])
  func shared(variable: String, destination: String) async throws {
    let file = try box.file("in", bytes, mode: 0o600)
    var environment = ["AWS_CONFIG_FILE": "\(box.work)/none", "AWS_SHARED_CREDENTIALS_FILE": "\(box.work)/none"]
    environment[variable] = file
    let run = try await box.sluice("--retries", "0", "--result", file, destination, input: bytes, environment: environment)
    #expect(run.exit == 64, "\(run.summary)")
    #expect(run.errorText.contains("are the same file"), "\(run.summary)")
    try expectSame(contents(file), bytes)
  }

  @Test(
    "what is read back, and what it is proven by, is not written",
    arguments: [
      "verify --result ./x ./x", "verify --result hard ./x", "verify --result r.json --receipt r.json ./x", "verify --result x.sha256 ./x",
      "verify --result s.parts.json ./s", "verify --result s.part-00002 ./s", "verify ./x >> x",
      "get --result r.json --receipt r.json ./x out", "get ./x >> x.sha256", "get --result ./x ./x out", "get ./s out >> s.part-00001",
      "ls --result x ./x", "ls --result hard -l ./x",
    ])
  func readBack(arguments: String) async throws {
    let files = ["x", "r.json", "x.sha256", "s.parts.json", "s.part-00001", "s.part-00002"]
    for name in files { try box.file(name, bytes) }
    #expect(link("\(box.work)/x", "\(box.work)/hard") == 0)
    let run = try await box.shell("'\(Program.built("sluice"))' \(arguments)")
    #expect(run.exit == 64, "\(run.summary)")
    #expect(run.errorText.contains("are the same file, which would be written while it is read"), "\(run.summary)")
    for name in files { try expectSame(contents("\(box.work)/\(name)"), bytes) }
  }

  @Test("an object is not replaced by itself", arguments: ["./x ./x", "./x link", "./x x --result r", "./x ./here/x"])
  func replacedByItself(arguments: String) async throws {
    try box.file("x", bytes)
    for (name, target) in [("link", "x"), ("here", ".")] {
      try FileManager.default.createSymbolicLink(atPath: "\(box.work)/\(name)", withDestinationPath: target)
    }
    let run = try await box.shell("'\(Program.built("sluice"))' get \(arguments)")
    #expect(run.exit == 64, "\(run.summary)")
    #expect(run.errorText.contains("are the same file, which would be replaced by itself"), "\(run.summary)")
    try expectSame(contents("\(box.work)/x"), bytes)
  }
}

import Foundation
import Support
import Testing

/// The config file, remotes and the environment over them.
@Suite(.sandboxed)
struct ConfigTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("a remote of the config file is used, wherever the file is", arguments: ["SLUICE_CONFIG", "XDG_CONFIG_HOME", "HOME"])
  func place(how: String) async throws {
    let server = try await box.loopback()
    try box.file("token", Loopback.token + "\n", mode: 0o600)
    let text = """
      # a comment
      remotes:
        nas:
          type: alist
          url: \(server.url)   # another
          token-file: '\(box.work)/token'
        notes:
          type: "siyuan"
          url: \(server.url)
          token-command: cat '\(box.work)/token'

      """
    let path =
      switch how {
      case "SLUICE_CONFIG": "\(box.work)/my.yaml"
      case "XDG_CONFIG_HOME": "\(box.path)/xdg/sluice/config.yaml"
      default: "\(box.home)/.config/sluice/config.yaml"
      }
    try write(Array(text.utf8), to: path)
    let environment: [String: String?] = [
      "ALIST_TOKEN": nil, "SIYUAN_TOKEN": nil, "SLUICE_CONFIG": how == "SLUICE_CONFIG" ? path : nil,
      "XDG_CONFIG_HOME": how == "XDG_CONFIG_HOME" ? "\(box.path)/xdg" : nil,
    ]
    let run = try await box.sluice("nas:/dir/x", "notes:data/x", input: bytes, environment: environment)
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try run.results().compactMap { $0["destination"].text }.sorted() == ["nas:/dir/x", "notes:data/x"])
    try expectSame(contents(server.alistFile("/dir/x")), bytes)
    try expectSame(contents(server.siyuanFile("/data/x")), bytes)
  }

  @Test("SLUICE_REMOTE_NAME_KEY counts more than the file, a flag more than both")
  func override() async throws {
    let server = try await box.loopback()
    try box.file("good", Loopback.token, mode: 0o600)
    try box.file("bad", "wrong", mode: 0o600)
    let config = try configFile("remotes:\n  my-nas:\n    type: alist\n    url: http://127.0.0.1:1\n    token-file: \(box.work)/bad\n")
    let environment = ["SLUICE_CONFIG": config, "SLUICE_REMOTE_MY_NAS_URL": server.url]
    try await box.sluice("my-nas:/x", input: bytes, environment: environment).failure(77, "auth")
    try await box.sluice("--token-file", "good", "my-nas:/x", input: bytes, environment: environment).success()
    try await box.sluice(
      "my-nas:/y", input: bytes, environment: environment.merging(["SLUICE_REMOTE_MY_NAS_TOKEN_FILE": "\(box.work)/good"]) { $1 }
    ).success()
  }

  @Test("a token of the environment is for URLs: a remote's own credentials count for a remote")
  func tokenOfURL() async throws {
    let server = try await box.loopback("--token", "remote-token")
    let environment = ["SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": server.url, "SLUICE_REMOTE_NAS_TOKEN": "remote-token"]
    try await box.sluice("nas:/x", input: bytes, environment: environment).success()
    for entry in try server.log() { #expect(entry["headers"]["authorization"].text != Loopback.token) }
  }

  @Test("an unknown remote is a config error, before the input is read")
  func unknown() async throws {
    let run = try await box.sluice("nowhere:/x", input: .endless)
    let result = try run.failure(78, "config")
    #expect(run.duration < .seconds(20))
    #expect(run.errorText.contains("nowhere"))
    #expect(result["destination"].text == "nowhere:/x")
  }

  @Test(
    "a config file that can't be read as YAML is named with the line",
    arguments: [
      ("remotes:\n  nas:\n    type alist\n", 3), ("remotes:\n\tnas:\n", 2), ("a: b\nremotes:\n  nas:\n    type: \"alist\n", 4),
      ("remotes:\n  nas:\n    url: x\n   type: y\n", 4), ("remotes:\n  nas: {type: alist}\n", 2),
    ])
  func broken(text: String, line: Int) async throws {
    let config = try configFile(text)
    let run = try await box.sluice("nas:/x", input: .endless, environment: ["SLUICE_CONFIG": config])
    try run.failure(78, "config")
    #expect(run.errorText.contains("\(line)"))
    #expect(run.errorText.contains(config))
  }

  @Test(
    "a remote that can't be right is a config error",
    arguments: [
      "type: alist", "url: http://h", "type: nonsense\n    url: http://h", "type: alist\n    url: ftp://h",
      "type: alist\n    url: http://h\n    tokn: x",
      "type: alist\n    url: http://h\n    token-file: /a\n    token-command: b", "type: alist\n    url: http://h\n    username: admin",
      "type: alist\n    url: http://u:hidden-pw@h",
    ])
  func wrong(keys: String) async throws {
    let config = try configFile("remotes:\n  nas:\n    \(keys)\n")
    let run = try await box.sluice("nas:/x", input: .endless, environment: ["SLUICE_CONFIG": config, "ALIST_TOKEN": nil])
    try run.failure(78, "config")
    #expect(run.duration < .seconds(20))
    #expect(!run.errorText.contains("hidden-pw"))
  }

  @Test("a config file that is asked for and is not there is a config error; the usual one may be missing")
  func missing() async throws {
    let run = try await box.sluice("nas:/x", input: .endless, environment: ["SLUICE_CONFIG": "\(box.work)/none.yaml"])
    try run.failure(78, "config")
    #expect(run.errorText.contains("none.yaml"))
    try await box.sluice("./out", input: bytes).success()
  }

  @Test("a broken config file does not stop a run that needs none of it")
  func notNeeded() async throws {
    let config = try configFile("this is no yaml")
    try await box.sluice("./out", input: bytes, environment: ["SLUICE_CONFIG": config]).success()
  }

  @Test(
    "a token file that can't be read is a config error, before the input is read", arguments: ["missing", "empty", "directory", "lines"])
  func tokenFile(kind: String) async throws {
    let server = try await box.loopback()
    if kind == "empty" { try box.file("empty", "\n", mode: 0o600) }
    if kind == "directory" { try makeDirectory("\(box.work)/directory") }
    if kind == "lines" { try box.file("lines", "a\nb\n", mode: 0o600) }
    let run = try await box.sluice("--token-file", kind, server.alist("/x"), input: .endless)
    try run.failure(78, "config")
    #expect(run.duration < .seconds(20))
    #expect(run.errorText.contains(kind))
  }

  @Test(
    "a token file that others can read is warned of, one that they can't is not",
    arguments: [(0o644, true), (0o640, true), (0o600, false), (0o400, false)])
  func openTokenFile(mode: Int, isWarned: Bool) async throws {
    let server = try await box.loopback()
    try box.file("token", Loopback.token, mode: mode)
    let run = try await box.sluice("--token-file", "token", server.alist("/x"), input: bytes)
    try run.success()
    #expect(run.errorText.contains("warning: ") == isWarned, "\(run.errorText)")
    #expect(!run.errorText.contains(Loopback.token))
  }

  @Test("a token command that fails is a config error, and what it printed is not shown")
  func tokenCommand() async throws {
    let server = try await box.loopback()
    let environment = [
      "SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": server.url,
      "SLUICE_REMOTE_NAS_TOKEN_COMMAND": "echo half-a-secret; exit 3",
    ]
    let run = try await box.sluice("nas:/x", input: .endless, environment: environment)
    try run.failure(78, "config")
    #expect(!(run.errorText + run.outputText).contains("half-a-secret "))
    #expect(!run.outputText.contains("half-a-secret\n"))
  }

  @Test("options of an endpoint may stand in the remote")
  func remoteOptions() async throws {
    let server = try await box.loopback()
    let config = try configFile(
      "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token: \(Loopback.token)\n    as-task: true\n    wait: true\n")
    let result = try await box.sluice("nas:/x", input: bytes, environment: ["SLUICE_CONFIG": config]).success()
    #expect(result["task"]["state"].int == 2)
  }

  private func configFile(_ text: String) throws -> String { try box.file("config.yaml", text) }
}

/// No secret is to be seen where others can look.
@Suite(.sandboxed)
struct SecretTests {
  private let box = Sandbox.here
  private let secret = "very-s3cret-value"

  @Test(
    "no secret is in output, messages or results, with -v, whatever goes wrong", arguments: ["success", "refused", "unreachable", "html"])
  func output(how: String) async throws {
    let destination: String
    switch how {
    case "success": destination = try await box.loopback("--token", secret).alist("/x")
    case "refused": destination = try await box.loopback().alist("/x")
    case "html": destination = try await box.loopback("--html", "--token", secret).alist("/x")
    case "unreachable":
      let closed = try box.scripted { _ in }
      closed.stop()
      destination = "alist+http://\(closed.authority)/x"
    default: throw ProgramError(description: how)
    }
    let run = try await box.sluice(
      "-v", "--retries", "1", "--progress", "always", destination, input: Array("x".utf8), environment: ["ALIST_TOKEN": secret])
    #expect(!run.errorText.contains(secret))
    #expect(!run.outputText.contains(secret))
  }

  @Test("no child of a run inherits the tokens of others; what AWS programs read stays")
  func children() async throws {
    try box.plugin("own", put: "env > env-put", others: "env > env-check")
    let config = try box.file(
      "config.yaml", "remotes:\n  shop:\n    type: own\n    token-command: env > env-secret; echo shops-own\n", mode: 0o600)
    let environment = box.plugins.merging([
      "SLUICE_CONFIG": config, "ALIST_TOKEN": secret, "SIYUAN_TOKEN": secret, "SLUICE_REMOTE_NAS_TOKEN": secret,
      "SLUICE_REMOTE_OTHER_URL": "http://u:\(secret)@h/", "AWS_SECRET_ACCESS_KEY": "for all",
    ]) { $1 }
    try await box.sluice(
      "--through", "env > env-filter; cat", "--check", "env > env-guard; cat > /dev/null", "shop:x", "--", "sh", "-c",
      "env > env-command; echo x", environment: environment
    ).success()
    for name in ["command", "filter", "guard", "secret", "check", "put"] {
      let lines = box.lines("env-\(name)")
      #expect(lines.contains("AWS_SECRET_ACCESS_KEY=for all"), "\(name)")
      #expect(!lines.contains { $0.contains(secret) }, "\(name)")
      #expect(lines.contains("SLUICE_OPTION_TOKEN=shops-own") == ["check", "put"].contains(name), "\(name)")
    }
  }

  @Test("a password in a URL is never echoed", arguments: ["alist", "siyuan"])
  func password(scheme: String) async throws {
    let closed = try box.scripted { _ in }
    closed.stop()
    for arguments in [["put"], ["check"], ["mkdir"], ["-n"]] {
      let run = try await box.start(
        box.client(
          arguments + ["-v", "--retries", "0", "\(scheme)+http://admin:\(secret)@\(closed.authority)/data/x"],
          input: .bytes(Array("x".utf8)),
          environment: ["ALIST_TOKEN": nil, "SIYUAN_TOKEN": nil])
      ).finish()
      #expect(run.exit != 0)
      #expect(!(run.errorText + run.outputText).contains(secret), "\(arguments) \(run.summary)")
    }
    let wrong = try await box.sluice("\(scheme)+http://admin:\(secret)@/x", input: Array("x".utf8))
    #expect(!(wrong.errorText + wrong.outputText).contains(secret), "\(wrong.summary)")
    let unknown = try await box.sluice("gopher://admin:\(secret)@h/x", input: Array("x".utf8))
    #expect(!(unknown.errorText + unknown.outputText).contains(secret), "\(unknown.summary)")
  }

  @Test("the title of the process shows no token", .enabled(if: exists("/proc/self/cmdline"), "there is no /proc"))
  func title() async throws {
    let server = try await box.loopback("--token", secret)
    let running = try box.start(box.client([server.alist("/x")], input: .pipe, environment: ["ALIST_TOKEN": secret]))
    await running.write([1])
    try await eventually("the input is being read") { !box.spoolNames.isEmpty }
    #expect(!String(decoding: try contents("/proc/\(running.pid)/cmdline"), as: UTF8.self).contains(secret))
    running.closeInput()
    try await running.finish().success()
  }

  @Test("there is no flag that takes a token", arguments: ["--token", "--password"])
  func noFlag(flag: String) async throws {
    try await box.sluice(flag, secret, "./out", input: []).usage()
  }
}

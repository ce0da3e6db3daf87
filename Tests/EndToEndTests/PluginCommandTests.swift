import Foundation
import Support
import Testing

/// How plugins are found and configured, and what the other commands do with them.
@Suite(.sandboxed)
struct PluginCommandTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private let writesOptions = "env | grep '^SLUICE_OPTION_' | sort > \"options-$1\""

  @Test("the keys of a remote are options for its plugin, the secrets read where they are kept")
  func remote() async throws {
    try box.plugin("own", put: writesOptions, others: "\(writesOptions)")
    try box.file("token", "s3cret\n", mode: 0o600)
    let config = try box.file(
      "config.yaml",
      """
      remotes:
        shop:
          type: own
          url: anything at all
          region: eu-1
          chunk-size: 5
          token-file: \(box.work)/token
          username: anna
          password-command: echo pass; echo >> asked
      """, mode: 0o600)
    let environment = box.plugins.merging(["SLUICE_CONFIG": config, "SLUICE_REMOTE_SHOP_REGION": "eu-2"]) { $1 }
    let run = try await box.sluice("-v", "-o", "chunk-size=6", "shop:x", input: bytes, environment: environment)
    let result = try run.success()
    #expect(result["endpoint"].text == "own")
    #expect(result["destination"].text == "shop:x")
    let expected = [
      "SLUICE_OPTION_CHUNK_SIZE=6", "SLUICE_OPTION_PASSWORD=pass", "SLUICE_OPTION_REGION=eu-2", "SLUICE_OPTION_TOKEN=s3cret",
      "SLUICE_OPTION_URL=anything at all", "SLUICE_OPTION_USERNAME=anna",
    ]
    #expect(box.lines("options-put") == expected)
    #expect(box.lines("options-check") == expected)
    #expect(try contents("\(box.work)/asked") == Array("\n".utf8))
    #expect(!run.errorText.contains("s3cret") && !run.errorText.contains("pass"))

    try await box.sluice("mkdir", "-o", "chunk-size=7", "shop:d", environment: environment).success()
    #expect(box.lines("options-mkdir") == ["SLUICE_OPTION_CHUNK_SIZE=7"] + expected.dropFirst())
  }

  @Test("a remote counts more than a plugin of its name, and completes it if it has no type")
  func remoteBeforePlugin() async throws {
    try box.plugin("nas", put: "\(writesOptions); cat > object")
    let server = try await box.loopback()
    let config = try box.file(
      "config.yaml", "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token: \(Loopback.token)\n", mode: 0o600)
    let environment = box.plugins
    let first = try await box.sluice("nas:/x", input: bytes, environment: environment.merging(["SLUICE_CONFIG": config]) { $1 }).success()
    #expect(first["endpoint"].text == "alist")
    #expect(!exists("\(box.work)/object"))
    try box.file("token", "by-flag", mode: 0o600)
    let named = environment.merging(["SLUICE_REMOTE_NAS_URL": "here"]) { $1 }
    let second = try await box.sluice("--token-file", "token", "nas:/x", input: bytes, environment: named).success()
    #expect(second["endpoint"].text == "nas")
    #expect(box.lines("options-put") == ["SLUICE_OPTION_TOKEN=by-flag", "SLUICE_OPTION_URL=here"])
  }

  @Test("what is neither a remote nor a plugin is a config error that says so, before the input is read")
  func unknown() async throws {
    try box.file("bin/sluice-endpoint-text", "#!/bin/sh\n", mode: 0o644)
    try makeDirectory("\(box.work)/bin/sluice-endpoint-folder")
    for name in ["nowhere", "text", "folder"] {
      let run = try await box.sluice("\(name):x", input: .endless, environment: box.plugins)
      try run.failure(78, "config")
      #expect(run.errorText.contains("no remote \(name)") && run.errorText.contains("sluice-endpoint-\(name)"), "\(run.summary)")
    }
    let config = try box.file(
      "config.yaml", "remotes:\n  a:\n    type: ../own\n  b:\n    type: none\n  c:\n    type: own\n    \"a b\": x\n")
    try box.plugin("own", put: "exit")
    for name in ["a", "b", "c"] {
      try await box.sluice("\(name):x", input: .endless, environment: box.plugins.merging(["SLUICE_CONFIG": config]) { $1 })
        .failure(78, "config")
    }
    for name in ["-own", "_own", "o.wn", "öwn"] { try await box.sluice("\(name):x", input: bytes, environment: box.plugins).usage() }
  }

  @Test("the first of a name on PATH is taken, and endpoints lists what would be taken")
  func list() async throws {
    for (folder, name, mode) in [
      ("one", "zeta", 0o755), ("one", "own", 0o644), ("two", "own", 0o755), ("two", "zeta", 0o755), ("two", "b.ak", 0o755),
    ] { try box.file("\(folder)/sluice-endpoint-\(name)", "#!/bin/sh\n[ \"$1\" = put ] || exit 64\necho \(folder) > which\n", mode: mode) }
    let environment = ["PATH": "\(box.work)/none:\(box.work)/one:two:/usr/bin:/bin"]
    let run = try await box.sluice("endpoints", environment: environment)
    let plugins = try run.outputText.split(separator: "\n").map { try JSON(parsing: $0) }.filter { $0["kind"].text == "plugin" }
    #expect(plugins.compactMap { $0["name"].text } == ["own", "zeta"])
    #expect(plugins.compactMap { $0["path"].text } == ["two/sluice-endpoint-own", "\(box.work)/one/sluice-endpoint-zeta"])
    for (name, folder) in [("own", "two"), ("zeta", "one")] {
      try await box.sluice("\(name):x", input: bytes, environment: environment).success()
      #expect(box.lines("which") == [folder])
    }
  }

  @Test(
    "check asks the plugin, and so does the preflight of put; a plugin without it is no error",
    arguments: [("exit 0", 0, nil), ("exit 64", 0, nil), ("exit 77", 77, "auth"), ("exit 73", 73, "rejected")] as [(String, Int32, String?)]
  )
  func check(script: String, exit: Int32, kind: String?) async throws {
    try box.plugin("own", put: "cat > object", others: "cat > stdin; echo \"$1 $SLUICE_PATH $SLUICE_OVERWRITE\" >> asked; \(script)")
    for arguments in [["check", "--no-clobber", "own:x"], ["-n", "own:x"], ["own:x"]] {
      let run = try await box.start(
        box.client(arguments, input: kind == nil ? .bytes(bytes) : .endless, environment: box.plugins)
      ).finish()
      if let kind { try run.failure(exit, kind) } else { try run.success() }
      #expect(exists("\(box.work)/object") == (kind == nil && arguments == ["own:x"]))
    }
    #expect(box.lines("asked") == ["check x false", "check x true", "check x true"])
    #expect(box.lines("stdin").isEmpty)
  }

  @Test("a check that may pass later is a warning, and the upload is tried")
  func laterCheck() async throws {
    try box.plugin("own", put: "cat > object", others: "exit 75")
    let run = try await box.sluice("own:x", input: bytes, environment: box.plugins)
    try run.success()
    #expect(run.errorText.contains("warning: own:x: "))
  }

  @Test("mkdir is the plugin's to do; one that cannot is a usage error")
  func newDirectory() async throws {
    try box.plugin("own", put: "exit 1", others: "mkdir \"$SLUICE_PATH\" && echo '{\"made\":true}'")
    let result = try await box.sluice("mkdir", "own:some dir", environment: box.plugins).success()
    #expect(result["response"]["made"].bool == true)
    #expect(exists("\(box.work)/some dir"))
    try await box.sluice("mkdir", "own:some dir", environment: box.plugins).failure(69, "server")
    try box.plugin("plain", put: "exit 1")
    let run = try await box.sluice("mkdir", "plain:x", environment: box.plugins)
    run.usage()
    #expect(run.errorText.contains("plain"))
  }

  @Test(
    "what no plugin can be held to, or must not be told this way, is a usage error",
    arguments: [
      ["--limit-rate", "1k"], ["-o", "a b=c"], ["-o", "ü"], ["-o", "token=x"], ["-o", "password"],
      ["-o", "TOKEN=x"], ["-o", "Password=x"], ["-o", "username=x"], ["-o", "a-b=1", "-o", "A_B=2"],
    ])
  func refused(options: [String]) async throws {
    try box.plugin("own", put: "touch ran", others: "touch ran")
    let run = try await box.start(box.client(options + ["./out", "own:x"], input: .endless, environment: box.plugins)).finish()
    run.usage()
    #expect(!exists("\(box.work)/ran") && !exists("\(box.work)/out"))
  }

  @Test(
    "two spellings of one variable are refused, wherever they stand",
    arguments: [
      ("chunk-size: 5", ["-o", "CHUNK_SIZE=6"], 64), ("chunk-size: 5\n    chunk_size: 6", [], 78), ("Token: x", [], 78),
      ("token_file: x", [], 78), ("chunk_size: 5", ["-o", "chunk_size=6"], 0),
    ] as [(String, [String], Int32)])
  func spelling(key: String, options: [String], exit: Int32) async throws {
    try box.plugin("own", put: writesOptions)
    let config = try box.file("config.yaml", "remotes:\n  shop:\n    type: own\n    \(key)\n", mode: 0o600)
    let environment = box.plugins.merging(["SLUICE_CONFIG": config]) { $1 }
    let run = try await box.start(box.client(options + ["shop:x"], input: .bytes(bytes), environment: environment)).finish()
    #expect(run.exit == exit, "\(run.summary)")
    #expect(box.lines("options-put") == (exit == 0 ? ["SLUICE_OPTION_CHUNK_SIZE=6"] : []))
  }

  @Test("an option of AList alone is any other option to a plugin")
  func anyOption() async throws {
    try box.plugin("own", put: writesOptions)
    try await box.sluice("-o", "wait", "own:x", input: bytes, environment: box.plugins).success()
    #expect(box.lines("options-put") == ["SLUICE_OPTION_WAIT="])
  }
}

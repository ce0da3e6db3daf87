import Foundation
import Support
import Testing

/// What a run finds around it: bytes that are no UTF-8, marks and line ends of other systems, names of hosts, files of other users.
@Suite(.sandboxed)
struct SurroundingsTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private static let isRoot = getuid() == 0

  // MARK: - The environment

  /// Of a command, a filter, a check, a plugin, a command that prints a secret.
  @Test("programs get the environment as it came, byte for byte", arguments: ["command", "filter", "check", "plugin", "secret"])
  func environment(role: String) async throws {
    let server = try await box.loopback()
    let seen = "\(box.work)/seen"
    let record = try box.file("record", "#!/bin/sh\nprintf %s \"$RAW\" > '\(seen)'\n", mode: 0o755)
    try box.file("sluice-endpoint-rec", "#!/bin/sh\ncat > /dev/null\n'\(record)'\n", mode: 0o755)
    let words =
      switch role {
      case "command": "\(server.plain("/x")) -- sh -c '\(record); echo object'"
      case "filter": "--through '\(record); cat' \(server.plain("/x"))"
      case "check": "--check '\(record); cat > /dev/null' \(server.plain("/x"))"
      case "plugin": "rec:x"
      default: "nas:/x"
      }
    let config = "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token-command: \(record); echo \(Loopback.token)\n"
    try box.file("config.yaml", config)
    // A name that begins with a digit must not stand in the way.
    let run = try await box.shell(
      "RAW=$(printf 'p\\344ss\\377'); export RAW; echo object | env 9X=1 SLUICE_CONFIG=config.yaml PATH=\"\(box.work):$PATH\""
        + " '\(Program.built("sluice"))' \(words)")
    #expect(run.exit == 0, "\(run.summary)")
    try expectSame(contents(seen), [0x70, 0xe4, 0x73, 0x73, 0xff])
  }

  @Test("a script whose first line ends in a carriage return is named as that")
  func carriageReturn() async throws {
    let server = try await box.loopback()
    let script = try box.file("script", "#!/bin/sh\r\ncat\r\n", mode: 0o755)
    let envScript = try box.file("env-script", "#!/usr/bin/env sh\r\ncat\r\n", mode: 0o755)
    try box.file("sluice-endpoint-crlf", "#!/bin/sh\r\n", mode: 0o755)
    let path = ["PATH": "\(box.work):/usr/bin:/bin"]
    for arguments in [["--", script], ["--", envScript], ["--", "script"]] {
      let run = try box.client([server.plain("/x")] + arguments, environment: path).start()
      let ended = await run.finish()
      #expect(ended.exit == 65, "\(ended.summary)")
      #expect(ended.errorText.contains("carriage return"), "\(arguments): \(ended.summary)")
    }
    for flag in ["--through", "--check"] {
      let run = try await box.sluice(flag, script, server.plain("/x"), input: bytes, environment: path)
      #expect(run.exit == 65, "\(run.summary)")
      #expect(run.errorText.contains("carriage return"), "\(run.summary)")
    }
    let plugin = try await box.sluice("crlf:x", input: bytes, environment: path)
    #expect(plugin.errorText.contains("carriage return"), "\(plugin.summary)")
  }

  // MARK: - Config and secrets

  @Test("a byte order mark at the head of a file with a secret, or of the config file, is no part of it")
  func byteOrderMark() async throws {
    let server = try await box.loopback("--plain-login")
    let mark: [UInt8] = [0xef, 0xbb, 0xbf]
    let token = try box.file("token", mark + Array("\(Loopback.token)\r\n".utf8), mode: 0o600)
    let text = "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token-file: \(token)\n"
    let config = try box.file("config.yaml", mark + Array(text.utf8))
    try await box.sluice("nas:/x", input: bytes, environment: ["SLUICE_CONFIG": config]).success()
    try box.file(".netrc", mark + Array("machine 127.0.0.1 login admin password \(Loopback.password)\n".utf8), mode: 0o600)
    let netrc = ["NETRC": "\(box.work)/.netrc"]
    try await box.sluice(server.plain("/y"), input: bytes, environment: netrc).success()
  }

  @Test("a config file that others can read and that has a secret in it is warned of", arguments: [(0o644, true), (0o600, false)])
  func readableSecret(mode: Int, isWarned: Bool) async throws {
    let server = try await box.loopback()
    for key in ["token: \(Loopback.token)", "username: admin\n    password: \(Loopback.password)"] {
      let text = "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    \(key)\n"
      let config = try box.file("config.yaml", Array(text.utf8), mode: mode)
      let run = try await box.sluice("nas:/x", input: bytes, environment: ["SLUICE_CONFIG": config])
      try run.success()
      #expect(run.errorText.contains("others can read the secret in \(config)") == isWarned, "\(run.summary)")
    }
  }

  /// By the owner of the file, the `SUDO_UID`, whether it names a command, and what comes of it: an exit status and whether there is a warning.
  @Test(
    "a config file of another user must name no command", .enabled(if: isRoot, "only root gives files away"),
    arguments: [
      (12345, nil, true, 78, false), (12345, "12345", true, 0, false), (12345, "1", true, 78, false), (12345, nil, false, 0, true),
      (0, nil, true, 0, false), (65534, nil, true, 78, false),
    ] as [(Int, String?, Bool, Int32, Bool)])
  func owner(owner: Int, sudo: String?, hasCommand: Bool, exit: Int32, isWarned: Bool) async throws {
    let server = try await box.loopback()
    let token = try box.file("token", Loopback.token, mode: 0o600)
    let way = hasCommand ? "token-command: touch ran; cat token" : "token-file: \(token)"
    let config = try box.file("config.yaml", "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    \(way)\n")
    try #require(chown(config, uid_t(owner), gid_t(owner)) == 0)
    let run = try await box.sluice("nas:/x", input: bytes, environment: ["SLUICE_CONFIG": config, "SUDO_UID": sudo])
    #expect(run.exit == exit, "\(run.summary)")
    #expect(exists("\(box.work)/ran") == (hasCommand && exit == 0))
    #expect(run.errorText.contains("belongs to another user") == (isWarned || exit == 78), "\(run.summary)")
  }

  // MARK: - Files

  @Test(
    "a file that says another size than it has is read as a stream",
    .enabled(if: access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0),
    arguments: [[], ["-z"], ["--check", "grep -q never"]])
  func systemFile(flags: [String]) async throws {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled"
    let result = try await box.start(box.client(flags + ["--input", path, "./x"])).finish().success()
    #expect(result["input_bytes"].int == (try contents(path).count))
    if flags != ["-z"] { try expectSame(contents("\(box.work)/x"), contents(path)) }
    #expect(box.spoolNames.isEmpty)
  }

  // MARK: - Hosts

  @Test(
    "a network in NO_PROXY exempts the addresses in it",
    arguments: [("127.0.0.0/8", true), ("10.0.0.0/8, 127.0.0.1/32", true), ("127.0.0.0/33", false), ("128.0.0.0/8", false)])
  func noProxy(list: String, isExempt: Bool) async throws {
    let proxy = try box.scripted { $0.answer("", status: "502 Bad Gateway") }
    let server = try await box.loopback()
    let run = try await box.sluice(
      "--retries", "0", server.plain("/x"), input: bytes, environment: ["HTTP_PROXY": "http://\(proxy.authority)", "NO_PROXY": list])
    #expect(run.exit == (isExempt ? 0 : 69), "\(run.summary)")
    #expect(proxy.requests.isEmpty == isExempt)
  }

  @Test("the zone of an IPv6 address is for the connection, and no server is told", arguments: ["%251", "%1"])
  func zone(text: String) async throws {
    try box.file(
      "server.py",
      """
      import http.server, socket, sys
      class Server(http.server.HTTPServer):
        address_family = socket.AF_INET6
      class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
          self.rfile.read(int(self.headers['Content-Length']))
          open('host', 'w').write(self.headers['Host'])
          self.send_response(201)
          self.send_header('Content-Length', '0')
          self.end_headers()
        def do_HEAD(self):
          self.send_error(404)
      server = Server(('::1', 0), Handler)
      print(server.server_port, flush=True)
      server.serve_forever()
      """)
    let server = try box.start(python("server.py"))
    let port = try await eventually("the server listens") { () -> String? in
      if server.hasEnded { throw ProgramError(description: "no IPv6: \(server.errorSoFar)") }
      let line = String(decoding: server.outputSoFar, as: UTF8.self)
      return line.hasSuffix("\n") ? String(line.dropLast()) : nil
    }
    try await box.sluice("--retries", "0", "http://[::1\(text)]:\(port)/x", input: bytes).success()
    #expect(try String(decoding: contents("\(box.work)/host"), as: UTF8.self) == "[::1]:\(port)")
  }

  private func python(_ script: String) -> Program {
    var program = Program("/usr/bin/env", ["python3", script])
    program.directory = box.work
    return program
  }

  @Test(
    "a host with letters outside ASCII is asked for in its ASCII form",
    .enabled(if: dlopen("libidn2.so.0", RTLD_NOW) != nil, "libidn2 is not installed"),
    arguments: [
      ("bücher.example", "xn--bcher-kva.example"), ("BÜCHER.Example", "xn--bcher-kva.example"),
      ("bu\u{308}cher.example", "xn--bcher-kva.example"),
      ("faß.example", "xn--fa-hia.example"), ("例え.テスト", "xn--r8jz45g.xn--zckzah"), ("a。example", "a.example"),
    ])
  func idna(host: String, ascii: String) async throws {
    let proxy = try box.scripted { $0.answer("", status: "201 Created") }
    let run = try await box.sluice(
      "--retries", "0", "http://\(host)/x", input: bytes, environment: ["HTTP_PROXY": "http://\(proxy.authority)"])
    #expect(run.exit == 0, "\(run.summary)")
    #expect(proxy.requests.allSatisfy { $0.header("Host") == ascii && $0.target.hasPrefix("http://\(ascii)/") }, "\(proxy.requests)")
    #expect(!proxy.requests.isEmpty)
  }

  // MARK: - Logins

  @Test("a wrong password is tried once for all destinations of a remote", arguments: [[], ["--no-preflight"]])
  func oneLogin(flags: [String]) async throws {
    let server = try await box.loopback()
    let environment = ["TYPE": "alist", "URL": server.url, "USERNAME": "admin", "PASSWORD": "wrong"]
    let variables = Dictionary(uniqueKeysWithValues: environment.map { ("SLUICE_REMOTE_NAS_\($0.key)", $0.value) })
    let destinations = (1...6).map { "nas:/\($0)" }
    let run = try await box.start(box.client(flags + destinations, input: .bytes(bytes), environment: variables)).finish()
    #expect(run.exit == 77, "\(run.summary)")
    #expect(try run.results().count == 6)
    #expect(try server.log("/api/auth/login/hash").count == 1)
  }

  @Test("destinations of a remote share a login, and a fresh one when its token has expired")
  func sharedLogin() async throws {
    let server = try await box.loopback("--expire-token-after", "9")
    let variables = [
      "SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": server.url, "SLUICE_REMOTE_NAS_USERNAME": "admin",
      "SLUICE_REMOTE_NAS_PASSWORD": Loopback.password,
    ]
    let run = try await box.sluice("nas:/a", "nas:/b", "nas:/c", input: bytes, environment: variables)
    #expect(run.exit == 0, "\(run.summary)")
    let asked = try server.log()
    #expect(try server.log("/api/auth/login/hash").count <= asked.count / 9 + 1, "\(asked.count) requests")
  }

  @Test("a command that prints a secret is run once for all destinations", arguments: ["alist", "siyuan", "http"])
  func oneCommand(type: String) async throws {
    let server = try await box.loopback()
    let path = type == "http" ? "/plain/" : "/data/"
    let variables = [
      "SLUICE_REMOTE_NAS_TYPE": type, "SLUICE_REMOTE_NAS_URL": server.url,
      "SLUICE_REMOTE_NAS_TOKEN_COMMAND": "echo run >> runs; sleep 0.1; echo \(Loopback.token)",
    ]
    let run = try await box.sluice(
      "nas:\(path)a", "nas:\(path)b", "nas:\(path)c", input: bytes, environment: variables)
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try contents("\(box.work)/runs") == Array("run\n".utf8))
  }

  // MARK: - The rate

  @Test("--limit-rate is kept below a kilobyte a second too")
  func slowFile() async throws {
    let server = try await box.loopback()
    let short = [UInt8](repeating: 1, count: 100)
    for destination in ["./x", server.plain("/x")] {
      let run = try await box.sluice("--limit-rate", "100", destination, input: short)
      #expect(try run.success()["upload_s"].double ?? 0 >= 0.99, "\(run.summary)")
    }
  }

  @Test("a pause for the sake of --limit-rate is no silence of the connection")
  func slowerThanPatience() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(
      "--limit-rate", "1", "--idle-timeout", "900ms", "--retries", "0", server.plain("/x"), input: Array("ab".utf8))
    #expect(try run.success()["upload_s"].double ?? 0 >= 1.99, "\(run.summary)")
  }
}

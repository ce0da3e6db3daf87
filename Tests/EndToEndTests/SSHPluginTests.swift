import Foundation
import Support
import Testing

/// `sluice-endpoint-ssh` against the sshd of the machine, which is spoken to through a pipe: no port, no daemon.
@Suite(.sandboxed, .enabled(if: sshd != nil && Program.installed("ssh-keygen") != nil, "openssh is not installed"))
struct SSHPluginTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private let plugins = "\(Document.folder)/examples/plugins"

  @Test("an object arrives under a name of any kind, with its folders, and nothing is left beside it")
  func put() async throws {
    let config = try await configuration()
    for (size, name) in [(0, "empty"), (2_000_000, "new/it's a \"test\" $HOME `id` \\n ü*"), (5, "new/it's a \"test\" $HOME `id` \\n ü*")] {
      var generator = SeededGenerator(UInt64(size))
      let bytes = generator.bytes(size)
      try await sluice(config, "--min-size", "0", "ssh:there:\(box.work)/far/\(name)", input: bytes).success()
      try expectSame(contents("\(box.work)/far/\(name)"), bytes)
    }
    #expect(names(in: "\(box.work)/far/new").count == 1)
    try await sluice(config, "mkdir", "ssh:there:\(box.work)/far/a b/c").success()
    #expect(exists("\(box.work)/far/a b/c"))
  }

  @Test("what is there is compared, read, listed and removed")
  func asked() async throws {
    let config = try await configuration()
    let name = "a \"b\" \\ 'c'"
    let result = try await sluice(config, "--verify", "ssh:there:\(box.work)/far/\(name)", input: bytes).success()
    #expect(result["verified"].text == "size+hash")
    try makeDirectory("\(box.work)/far/dir")
    func asked(_ verb: String, _ path: String, _ more: [String: String] = [:]) async throws -> Finished {
      var program = Program("\(plugins)/sluice-endpoint-ssh", [verb])
      program.environment = box.environment.merging(["SLUICE_OPTION_CONFIG": config, "SLUICE_PATH": "there:\(box.work)/far/\(path)"]) { $1 }
        .merging(more) { $1 }
      return try await box.start(program).finish()
    }
    #expect(try await asked("stat", name).outputText == #"{"size":12}"# + "\n")
    #expect(try await asked("stat", "dir").outputText == #"{"directory":true}"# + "\n")
    #expect(try await asked("get", name).output == bytes)
    #expect(try await asked("get", name, ["SLUICE_OFFSET": "5", "SLUICE_LENGTH": "3"]).outputText == "obj")
    let listed = try await asked("list", "").outputText.split(separator: "\n").map { try JSON(parsing: $0) }
    #expect(listed.map(\.["name"].text) == [name, "dir"])
    #expect(listed.map(\.["directory"].bool) == [nil, true])
    for verb in ["stat", "get", "list"] { #expect(try await asked(verb, "nowhere").exit == 66) }
    #expect(try await asked("remove", "dir").exit == 73)
    #expect(try await asked("remove", name).exit == 0)
    #expect(try await asked("remove", name).exit == 0)
    #expect(names(in: "\(box.work)/far") == ["dir"])
  }

  @Test("what is refused there is refused before the input is read")
  func refused() async throws {
    let config = try await configuration()
    try box.file("far/there", "old")
    try await sluice(config, "--no-clobber", "ssh:there:\(box.work)/far/there", input: bytes).failure(73, "exists")
    try await sluice(config, "--no-preflight", "--no-clobber", "ssh:there:\(box.work)/far/there", input: bytes).failure(73, "exists")
    try await sluice(config, "ssh:there:\(box.work)/far", input: bytes).failure(73, "rejected")
    try await sluice(config, "ssh:there:\(box.work)/far/there/below", input: bytes).failure(73, "rejected")
    try await sluice(config, "ssh:there", input: bytes).failure(73, "rejected")
    #expect(box.lines("far/there") == ["old"])
    #expect(names(in: "\(box.work)/far") == ["there"])
    try await sluice(config, "check", "ssh:there:\(box.work)/far/new/x").success()
  }

  @Test("a wrong key and an unknown host are no access, no connection is tried again", arguments: ["key", "host", "connection"])
  func noWayIn(how: String) async throws {
    let config = try await configuration()
    switch how {
    case "key": try await key("id")
    case "host":
      try await key("host")
      try box.file("known_hosts", "there \(box.lines("id.pub")[0])\n")
    default: try box.file("serve", "#!/bin/sh\nexit 1\n", mode: 0o755)
    }
    let run = try await sluice(config, "--retries", "1", "ssh:there:\(box.work)/x", input: bytes)
    if how == "connection" {
      #expect(try run.failure(69, "server")["attempts"].int == 2)
    } else {
      try run.failure(77, "auth")
    }
    #expect(!exists("\(box.work)/x"))
  }

  @Test("a connection that is cut in mid-upload leaves neither the object nor a part of it")
  func cut() async throws {
    let config = try await configuration()
    try box.file("far/x", "old")
    try box.file("serve", "#!/bin/sh\ndd bs=16384 count=60 2> /dev/null | '\(box.work)/sshd'\n", mode: 0o755)
    let bytes = [UInt8](repeating: 7, count: 3_000_000)
    try await sluice(config, "--no-preflight", "--retries", "0", "ssh:there:\(box.work)/far/x", input: bytes).failure(69, "server")
    #expect(box.lines("far/x") == ["old"])
    try await eventually("the part is removed") { names(in: "\(box.work)/far") == ["x"] }
  }

  private func sluice(_ config: String, _ arguments: String..., input: [UInt8]? = nil) async throws -> Finished {
    let verb = ["mkdir", "check"].contains(arguments[0]) ? [arguments[0]] : []
    let client = box.client(
      verb + ["-o", "config=\(config)"] + arguments.dropFirst(verb.count), input: input.map { .bytes($0) } ?? .nothing,
      environment: ["PATH": "\(plugins):\(box.environment["PATH"] ?? "")"])
    return try await box.start(client).finish()
  }

  private func key(_ name: String) async throws {
    let made = try await box.shell("rm -f \(name) \(name).pub; ssh-keygen -q -t ed25519 -N '' -f \(name)")
    try #require(made.exit == 0, "\(made.summary)")
  }

  /// A server with a host key, a client with a key that it takes, and the file that tells ssh of both.
  private func configuration() async throws -> String {
    try await key("host")
    try await key("id")
    let work = box.work
    try box.file("authorized_keys", box.lines("id.pub")[0])
    try box.file("known_hosts", "there \(box.lines("host.pub")[0])\n")
    try box.file(
      "sshd_config",
      """
      HostKey \(work)/host
      AuthorizedKeysFile \(work)/authorized_keys
      StrictModes no
      UsePAM no
      PidFile none

      """)
    // Run by root sshd insists on this folder, which the system makes as it boots.
    let serve =
      "#!/bin/sh\n[ \"$(id -u)\" != 0 ] || mkdir -p -m 755 /run/sshd\nexec '\(sshd ?? "")' -i -f '\(work)/sshd_config' 2> /dev/null\n"
    try box.file("sshd", serve, mode: 0o755)
    try box.file("serve", "#!/bin/sh\nexec '\(work)/sshd'\n", mode: 0o755)
    return try box.file(
      "ssh_config",
      """
      Host there
        ProxyCommand '\(work)/serve'
        IdentityFile \(work)/id
        IdentitiesOnly yes
        UserKnownHostsFile \(work)/known_hosts
        GlobalKnownHostsFile /dev/null
        StrictHostKeyChecking yes

      """)
  }
}

private let sshd: String? = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].first { (path: String) in access(path, X_OK) == 0 }

import Foundation
import Support
import Testing

/// The command line itself.
@Suite(.sandboxed)
struct CommandLineTests {
  private let box = Sandbox.here

  @Test("the version is one line on standard output", arguments: [["--version"], ["-V"], ["put", "--version"], ["held", "-V"]])
  func version(arguments: [String]) async throws {
    let run = try await box.start(box.client(arguments)).finish()
    #expect(run.exit == 0)
    #expect(run.outputText.wholeMatch(of: /sluice \d+\.\d+\.\d+\n/) != nil, "\(run.summary)")
    #expect(run.errorText.isEmpty)
  }

  @Test(
    "help is on standard output, and names what it is about",
    arguments: [
      (["--help"], "DEST"), (["-h"], "DEST"), (["put", "--help"], "--gzip"), (["mkdir", "--help"], "dest"), (["check", "--help"], "dest"),
      (["held", "--help"], "push"), (["held", "push", "--help"], "--all"), (["endpoints", "--help"], "JSON"), (["ls", "--help"], "--long"),
    ])
  func help(arguments: [String], word: String) async throws {
    let run = try await box.start(box.client(arguments)).finish()
    #expect(run.exit == 0)
    #expect(run.outputText.contains(word), "\(run.summary)")
    #expect(run.errorText.isEmpty)
  }

  @Test("help of put has every option of the contract")
  func everyOption() async throws {
    let help = try await box.sluice("put", "--help").outputText
    for option in [
      "--input", "--gzip", "--level", "--threads", "--through", "--check", "--min-size", "--content-type", "--mtime", "--no-clobber",
      "--retries",
      "--timeout", "--connect-timeout", "--limit-rate", "--verify", "--no-preflight", "--tee", "--result", "--progress", "--quiet",
      "--verbose",
      "--spool-dir", "--no-hold", "--token-file", "--cacert", "--insecure", "--dry-run",
    ] { #expect(help.contains(option), "\(option)") }
  }

  @Test("each subcommand runs")
  func subcommands() async throws {
    try await box.sluice("put", "./a", input: [1]).success()
    try await box.sluice("mkdir", "./d").success()
    try await box.sluice("check", "./d/x").success()
    #expect(try await box.sluice("ls", "./d").exit == 0)
    #expect(try await box.sluice("held").exit == 0)
    #expect(try await box.sluice("held", "list").exit == 0)
    #expect(try await box.sluice("held", "drop", "--all").exit == 0)
    #expect(try await box.sluice("held", "push", "--all").exit == 0)
    let endpoints = try await box.sluice("endpoints")
    #expect(endpoints.exit == 0)
    let names = try endpoints.outputText.split(separator: "\n").map { try JSON(parsing: $0) }.compactMap { $0["name"].text }
    #expect(Set(["alist", "siyuan", "file"]).isSubset(of: names))
  }

  @Test(
    "what can't be understood is a usage error, said in a line and a hint at the most",
    arguments: [
      [], ["--no-such-flag", "./out"], ["-x", "./out"], ["--level"], ["--retries", "-1", "./out"], ["--retries", "x", "./out"],
      ["--timeout", "soon", "./out"], ["--timeout", "0", "./out"], ["--limit-rate", "fast", "./out"], ["--limit-rate", "0", "./out"],
      ["--min-size", "-1", "./out"], ["--mtime", "yesterday", "./out"], ["--progress", "loud", "./out"], ["mkdir"], ["check"],
      ["held", "push"], ["held", "drop"], ["held", "steal"], ["out"], [""], ["gopher://h/x"], ["alist+http:///x"],
      ["alist+http://h:99999/x"],
      ["alist+http://h:x/y"], ["--content-type", "a\nb", "./out"], ["-o", "", "./out"],
    ] as [[String]])
  func misunderstood(arguments: [String]) async throws {
    let run = try await box.start(box.client(arguments, input: .endless)).finish()
    run.usage()
    #expect(run.errorText.split(separator: "\n").count <= 2, "\(run.summary)")
    #expect(run.duration < .seconds(20))
    #expect(!exists("\(box.work)/out"))
  }

  @Test(
    "a flag that would have no effect is a usage error",
    arguments: [
      ["--level", "6"], ["--threads", "2"], ["-o", "wait"], ["-o", "nonsense=1"], ["--tee"], ["-q", "-v"],
      ["--cacert", "x.pem", "--insecure"],
      ["-n", "--no-preflight"], ["--token-file", "x"],
    ])
  func noEffect(options: [String]) async throws {
    let run = try await box.start(box.client(options + ["./out"], input: .endless)).finish()
    run.usage()
    #expect(run.duration < .seconds(20))
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a flag of one endpoint is refused where that endpoint is not")
  func foreignOption() async throws {
    let run = try await box.sluice("-o", "as-task", "siyuan+http://127.0.0.1:1/data/x", input: .endless)
    run.usage()
    #expect(run.errorText.contains("as-task"))
  }

  @Test("an argument that is no UTF-8 is a usage error")
  func encoding() async throws {
    let run = try await box.shell("printf x | '\(Program.built("sluice"))' \"./a$(printf '\\377')b\"")
    run.usage()
    #expect(names(in: box.work).isEmpty)
  }

  @Test("everything after -- is the command, its flags too")
  func afterTerminator() async throws {
    try await box.sluice("./out", "--", "echo", "-z", "--version", "--", "x").success()
    try expectSame(contents("\(box.work)/out"), Array("-z --version -- x\n".utf8))
  }

  @Test("a destination named as a subcommand needs its path", arguments: ["put", "mkdir", "held"])
  func namedAsCommand(name: String) async throws {
    try await box.sluice("./\(name)", input: [1]).success()
    #expect(exists("\(box.work)/\(name)"))
  }
}

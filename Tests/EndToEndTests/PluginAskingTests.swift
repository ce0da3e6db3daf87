import Foundation
import Support
import Testing

/// Plugins that say in the answer to `check` that they can be asked.
@Suite(.sandboxed)
struct PluginAskingTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private let stat = #"{"verbs":["stat","sing"],"more":1}"#

  /// Writes a plugin of files in the working directory that notes each verb.
  ///
  /// - Parameters:
  ///   - check: what it prints.
  ///   - stat: is done for what is there.
  private func plugin(check: String, stat: String = defaultStat, put: String = "cat > \"$SLUICE_PATH\"") throws {
    try box.plugin(
      "own", put: "echo put >> verbs\n\(put)",
      others: """
        echo "$1" >> verbs
        case $1 in
          check) echo '\(check)' ;;
          stat) [ -e "$SLUICE_PATH" ] || exit 66
            if [ -d "$SLUICE_PATH" ]; then echo '{"directory":true}'; exit; fi
            \(stat) ;;
          *) exit 64 ;;
        esac
        """)
  }

  private static let defaultStat = #"""
    echo "{\"size\":$(wc -c < "$SLUICE_PATH"),\"sha256\":\"$(sha256sum < "$SLUICE_PATH" | cut -c 1-64)\",\"unknown\":[]}"
    """#

  private func sluice(_ arguments: String..., input: Program.Input = .nothing) async throws -> Finished {
    try await box.start(box.client(arguments, input: input, environment: box.plugins)).finish()
  }

  @Test("--no-clobber and a directory are noticed before the input is read, without a word of the plugin")
  func there() async throws {
    try plugin(check: stat)
    try box.file("x", "old")
    try makeDirectory("\(box.work)/dir")
    try await sluice("--no-clobber", "own:x", input: .endless).failure(73, "exists")
    try await sluice("own:dir", input: .endless).failure(73, "rejected")
    try await sluice("check", "--no-clobber", "own:x").failure(73, "exists")
    try await sluice("check", "--no-clobber", "own:y").success()
    #expect(box.lines("x") == ["old"])
    #expect(box.lines("verbs") == Array(repeating: ["check", "stat"], count: 4).flatMap { $0 })
  }

  @Test(
    "--verify compares what the plugin says, also without a preflight and of a held spool",
    arguments: [
      (#"echo "{\"size\":$(wc -c < x)}""#, "size"), (#"echo "{\"md5\":\"$(md5sum < x | cut -c 1-32)\"}""#, "size+hash"),
      (#"echo "{\"size\":null,\"sha256\":\"$(sha256sum < x | cut -c 1-64 | tr a-f A-F)\"}""#, "size+hash"), (defaultStat, "size+hash"),
    ])
  func verify(stat: String, verified: String) async throws {
    try plugin(check: self.stat, stat: stat, put: "[ ! -e full ] || exit 75; cat > x")
    for options in [["--verify"], ["--verify", "--no-preflight"]] {
      let client = box.client(options + ["own:x"], input: .bytes(bytes), environment: box.plugins)
      #expect(try await box.start(client).finish().success()["verified"].text == verified)
    }
    try box.file("full", "")
    try FileManager.default.removeItem(atPath: "\(box.work)/x")
    let failed = try await sluice("--verify", "--retries", "0", "own:x", input: .bytes(bytes)).failure(69, "server")
    try FileManager.default.removeItem(atPath: "\(box.work)/full")
    #expect(try await sluice("held", "push", try #require(failed["held"].text)).success()["verified"].text == verified)
  }

  @Test(
    "what is not what was sent is found",
    arguments: [("head -c 5 > x", "5 bytes"), ("tr s S > x", "other bytes"), ("cat > y", "not there")])
  func mismatch(put: String, words: String) async throws {
    try plugin(check: stat, put: put)
    let result = try await sluice("--verify", "--retries", "1", "own:x", input: .bytes(bytes)).failure(69, "server")
    #expect(result["attempts"].int == 2)
    #expect(result["error"]["message"].text?.contains(words) == true, "\(result)")
  }

  @Test(
    "a plugin that cannot be asked makes --verify a usage error, before the input is read",
    arguments: ["exit 64", "exit 0", #"echo '{"verbs":["get"]}'"#, #"echo '{"verbs":"stat"}'"#])
  func noStat(check: String) async throws {
    try box.plugin("own", put: "touch ran", others: check)
    for options in [[], ["--no-preflight"]] {
      let client = box.client(["--verify"] + options + ["./out", "own:x"], input: .endless, environment: box.plugins)
      let run = try await box.start(client).finish()
      run.usage()
      #expect(run.errorText.contains("--verify") && run.errorText.contains("the plugin own"), "\(run.summary)")
    }
    #expect(!exists("\(box.work)/ran") && !exists("\(box.work)/out"))
  }

  @Test(
    "an attempt that says it failed is looked at before the next, and is not made again if all is there",
    arguments: ["exit 75", "kill -9 $$", "sleep 1000"])
  func lostAnswer(end: String) async throws {
    try plugin(check: stat, put: "cat > x; \(end)")
    let run = try await sluice("--timeout", "5s", "--retries", "1", "own:x", input: .bytes(bytes))
    let result = try run.success()
    #expect(result["attempts"].int == 1)
    #expect(box.lines("verbs").count { $0 == "put" } == 1)
    try plugin(check: stat, put: #"[ "$SLUICE_ATTEMPT" = 1 ] || cat > y; exit $((75 * (SLUICE_ATTEMPT == 1)))"#)
    #expect(try await sluice("own:y", input: .bytes(bytes)).success()["attempts"].int == 2)
  }

  @Test("a whole set of parts is seen by the plugin's word")
  func parts() async throws {
    try plugin(check: stat)
    let large = [UInt8](repeating: 7, count: 25_000)
    try await sluice("--part-size", "10k", "--verify", "own:x", input: .bytes(large)).success()
    try await sluice("--part-size", "10k", "own:x", input: .endless).failure(73, "exists")
    #expect(names(in: box.work).filter { $0.hasPrefix("x.") }.sorted() == ["x.part-00001", "x.part-00002", "x.part-00003", "x.parts.json"])
  }

  @Test(
    "a word of the plugin that means nothing is a failure that says so",
    arguments: [
      "true", "echo words", #"echo '{"size":-1}'"#, #"echo '{"size":"12"}'"#, #"echo '{"sha256":"abc"}'"#, #"echo '{"modified":1.5}'"#,
    ])
  func nonsense(stat: String) async throws {
    try plugin(check: self.stat, stat: stat)
    try box.file("x", "old")
    let run = try await sluice("own:x", input: .endless)
    try run.failure(76, "protocol")
    #expect(run.errorText.contains("sluice-endpoint(7)"), "\(run.summary)")
  }

  @Test("no plugin gets a verb that it has not named", arguments: ["exit 64", "exit 0", "echo words", "echo '{}'", "exit 75"])
  func versionOne(check: String) async throws {
    try box.plugin("own", put: "echo put >> verbs; [ \"$SLUICE_ATTEMPT\" = 2 ] || exit 75", others: "echo \"$1\" >> verbs; \(check)")
    try await sluice("own:x", input: .bytes(bytes)).success()
    #expect(Set(box.lines("verbs")) == ["check", "put"])
    #expect(box.lines("verbs").count { $0 == "put" } == 2)
  }

  @Test("what a held spool was given by -o, all verbs are given")
  func heldOptions() async throws {
    try plugin(check: stat, put: "[ ! -e full ] || exit 75; cat > \"$SLUICE_PATH\"")
    let script = try String(decoding: contents("\(box.work)/bin/sluice-endpoint-own"), as: UTF8.self)
    try box.file(
      "bin/sluice-endpoint-own", script.replacing("#!/bin/sh\n", with: "#!/bin/sh\necho \"$1 ${SLUICE_OPTION_ROOT-none}\" >> given\n"),
      mode: 0o755)
    try box.file("full", "")
    let failed = try await sluice("--verify", "--retries", "0", "-o", "root=here", "own:x", input: .bytes(bytes)).failure(69, "server")
    try FileManager.default.removeItem(atPath: "\(box.work)/full")
    try await sluice("held", "push", try #require(failed["held"].text)).success()
    #expect(Set(box.lines("given")) == ["check here", "put here", "stat here"])
  }
}

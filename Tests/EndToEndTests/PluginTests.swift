import Foundation
import Support
import Testing

/// What a plugin is given, and what its exit status and its output mean.
@Suite(.sandboxed)
struct PluginTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private let writesEnvironment = "env | grep '^SLUICE_' | grep -v '^SLUICE_SPOOL_DIR=' | sort > \"env-$1\""

  @Test("a plugin is told all of the object, and gets it on standard input")
  func environment() async throws {
    try box.plugin("own", put: "\(writesEnvironment); echo \"$#\" > count; cat > object")
    let run = try await box.sluice(
      "--content-type", "text/plain", "--mtime", "1700000000123", "--no-clobber", "-o", "my-key=a  b=c", "-o", "flag",
      "own:some/ü %41?#x", input: bytes, environment: box.plugins)
    let result = try run.success()
    #expect(result["endpoint"].text == "own")
    #expect(result["path"].text == "some/ü %41?#x")
    #expect(result["response"] == .null)
    try expectSame(contents("\(box.work)/object"), bytes)
    #expect(box.lines("count") == ["1"])
    #expect(
      box.lines("env-put") == [
        "SLUICE_ATTEMPT=1", "SLUICE_CONTENT_TYPE=text/plain", "SLUICE_MTIME=1700000000123", "SLUICE_OPTION_FLAG=",
        "SLUICE_OPTION_MY_KEY=a  b=c", "SLUICE_OVERWRITE=false", "SLUICE_PATH=some/ü %41?#x", "SLUICE_PLUGIN=1",
        "SLUICE_SHA256=\(result["sha256"].text ?? "")", "SLUICE_SIZE=12",
      ])
  }

  @Test("without flags the type is empty, the time is now, and what is there may be replaced; the object is what was made of the input")
  func defaults() async throws {
    try box.plugin("own", put: "\(writesEnvironment); gunzip -c > object")
    let before = Int(Date().timeIntervalSince1970 * 1000)
    let result = try await box.sluice("-z", "--through", "cat", "own:", input: bytes, environment: box.plugins).success()
    let variables = Dictionary(
      uniqueKeysWithValues: box.lines("env-put").map { line in
        let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), String(parts[1]))
      })
    #expect(variables["SLUICE_CONTENT_TYPE"] == "")
    #expect(variables["SLUICE_OVERWRITE"] == "true")
    #expect(variables["SLUICE_PATH"] == "")
    #expect(variables["SLUICE_SIZE"].flatMap { Int($0) } == result["bytes"].int)
    #expect(try #require(variables["SLUICE_MTIME"].flatMap { Int($0) }) >= before)
    try expectSame(contents("\(box.work)/object"), bytes)
  }

  @Test("what another plugin was given, which runs sluice, is not handed on")
  func nested() async throws {
    try box.plugin("own", put: "\(writesEnvironment)", others: writesEnvironment)
    let outer = ["SLUICE_OPTION_TOKEN": "outer", "SLUICE_SIZE": "1", "SLUICE_ATTEMPT": "9", "SLUICE_SHA256": "x", "SLUICE_PLUGIN": "0"]
    try await box.sluice("own:x", input: bytes, environment: box.plugins.merging(outer) { $1 }).success()
    #expect(box.lines("env-check") == ["SLUICE_OVERWRITE=true", "SLUICE_PATH=x", "SLUICE_PLUGIN=1"])
    #expect(box.lines("env-put").contains("SLUICE_ATTEMPT=1"))
    #expect(!box.lines("env-put").contains { $0.hasPrefix("SLUICE_OPTION_") })
  }

  @Test(
    "standard input is a regular file, read-only and at its start, in each attempt, also for two plugins at once",
    .enabled(if: exists("/proc/self/fdinfo"), "there is no /proc"), arguments: ["spool", "file"])
  func standardInput(how: String) async throws {
    try box.plugin(
      "own",
      put: """
        { stat -Lc %F /dev/stdin; sed -n 's/^pos:[^0-9]*//p; s/^flags:.*\\(.\\)$/\\1/p' /proc/self/fdinfo/0; } >> "facts-$SLUICE_PATH"
        head -c 5 > /dev/null
        [ "$SLUICE_ATTEMPT" = 3 ] || exit 75
        """)
    let file = try box.file("object", bytes)
    let input = how == "file" ? ["--input", file] : []
    let run = try await box.start(
      box.client(input + ["own:a", "own:b"], input: how == "file" ? .nothing : .bytes(bytes), environment: box.plugins)
    ).finish()
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try run.results().map { $0["attempts"].int } == [3, 3])
    for path in ["a", "b"] { #expect(box.lines("facts-\(path)") == Array(repeating: ["regular file", "0", "0"], count: 3).flatMap { $0 }) }
  }

  @Test(
    "the exit status says what kind of failure it is, and only 75 is tried again",
    arguments: [
      ("exit 73", 73, "rejected"), ("exit 77", 77, "auth"), ("exit 1", 69, "server"), ("exit 64", 69, "server"),
      ("kill -9 $$", 69, "server"), ("exit 75", 69, "server"),
    ] as [(String, Int32, String)])
  func exitStatus(script: String, exit: Int32, kind: String) async throws {
    try box.plugin("own", put: "echo '{\"said\":1}'; echo 'the plugin speaks' >&2; \(script)")
    let again = script == "exit 75"
    let run = try await box.sluice("--retries", "1", "own:x", input: bytes, environment: box.plugins)
    let result = try run.failure(exit, kind)
    #expect(result["attempts"].int == (again ? 2 : 1))
    #expect(result["error"]["retryable"].bool == again)
    #expect(result["response"]["said"].int == 1)
    #expect(result["held"].text != nil)
    #expect(run.errorText.contains("the plugin speaks\n"))
    if script.hasPrefix("kill") { #expect(result["error"]["message"].text == "the plugin own was ended by signal 9") }
  }

  @Test(
    "the last line becomes the response if it is a JSON object; any other output is text",
    arguments: [
      (#"printf '{"id": 1}\n'"#, #"{"id":1}"#), (#"printf '{"id":1}'"#, #"{"id":1}"#), (#"printf 'words\n{"id":1}\r\n \n'"#, #"{"id":1}"#),
      (#"printf '{"id":1}\n{"progress":3}\n'"#, #"{"id":1}"#), (#"printf '{"progress":3}\n'"#, ""), (#"printf '\n \n'"#, ""),
      (#"printf '{"id":1}\nwords\n'"#, #"{"text":"{\"id\":1}\nwords"}"#), ("printf '[1]\n'", #"{"text":"[1]"}"#),
      (#"printf 'a\377b'"#, #"{"text":"a�b"}"#), (#"printf '{"a":"\377"}'"#, #"{"text":"{\"a\":\"�\"}"}"#),
      (#"printf '\033[2J\0\n'"#, #"{"text":"\u001b[2J\u0000"}"#), (#"printf 'one\n{"progress":3}\ntwo\n'"#, #"{"text":"one\ntwo"}"#),
    ])
  func response(script: String, expected: String) async throws {
    try box.plugin("own", put: script)
    let result = try await box.sluice("own:x", input: bytes, environment: box.plugins).success()
    #expect(result["response"] == (expected.isEmpty ? .null : try JSON(parsing: expected)))
  }

  @Test("megabytes of output neither stop the plugin nor stay in memory", arguments: ["a line", "lines", "no end"])
  func muchOutput(how: String) async throws {
    let letters = "head -c 30000000 /dev/zero | tr '\\0' x"
    let script =
      switch how {
      case "lines": "\(letters) | fold -w 1000; echo; echo '{\"id\":1}'"
      case "a line": "\(letters); echo; echo '{\"id\":1}'"
      default: letters
      }
    try box.plugin("own", put: script)
    var client = box.client(["own:x"], input: .bytes(bytes), environment: box.plugins)
    client.measuresMemory = true
    let run = try await box.start(client).finish()
    let response = try run.success()["response"]
    #expect(how == "no end" ? response["text"].text == String(repeating: "x", count: 1000) : response["id"].int == 1)
    #expect(run.peakKiB < 45_000, "\(run.peakKiB) KiB")
  }

  @Test("lines about progress move the progress that is shown")
  func progress() async throws {
    try box.plugin(
      "own",
      put: """
        echo '{"progress":5}'
        while [ ! -e go ]; do sleep 0.05; done
        echo '{"progress":99}'
        """)
    let running = try box.start(box.client(["--progress", "json", "own:x"], input: .bytes(bytes), environment: box.plugins))
    let upload = #"{"phase":"upload","destination":"own:x","bytes":"#
    try await eventually("five bytes are shown") { running.errorSoFar.contains(upload + #"5,"total":12"#) }
    try box.file("go", "")
    let run = await running.finish()
    try run.success()
    #expect(run.errorText.contains(upload + #"12,"total":12"#), "\(run.summary)")
  }

  @Test("an object that the plugin does not read, or not to its end, is its own matter")
  func unread() async throws {
    try box.plugin("own", put: "exec < /dev/null")
    try await box.sluice("own:x", input: Array(repeating: 7, count: 300_000), environment: box.plugins).success()
  }

  @Test("a file that gets another name or other bytes while it is sent is no success", arguments: ["mv object other", "echo x >> object"])
  func changedFile(how: String) async throws {
    try box.plugin("own", put: "[ \"$SLUICE_ATTEMPT\" = 2 ] || { \(how); exit \(how.hasPrefix("mv") ? 75 : 0); }")
    let file = try box.file("object", bytes)
    let run = try await box.sluice("--input", file, "own:x", environment: box.plugins)
    try run.failure(65, "input")
  }
}

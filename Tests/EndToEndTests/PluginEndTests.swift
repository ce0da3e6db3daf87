import Foundation
import Support
import Testing

/// However a plugin or the run around it ends, nothing goes on behind its back.
@Suite(.sandboxed)
struct PluginEndTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  /// Leaves word of itself and of a child that takes no notice of SIGTERM, and hangs.
  private let hangs = """
    sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 0.1; done' &
    echo $$ > plugin
    exec sleep 1000
    """

  @Test(
    "a signal ends the plugin with all that it started, and keeps the object",
    arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func signal(number: Int32, exit: Int32) async throws {
    try box.plugin("own", put: hangs)
    let running = try box.start(box.client(["own:x"], input: .bytes(bytes), environment: box.plugins))
    let processes = try await started()
    running.signal(number)
    let run = await running.finish()
    try #expect(run.failure(exit, "interrupted")["held"].text != nil)
    try await areGone(processes)
  }

  @Test("a signal ends the preflight of a plugin")
  func signalInCheck() async throws {
    try box.plugin("own", put: "exit 1", others: hangs)
    let running = try box.start(box.client(["own:x"], input: .endless, environment: box.plugins))
    let processes = try await started()
    running.signal(SIGINT)
    try await running.finish().failure(130, "interrupted")
    try await areGone(processes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("--timeout bounds each attempt, and what is too slow is ended before the next")
  func timeout() async throws {
    // Under a first process that does not look after orphans, what was killed stays as a zombie.
    try box.plugin(
      "own",
      put: """
        if [ -e child ]; then
          child=$(cat child)
          if kill -0 "$child" && ! grep -q '^State:.Z' "/proc/$child/status"; then echo overlap > overlap; fi
          rm child
        fi
        \(hangs)
        """)
    let run = try await box.sluice("--timeout", "700ms", "--retries", "1", "own:x", input: bytes, environment: box.plugins)
    let result = try run.failure(69, "timeout")
    #expect(result["attempts"].int == 2)
    #expect(result["held"].text != nil)
    try await areGone(try await started())
    #expect(!exists("\(box.work)/overlap"))
  }

  @Test("a check and a mkdir that hang are ended after --idle-timeout, whatever --timeout says", arguments: ["check", "mkdir"])
  func silence(verb: String) async throws {
    try box.plugin("own", put: "exit 1", others: hangs)
    for options in [[], ["--timeout", "1h"]] {
      let arguments = [verb, "--idle-timeout", "700ms", "--retries", "0"] + options + ["own:x"]
      let run = try await box.start(box.client(arguments, environment: box.plugins)).finish()
      let message = try run.failure(69, "timeout")["error"]["message"].text
      #expect(message == "the plugin own took longer for \(verb) than --idle-timeout allows")
      try await areGone(try await started())
      for name in ["child", "plugin"] { unlink("\(box.work)/\(name)") }
    }
  }

  @Test("a preflight that hangs does not keep the object from being sent, and a slow upload is not silence")
  func hangingPreflight() async throws {
    try box.plugin("own", put: "sleep 1; cat > object", others: hangs)
    let run = try await box.sluice("--idle-timeout", "500ms", "own:x", input: bytes, environment: box.plugins)
    try run.success()
    #expect(run.errorText.contains("warning: own:x: the plugin own took longer for check than --idle-timeout allows"))
    try expectSame(contents("\(box.work)/object"), bytes)
  }

  @Test("a process that is left behind is not waited for, although it holds standard output")
  func leftChild() async throws {
    try box.plugin("own", put: "sleep 1000 2> /dev/null & echo $! > child\necho '{\"id\":1}'")
    let run = try await box.sluice("own:x", input: bytes, environment: box.plugins)
    let child = try #require(box.number("child"))
    defer { kill(child, SIGKILL) }
    #expect(try run.success()["response"]["id"].int == 1)
    #expect(kill(child, 0) == 0)
    #expect(run.duration < .seconds(60))
  }

  @Test("those that write on for ever are not listened to for ever")
  func endlessChildren() async throws {
    // More than one, so that the pipe is full whenever it is read from.
    try box.plugin("own", put: "for i in 1 2 3 4; do yes 2> /dev/null & echo $! >> children; done")
    let run = try await box.sluice("own:x", input: bytes, environment: box.plugins)
    let children = box.lines("children").compactMap { Int32($0) }
    defer { for child in children { kill(child, SIGKILL) } }
    try run.success()
    #expect(children.count == 4)
    for child in children { try await eventually("its pipe is closed") { !isRunning(child) } }
  }

  @Test("a plugin that can't be started is a config error", arguments: ["#!/no/such/interpreter\n", "\u{7f}ELF nonsense"])
  func notStartable(content: String) async throws {
    try box.file("bin/sluice-endpoint-own", content, mode: 0o755)
    let run = try await box.sluice("own:x", input: .endless, environment: box.plugins)
    try run.failure(78, "config")
    #expect(run.errorText.contains("\(box.work)/bin/sluice-endpoint-own"))
  }

  @Test("what a plugin could not send is held, and sent later with the same options and the same name")
  func held() async throws {
    try box.plugin("own", put: "exit 1")
    let environment = box.plugins.merging(["PATH": "bin:\(box.environment["PATH"] ?? "")"]) { $1 }
    let run = try await box.sluice("--content-type", "a/b", "-o", "key=value", "own:x y", input: bytes, environment: environment)
    let id = try #require(run.failure(69, "server")["held"].text)
    try box.plugin("own", put: "cat > object; echo \"$SLUICE_PATH $SLUICE_OPTION_KEY $SLUICE_CONTENT_TYPE $SLUICE_ATTEMPT\" > said")
    let result = try await box.sluice("held", "push", id, environment: environment).success()
    #expect(result["destination"].text == "own:x y")
    #expect(box.lines("said") == ["x y value a/b 1"])
    try expectSame(contents("\(box.work)/object"), bytes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a plugin is one of several destinations; what fails there does not touch the others")
  func several() async throws {
    try box.plugin("good", put: "cat > object")
    try box.plugin("bad", put: "exit 73")
    let server = try await box.loopback()
    let run = try await box.sluice("good:x", "bad:x", "./out", server.alist("/x"), input: bytes, environment: box.plugins)
    #expect(run.exit == 73, "\(run.summary)")
    #expect(try run.results().filter { $0["ok"].bool == true }.count == 3)
    for path in ["\(box.work)/object", "\(box.work)/out", server.alistFile("/x")] { try expectSame(contents(path), bytes) }
    #expect(box.spoolNames.filter { $0.hasSuffix(".data") }.count == 1)
  }

  private func started() async throws -> [Int32] {
    try await eventually("the plugin and its child run") {
      guard let plugin = box.number("plugin"), let child = box.number("child") else { return nil }
      return [plugin, child]
    }
  }

  private func areGone(_ processes: [Int32]) async throws {
    for process in processes { try await eventually("process \(process) has ended") { !isRunning(process) } }
  }

  /// What has ended and waits for its parent, which may be nobody, does not run.
  private func isRunning(_ process: Int32) -> Bool {
    guard kill(process, 0) == 0 else { return false }
    guard let text = try? String(decoding: contents("/proc/\(process)/stat"), as: UTF8.self) else { return exists("/proc/self") == false }
    return !text.contains(") Z ")
  }
}

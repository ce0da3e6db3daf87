import Foundation
import Support
import Testing

/// `-o as-task`: the server stores the object on its own time.
@Suite(.sandboxed)
struct AListTaskTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("-o as-task returns the task", arguments: ["openlist", "alist"])
  func asTask(flavor: String) async throws {
    let server = try await box.loopback("--flavor", flavor, "--task-delay", "50")
    let result = try await box.sluice("-o", "as-task", server.alist("/x"), input: bytes).success()
    #expect(result["task"]["id"].text?.isEmpty == false)
    #expect(result["task"]["name"].text?.contains("x") == true)
    #expect(try await server.puts()[0]["headers"]["as-task"].text == "true")
    try await eventually("the task has stored it") { exists(server.alistFile("/x")) }
  }

  @Test("-o wait polls the task to its end", arguments: ["openlist", "alist"])
  func wait(flavor: String) async throws {
    let server = try await box.loopback("--flavor", flavor, "--task-delay", "700")
    let result = try await box.sluice("-o", "as-task", "-o", "wait", server.alist("/x"), input: bytes).success()
    #expect(result["task"]["state"].int == 2)
    try expectSame(contents(server.alistFile("/x")), bytes)
    let polls = try server.log().filter { $0["path"].text?.hasSuffix("/upload/info") == true }
    #expect(!polls.isEmpty)
    #expect(polls.allSatisfy { $0["method"].text == "POST" })
  }

  @Test("a task whose answer was lost is waited for, and the object is not sent again")
  func lostAnswer() async throws {
    let server = try await box.loopback("--task-delay", "1500", "--store-then-cut", "--times", "1")
    let result = try await box.sluice("-o", "as-task", "-o", "wait", server.alist("/x"), input: bytes).success()
    #expect(try await server.puts().count == 1)
    #expect(result["task"]["state"].int == 2 || result["task"] == .null)
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("a failed task is a failed upload, with the server's error")
  func failed() async throws {
    let server = try await box.loopback("--fail-task", "the drive is on strike")
    let run = try await box.sluice("--retries", "0", "-o", "as-task", "-o", "wait", server.alist("/x"), input: bytes)
    #expect(run.exit == 69 || run.exit == 73, "\(run.summary)")
    let result = try run.result()
    #expect(result["ok"].bool == false)
    #expect(result["error"]["message"].text?.contains("the drive is on strike") == true)
    #expect(result["task"]["state"].int == 7)
    #expect(result["held"].text != nil)
  }

  @Test(
    "what does not go with a task is refused before the input is read, wherever the task is asked for",
    arguments: [
      ("", ["--part-size", "1M", "-o", "as-task"], 64), ("", ["--verify", "-o", "as-task"], 64),
      ("", ["-o", "direct", "-o", "as-task"], 64), ("", ["-o", "chunked", "-o", "as-task"], 64),
      ("as-task: yes", ["--part-size", "1M"], 64), ("as-task: yes", ["--verify"], 64), ("as-task: yes", ["-o", "direct"], 64),
      ("direct: yes", ["-o", "as-task"], 64), ("as-task: yes\n    chunked: 5M", [], 78),
    ] as [(String, [String], Int32)])
  func contradictions(key: String, options: [String], exit: Int32) async throws {
    let server = try await box.loopback()
    let config = try box.file(
      "config.yaml", "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token: \(Loopback.token)\n    \(key)\n", mode: 0o600)
    let run = try await box.start(box.client(options + ["nas:/x"], input: .endless, environment: ["SLUICE_CONFIG": config])).finish()
    #expect(run.exit == exit, "\(run.summary)")
    #expect(run.errorText.contains("as-task"), "\(run.summary)")
    #expect(try server.log().isEmpty)
  }

  @Test("a remote that asks for a task makes -o wait count")
  func waitForRemote() async throws {
    let server = try await box.loopback()
    let config = try box.file(
      "config.yaml", "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token: \(Loopback.token)\n    as-task: yes\n",
      mode: 0o600)
    let result = try await box.sluice("-o", "wait", "nas:/x", input: bytes, environment: ["SLUICE_CONFIG": config]).success()
    #expect(result["task"]["state"].int == 2)
  }

  @Test("an empty object never goes as a task", arguments: [["-o", "as-task"], ["-o", "as-task", "-o", "wait"]])
  func empty(options: [String]) async throws {
    let server = try await box.loopback()
    let result = try await box.start(box.client(options + ["--min-size", "0", server.alist("/x")], input: .bytes([]))).finish().success()
    #expect(result["task"] == .null)
    #expect(try await server.puts()[0]["headers"]["as-task"] == .null)
    #expect(try contents(server.alistFile("/x")).isEmpty)
  }

  @Test("a guest, who can't ask for tasks, is told before the input is read")
  func guest() async throws {
    let server = try await box.loopback("--guest")
    let run = try await box.sluice("-o", "as-task", server.alist("/x"), input: .endless, environment: ["ALIST_TOKEN": nil])
    try run.failure(77, "auth")
    #expect(try server.log("/api/fs/put").isEmpty)
  }

  @Test("a task that the server forgets is looked for in the storage")
  func forgotten() async throws {
    let polls = Counter()
    let server = try box.scripted { exchange in
      switch exchange.request.target {
      case "/api/me":
        exchange.answer(#"{"code":200,"message":"success","data":{"id":1,"username":"admin","role":2,"permission":65535,"base_path":"/"}}"#)
      case "/api/fs/list":
        exchange.answer(#"{"code":200,"message":"success","data":{"content":null,"total":0,"write":true,"provider":"Local"}}"#)
      case "/api/fs/form":
        exchange.answer(#"{"code":500,"message":"request Content-Type isn't multipart/form-data","data":null}"#)
      case "/api/fs/get" where polls.value > 0:
        exchange.answer(#"{"code":200,"message":"success","data":{"name":"x","size":12,"is_dir":false,"hash_info":null}}"#)
      case "/api/fs/get":
        exchange.answer(#"{"code":500,"message":"failed to get obj: object not found","data":null}"#)
      case "/api/fs/put":
        exchange.answer(
          #"{"code":200,"message":"success","data":{"task":{"id":"t1","name":"upload x to [/](/)","state":0,"status":"","progress":0,"error":""}}}"#
        )
      case "/api/task/upload/undone", "/api/task/upload/done":
        exchange.answer(#"{"code":200,"message":"success","data":[]}"#)
      default:
        polls.increment()
        exchange.answer(#"{"code":404,"message":"task not found","data":null}"#)
      }
    }
    try await box.sluice("--no-clobber", "-o", "as-task", "-o", "wait", "alist+http://\(server.authority)/x", input: bytes).success()
    #expect(polls.value > 0)
  }
}

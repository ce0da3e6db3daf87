import Foundation
import Support
import Testing

/// What once ended the program, or kept it from ending.
@Suite(.sandboxed)
struct CrashTests {
  private let box = Sandbox.here

  @Test(
    "a status that has no meaning is a failure, also when what is held is pushed",
    arguments: ["000", "001", "099", "100", "101", "199", "600", "999", "1000", "0", "-1", "٢٠٠"], [true, false])
  func status(status: String, isProxied: Bool) async throws {
    let server = try box.scripted { exchange in
      exchange.readBody()
      exchange.send("HTTP/1.1 \(status) Odd\r\nContent-Length: 2\r\n\r\nok")
      exchange.close()
    }
    let environment: [String: String?] = isProxied ? ["http_proxy": "http://\(server.authority)"] : [:]
    let host = isProxied ? "storage.example" : server.authority
    let run = try await box.sluice(
      "--no-preflight", "--retries", "0", "--timeout", "5s", "http://\(host)/x", input: [1, 2, 3], environment: environment)
    #expect([69, 76].contains(run.exit), "\(run.summary)")
    let id = try #require(run.result()["held"].text, "\(run.summary)")
    let push = try await box.sluice("held", "push", "--retries", "0", "--timeout", "5s", id, environment: environment)
    #expect([69, 76].contains(push.exit), "\(push.summary)")
    #expect(box.spoolNames.contains("\(id).data"))
  }

  @Test("a proxy that answers CONNECT with such a status lets nothing through", arguments: ["000", "099", "101", "999"])
  func statusOfTunnel(status: String) async throws {
    let server = try box.scripted { exchange in
      exchange.send("HTTP/1.1 \(status) Odd\r\nContent-Length: 0\r\n\r\n")
      exchange.close()
    }
    let run = try await box.sluice(
      "--no-preflight", "--retries", "0", "--timeout", "5s", "https://storage.example/x", input: [1],
      environment: ["https_proxy": "http://\(server.authority)"])
    #expect([69, 76].contains(run.exit), "\(run.summary)")
  }

  @Test("more retries than can be counted are as many as can be")
  func retries() async throws {
    let server = try await box.loopback("--on", "/plain/x", "--status", "503", "--times", "2")
    let run = try await box.sluice(
      "--no-preflight", "--retries", "9223372036854775807", "--retry-max-time", "999999999s", server.plain("/x"), input: [1, 2, 3])
    #expect(try (run.success()["attempts"].int ?? 0) > 1, "\(run.summary)")
    let beyond = try await box.sluice("--retries", "9223372036854775808", server.plain("/x"), input: [1])
    beyond.usage()
  }

  @Test(
    "a file system that says of itself what can't be is believed to have room",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"), arguments: ["ff", "7f"])
  func fileSystem(byte: String) async throws {
    let file = try box.file("in", [UInt8](repeating: 1, count: 1000))
    // The whole of the kernel's struct statfs, which has 120 bytes.
    let fault = "fstatfs:poke_exit=@arg2=\(String(repeating: byte, count: 80))"
    let run = try await box.start(Strace.injecting(fault, on: nil, into: box.client(["./out"], input: .file(file)))).finish()
    try run.success()
    try expectSame(contents("\(box.work)/out"), contents(file))
  }

  @Test(
    "SIGTERM ends a run on a terminal whose filter reads nothing",
    .enabled(if: Program.installed("setsid") != nil, "setsid is not installed"))
  func filterOnTerminal() async throws {
    let terminal = try PseudoTerminal()
    let file = try box.file("in", [UInt8](repeating: 1, count: 4_000_000))
    // With a controlling terminal the filter's children stay in our group, and only the filter itself is told to end.
    let filter = "exec 3<&0; sleep 30 <&3 >/dev/null 2>&1 & echo $! > sleeper; wait; cat"
    let line = """
      exec 3<&0; setsid -c '\(Program.built("sluice"))' --input '\(file)' --through '\(filter)' ./out <&3 & echo $! > pid; wait $!
      """
    var client = box.client([], input: .descriptor(terminal.child))
    client.path = "/bin/sh"
    client.arguments = ["-c", line]
    let running = try box.start(client)
    let sleeper = try await eventually("the filter runs") { processID("sleeper") }
    let pid = try #require(processID("pid"))
    kill(pid, SIGTERM)
    let run = await running.finish()
    kill(sleeper, SIGKILL)
    #expect(run.exit == 143, "\(run.summary)")
    #expect(run.duration < .seconds(20), "\(run.summary)")
    #expect(box.spoolNames.isEmpty && !exists("\(box.work)/out"))
  }

  private func processID(_ name: String) -> pid_t? {
    guard let text = try? contents("\(box.work)/\(name)") else { return nil }
    return pid_t(String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
  }

  @Test(
    "a file that the kernel does not send by itself is read and written, whatever the endpoint",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"), arguments: ["EINVAL", "ENOSYS"])
  func sendfile(error: String) async throws {
    var generator = SeededGenerator(4)
    let bytes = generator.bytes(12 << 20)
    let file = try box.file("in", bytes)
    let server = try await box.loopback("--permission", "65535")
    let s3 = try ScriptedS3(box)
    let destinations = [
      server.plain("/x"), server.alist("/x"), server.siyuan("/data/x"), server.dav("/y"), "s3://b/k",
    ]
    for destination in destinations {
      let options = destination.hasPrefix("s3:") ? ["-o", "part-size=5M"] : []
      let client = box.client(["--retries", "0", "--no-sha256", "--input", file, destination] + options, environment: s3.environment)
      let run = try await box.start(Strace.injecting("sendfile:error=\(error)", on: nil, into: client)).finish()
      #expect(try run.success()["attempts"].int == 1, "\(destination): \(run.summary)")
    }
    for stored in [server.plainFile("/x"), server.alistFile("/x"), server.siyuanFile("/data/x"), server.alistFile("/y")] {
      try expectSame(contents(stored), bytes)
    }
    #expect(s3.size(of: "/b/k") == bytes.count)
  }

  @Test(
    "where the kernel refuses in the middle, or can't read, the server is not blamed",
    .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"),
    arguments: [("EINVAL", true), ("ENOSYS", true), ("EIO", false)])
  func sendfileInTheMiddle(error: String, passes: Bool) async throws {
    var generator = SeededGenerator(4)
    let bytes = generator.bytes(4 << 20)
    let file = try box.file("in", bytes)
    let server = try await box.loopback()
    // Each thread counts for itself, and the first that sends for the connection is another than the one that asks.
    for (arguments, input, status) in [(["--no-sha256", "--input", file], Program.Input.nothing, 65), ([], .bytes(bytes), 74)]
      as [(_, _, Int32)]
    {
      let client = box.client(arguments + [server.plain("/x")], input: input)
      let run = try await box.start(Strace.injecting("sendfile:error=\(error):when=2..3", on: nil, into: client)).finish()
      if passes {
        #expect(try run.success()["attempts"].int == 2, "\(run.summary)")
        try expectSame(contents(server.plainFile("/x")), bytes)
      } else {
        try run.failure(status, status == 65 ? "input" : "spool")
        #expect(run.errorText.contains("input/output error"), "\(run.summary)")
      }
    }
  }

  @Test(
    "a run with too few descriptors says so before it reads anything, and with as many as it asks for it ends well",
    .enabled(if: Program.installed("prlimit") != nil, "prlimit is not installed"),
    arguments: ["plain", "all", "file", "filters", "command", "parts", "s3", "plugin", "check", "push"])
  func descriptors(way: String) async throws {
    let server = try await box.loopback("--permission", "65535")
    let s3 = try ScriptedS3(box)
    try box.plugin("store", put: "cat > stored")
    let file = try box.file("in", [UInt8](repeating: 1, count: 12 << 20))
    let held =
      way == "push"
      ? try await box.sluice("--no-preflight", "--retries", "0", "http://127.0.0.1:1/x", input: [1]).result()["held"].text : nil
    let everywhere = [server.plain("/x"), server.alist("/x"), server.siyuan("/data/x"), server.dav("/y"), "./x"]
    let arguments: [String] =
      switch way {
      case "all": everywhere
      case "file": ["-z", "./x"]
      case "filters": ["--through", "cat", "--through", "cat", "--check", "cat >&2", "--check", "true", server.plain("/x")]
      case "command": ["--result", "results", server.plain("/x"), "--", "cat", file]
      case "parts": ["--part-size", "1M", "--max-spool", "8M"] + everywhere
      case "s3": ["-o", "part-size=5M", "-o", "concurrency=32", "s3://b/k"]
      case "plugin": ["store:x"]
      case "check": ["check"] + everywhere
      case "push": ["held", "push", held ?? ""]
      default: [server.plain("/x")]
      }
    let limited = { (limit: Int) -> Program in
      var client = box.client(
        ["--nofile=\(limit)", Program.built("sluice")] + arguments,
        input: way == "command" || way == "check" || way == "push" ? .nothing : .file(file),
        environment: s3.environment.merging(box.plugins) { $1 })
      client.path = Program.installed("prlimit") ?? ""
      return client
    }
    for limit in [5, 6, 7, 8, 12, 20] {
      let run = try await box.start(limited(limit)).finish()
      #expect(run.exit == 74, "\(limit): \(run.summary)")
      #expect(run.output.isEmpty && run.errorText.split(separator: "\n").count == 1, "\(limit): \(run.summary)")
    }
    // From here on it is known what is to be done.
    let refused = try await box.start(limited(32)).finish()
    let needed = try #require(refused.errorText.firstMatch(of: #/up to (\d+) open files/#).flatMap { Int($0.1) }, "\(refused.summary)")
    let below = try await box.start(limited(needed - 1)).finish()
    #expect(below.exit == 74, "\(below.summary)")
    #expect(box.spoolNames.count == (way == "push" ? 2 : 0))
    let run = try await box.start(limited(needed)).finish()
    #expect(run.exit == (way == "push" ? 69 : 0), "\(needed): \(run.summary)")
  }

  @Test("a list of parts whose pages never end is asked for as long as they bring parts", arguments: ["nothing", "the same", "others"])
  func listing(bringing: String) async throws {
    let isBroken = Flag(true)
    let server = try ScriptedS3(box) { call, exchange in
      if call.operation == .part(3), isBroken.isSet {
        exchange.readBody()
        exchange.refuse("500 Internal Server Error", "InternalError")
        return true
      }
      // What is not bounded ends here all the same.
      guard call.operation == .list, call.before < 100 else { return false }
      let part = "<Part><PartNumber>\(bringing == "others" ? 11 + call.before : 1)</PartNumber><ETag>e</ETag><Size>1</Size></Part>"
      exchange.answer(
        "<ListPartsResult>\(bringing == "nothing" ? "" : part)<IsTruncated>true</IsTruncated><NextPartNumberMarker>\(1 + call.before)"
          + "</NextPartNumberMarker></ListPartsResult>")
      return true
    }
    let bytes = [UInt8](repeating: 7, count: 12 << 20)
    let failed = try await box.start(
      box.client(
        ["--no-preflight", "--retries", "0", "-o", "part-size=5M", "s3://b/k"], input: .bytes(bytes), environment: server.environment)
    ).finish()
    let id = try #require(try failed.failure(69, "server")["held"].text)
    isBroken.set(false)
    try await box.sluice("held", "push", id, environment: server.environment).success()
    #expect(server.count(of: .list) <= 2)
    #expect(server.size(of: "/b/k") == bytes.count)
  }

  @Test("SIGTERM ends a run whose results or messages nobody reads", arguments: ["results", "messages"])
  func unreadOutput(what: String) async throws {
    let pipe = try PipeEnds()
    _ = fcntl(pipe.write, F_SETFL, fcntl(pipe.write, F_GETFL) | O_NONBLOCK)
    let full = [UInt8](repeating: 0, count: 4096)
    while write(pipe.write, full, full.count) > 0 {}
    _ = fcntl(pipe.write, F_SETFL, fcntl(pipe.write, F_GETFL) & ~O_NONBLOCK)
    var client = box.client(what == "results" ? ["./out"] : ["--result", "results", "./missing/out"], input: .bytes([1, 2, 3]))
    if what == "results" { client.output = .descriptor(pipe.write) } else { client.error = .descriptor(pipe.write) }
    client.limit = .seconds(30)
    let running = try box.start(client)
    try await eventually("it is about to write") { exists("\(box.work)/\(what == "results" ? "out" : "results")") }
    running.signal(SIGTERM)
    let run = await running.finish()
    close(pipe.read)
    close(pipe.write)
    #expect(run.exit != 0 && run.signal == nil, "\(run.summary)")
  }
}

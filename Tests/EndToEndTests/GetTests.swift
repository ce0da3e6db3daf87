import BytePath
import Foundation
import Support
import Synchronization
import Testing

/// Objects that are read back: whole and proven, or not at all.
@Suite(.sandboxed)
struct GetTests {
  private let box = Sandbox.here
  private static let bytes: [UInt8] = {
    var generator = SeededGenerator(12)
    return generator.bytes(20_000_001)
  }()

  private func server(
    _ bytes: [UInt8] = GetTests.bytes, fault: @escaping @Sendable (Int, ScriptedServer.Request) -> ObjectServer.Action = { _, _ in .serve }
  ) throws -> ObjectServer {
    try box.objects(["/x": .init(bytes)], fault: fault)
  }

  private var file: String { "\(box.work)/out" }

  /// Nothing has come to the reader, and nothing is left.
  private func expectNothing(_ run: Finished, _ location: SourceLocation = #_sourceLocation) {
    #expect(run.output.isEmpty || run.outputText.hasPrefix("{"), "\(run.summary)", sourceLocation: location)
    #expect(names(in: box.work) == [], sourceLocation: location)
    #expect(box.spoolNames == [], sourceLocation: location)
  }

  @Test("to a file: in parts side by side, whole, with the time of the object")
  func toFile() async throws {
    let server = try server()
    let result = try await box.sluice("get", server.url(), "out").success()
    try expectSame(contents(file), GetTests.bytes)
    #expect(result["source"].text == server.url())
    #expect(result["file"].text == "out")
    #expect(result["bytes"].int == GetTests.bytes.count)
    #expect(try await result["sha256"].text == sha256(GetTests.bytes))
    #expect(result["verified"].text == "size")
    #expect(result["resumed"] == .null)
    #expect(Set(server.ranges) == ["bytes=0-8388607", "bytes=8388608-16777215", "bytes=16777216-20000000"])
    let time = try FileManager.default.attributesOfItem(atPath: file)[.modificationDate] as? Date
    #expect(time == Date(timeIntervalSince1970: 1_772_532_000))
    #expect(names(in: box.work) == ["out"])
    #expect(box.spoolNames == [])
  }

  @Test("to standard output, with the result where --result says", arguments: [0, 1, 65_536, 9_000_000])
  func toOutput(count: Int) async throws {
    let bytes = Array(GetTests.bytes.prefix(count))
    let run = try await box.sluice("get", "--result", "r.json", try server(bytes).url())
    #expect(run.exit == 0, "\(run.summary)")
    expectSame(run.output, bytes)
    let result = try #require(try resultLines(String(decoding: contents("\(box.work)/r.json"), as: UTF8.self)).first)
    #expect(result["ok"] == .bool(true) && result["bytes"].int == count)
    #expect(box.spoolNames == [])
  }

  @Test("to a command: its standard output is ours, and its status counts")
  func toCommand() async throws {
    let bytes = Array("some object\n".utf8)
    let server = try server(bytes)
    let good = try await box.sluice("get", server.url(), "--", "tr", "a-z", "A-Z")
    #expect(good.exit == 0 && good.outputText == "SOME OBJECT\n", "\(good.summary)")
    let failed = try await box.sluice("get", server.url(), "--", "sh", "-c", "cat; exit 3")
    #expect(failed.exit == 65 && failed.outputText == "some object\n" && failed.errorText.contains("status 3"), "\(failed.summary)")
    let missing = try await box.sluice("get", server.url(), "--", "no-such-program")
    #expect(missing.exit == 65 && missing.errorText.contains("was not found"), "\(missing.summary)")
    #expect(box.spoolNames == [])
  }

  @Test("a file that is there: replaced in one step, or refused before anything is fetched")
  func existing() async throws {
    let server = try server()
    try box.file("out", "old")
    try await box.sluice("get", "--no-clobber", server.url(), "out").failure(73, "exists")
    #expect(server.ranges == [])
    try await box.sluice("get", server.url(), "out").success()
    try expectSame(contents(file), GetTests.bytes)
  }

  @Test("an object that is not there is 66, and nothing else is")
  func missing() async throws {
    let server = try server()
    let run = try await box.sluice("get", server.url("/y"), "out")
    try run.failure(66, "missing")
    // Plain HTTP has no lists.
    #expect(!run.errorText.contains("sluice ls"), "\(run.summary)")
    expectNothing(run)
    #expect(try await box.sluice("get", server.url("/y")).exit == 66)
    try await box.sluice("verify", server.url("/y")).failure(66, "missing")
    let none = try await box.sluice("get", "./none", "out")
    try none.failure(66, "missing")
    #expect(none.errorText.contains("sluice ls"), "\(none.summary)")
    try makeDirectory("\(box.work)/d")
    try await box.sluice("get", "./d", "out").failure(73, "rejected")
    server.stop()
    try await box.sluice("get", "--retries", "0", server.url(), "out").failure(69, "unreachable")
  }

  @Test("what makes no sense is said before anything is done")
  func usage() async throws {
    let url = try server().url()
    try await box.sluice("get", url, "out", "--", "cat").usage()
    try await box.sluice("get", "--stream", url).usage()
    try await box.sluice("get", "--stream", "--spool-dir", "s", url, "--", "cat").usage()
    try await box.sluice("get", "--no-clobber", url).usage()
    try await box.sluice("get", "--sha256", "abc", url).usage()
    try await box.sluice("get", "-o", "direct", url, "out").usage()
    try await box.sluice("verify", "--sha256", String(repeating: "a", count: 64), url, url).usage()
    try await box.sluice("get", url, "out", "more").usage()
    for command in ["get", "verify", "ls"] { try await box.sluice(command, "--answer-timeout", "1s", url).usage() }
    try box.file("a", "text")
    try await box.sluice("get", "./a", "a").usage()
  }

  @Test("standard output that is closed is told of before anything is fetched")
  func closedOutput() async throws {
    let server = try server()
    let sluice = "'\(Program.built("sluice"))'"
    let run = try await box.shell("\(sluice) get '\(server.url())' >&-")
    run.usage()
    #expect(run.errorText.contains("standard output is closed"), "\(run.summary)")
    #expect(server.ranges == [])
    // Nobody wants the result then.
    let file = try await box.shell("\(sluice) get '\(server.url())' out >&-")
    #expect(file.exit == 0, "\(file.summary)")
  }

  @Test("a cut costs what was missing alone", arguments: [0, 1, 3_000_000])
  func cut(after: Int) async throws {
    let server = try server { number, _ in number % 2 == 1 && number < 8 ? .cut(after: after) : .serve }
    let result = try await box.sluice("get", server.url(), "out").success()
    try expectSame(contents(file), GetTests.bytes)
    #expect(result["attempts"].int ?? 0 > 1)
    // A reset may take with it what the client had not read.
    #expect(server.sent < GetTests.bytes.count + 4 * 3_000_000)
  }

  @Test("an object that is replaced between two parts is no object", arguments: ["tag", "size", "time"])
  func replaced(what: String) async throws {
    let holder = Holder<ObjectServer>()
    let server = try server { number, _ in
      guard number == 1 else { return .serve }
      var other = ObjectServer.Object(GetTests.bytes, tag: what == "time" ? nil : "\"1\"")
      if what == "tag" { other.tag = "\"2\"" }
      if what == "size" { other.bytes.append(1) }
      if what == "time" { other.modified = "Tue, 03 Mar 2026 10:00:01 GMT" }
      holder.value?.set(other)
      return .cut(after: 100_000)
    }
    if what == "time" { server.set(.init(GetTests.bytes, tag: nil)) }
    holder.value = server
    let run = try await box.sluice("get", server.url(), "out")
    let result = try run.failure(65, "input")
    #expect(result["error"]["message"].text?.contains("was replaced") == true, "\(run.summary)")
    expectNothing(run)
  }

  @Test("a run that was killed is gone on with: what had come is not fetched again")
  func killed() async throws {
    let isSlow = Holder<Bool>()
    isSlow.value = true
    let server = try server { _, _ in isSlow.value == true ? .hang(after: 5_000_000) : .serve }
    var client = box.client(["get", server.url(), "out"])
    client.environment["SLUICE_SPOOL_DIR"] = nil
    let first = try box.start(client)
    // 5 MB of two parts, and all of the third one, which is shorter.
    try await eventually("three parts came") { journaled() >= 12_000_000 }
    first.signal(SIGKILL)
    _ = await first.finish()
    isSlow.value = false
    #expect(names(in: box.work) == [".sluice-\(geteuid())"])
    let second = try await box.start(client).finish()
    let result = try second.success()
    try expectSame(contents(file), GetTests.bytes)
    #expect(try #require(result["resumed"].int) >= 12_000_000, "\(second.summary)")
    // What the killed run had not told the journal of is less than a part.
    #expect(server.asked(from: 3) < 8_100_000)
    #expect(names(in: box.work) == ["out"])
  }

  /// Bytes that the journal of a run in the working directory knows of.
  private func journaled() -> Int {
    let folder = "\(box.work)/.sluice-\(geteuid())"
    guard let name = names(in: folder).first(where: { $0.hasSuffix(".fetch") }), let bytes = try? contents("\(folder)/\(name)") else {
      return 0
    }
    let lines = bytes.split(separator: 10, maxSplits: 2, omittingEmptySubsequences: false)
    guard lines.count == 3 else { return 0 }
    let records = Array(lines[2])
    return stride(from: 0, to: records.count - 15, by: 16).reduce(0) { sum, start in
      sum + (0..<8).reduce(0) { $0 | Int(records[start + $1]) << (8 * $1) }
    }
  }

  @Test("what is kept of another object at the same place is not gone on with")
  func killedAndReplaced() async throws {
    let isSlow = Holder<Bool>()
    isSlow.value = true
    let server = try server { _, _ in isSlow.value == true ? .hang(after: 5_000_000) : .serve }
    var client = box.client(["get", server.url(), "out"])
    client.environment["SLUICE_SPOOL_DIR"] = nil
    let first = try box.start(client)
    try await eventually("something came") { journaled() >= 12_000_000 }
    first.signal(SIGKILL)
    _ = await first.finish()
    isSlow.value = false
    var generator = SeededGenerator(13)
    let other = generator.bytes(GetTests.bytes.count)
    server.set(.init(other, tag: "\"2\""))
    let result = try await box.start(client).finish().success()
    try expectSame(contents(file), other)
    #expect(result["resumed"] == .null)
    #expect(names(in: box.work) == ["out"])
  }

  @Test("a server that knows no parts gives all in one go")
  func withoutRanges() async throws {
    let server = try server { _, _ in .ignoreRange }
    try await box.sluice("get", server.url(), "out").success()
    try expectSame(contents(file), GetTests.bytes)
  }

  @Test("bytes without a length count if they come in chunks or with a hash")
  func unknownLength() async throws {
    let bytes = Array("some object\n".utf8)
    let chunked = try unsized(bytes, "Transfer-Encoding: chunked\r\n\r\nc\r\nsome object\n\r\n0\r\n\r\n")
    try await box.sluice("get", "http://\(chunked.authority)/x", "out").success()
    try expectSame(contents(file), bytes)
    let cut = try unsized(bytes, "Transfer-Encoding: chunked\r\n\r\nc\r\nsome object\n\r\n")
    try await box.sluice("get", "--retries", "0", "http://\(cut.authority)/x", "cut").failure(76, "protocol")
    let open = try unsized(bytes, "Connection: close\r\n\r\nsome object\n")
    try await box.sluice("get", "http://\(open.authority)/x", "open").failure(76, "protocol")
    try await box.sluice("get", "--sha256", sha256(bytes), "http://\(open.authority)/x", "hashed").success()
    try expectSame(contents("\(box.work)/hashed"), bytes)
    #expect(names(in: box.work) == ["hashed", "out"])
  }

  /// A server that does not know HEAD and tells no length.
  private func unsized(_ bytes: [UInt8], _ rest: String) throws -> ScriptedServer {
    try box.scripted { exchange in
      guard exchange.request.method == "GET" else { return exchange.answer("", status: "405 Method Not Allowed") }
      guard exchange.request.target == "/x" else { return exchange.answer("", status: "404 Not Found") }
      exchange.send("HTTP/1.1 200 OK\r\n" + rest)
      exchange.close()
    }
  }

  @Test("verify begins anew where a server can't go on, and says what is wrong with the object, not with the server")
  func verifyAnew() async throws {
    let cut = try server { number, _ in number == 1 ? .cut(after: 1_000_000) : .ignoreRange }
    #expect(try await box.sluice("verify", cut.url()).success()["bytes"].int == GetTests.bytes.count)
    let whole = try server()
    let run = try await box.sluice("verify", "-d", "--retries", "0", whole.url())
    let message = try run.failure(65, "input")["error"]["message"].text
    #expect(message?.contains("is not gzip") == true, "\(run.summary)")
  }

  @Test("what had come when the tries were used up is gone on with")
  func goesOn() async throws {
    let isBroken = Holder<Bool>()
    isBroken.value = true
    let server = try server { _, _ in isBroken.value == true ? .cut(after: 2_000_000) : .serve }
    let failed = try await box.sluice("get", "--retries", "0", server.url(), "out", environment: ["SLUICE_SPOOL_DIR": nil])
    #expect(failed.exit != 0 && failed.errorText.contains("the same command goes on with it"), "\(failed.summary)")
    isBroken.value = false
    let run = try await box.sluice("get", server.url(), "out", environment: ["SLUICE_SPOOL_DIR": nil])
    #expect(try run.success()["resumed"].int ?? 0 > 0)
    try expectSame(contents(file), GetTests.bytes)
    #expect(names(in: box.work) == ["out"])
  }

  @Test("an entity tag that is the MD5 of the object proves it, and one that is not says nothing")
  func tagIsHash() async throws {
    let bytes = Array("some object\n".utf8)
    let tags = ["5c04e3e1bc4fd7f1b1d4a5cdb7a4f1d0", Checksum(.md5, of: bytes).hex]
    for (tag, proof) in zip(tags, ["size", "checksum"]) {
      let server = try box.objects(["/x": .init(bytes, tag: "\"\(tag)\"")])
      #expect(try await box.sluice("verify", server.url()).success()["verified"].text == proof)
      let strict = try await box.sluice("verify", "--require-hash", server.url())
      #expect(strict.exit == (proof == "size" ? 65 : 0), "\(strict.summary)")
    }
  }

  @Test("--stream on a terminal: what its command has started sees no end of a wrong object either")
  func streamOnTerminal() async throws {
    let terminal = try PseudoTerminal()
    let server = try server()
    // With a controlling terminal the children of the command stay in our group, and only the command itself is told to end.
    let reader = "(cat > /dev/null; touch ended) | cat"
    let line = """
      exec 3<&0; setsid -w -c '\(Program.built("sluice"))' get --stream --sha256 \(String(repeating: "a", count: 64)) \(server.url()) \
      -- sh -c '\(reader)' <&3
      """
    var client = box.client([], input: .descriptor(terminal.child))
    client.path = "/bin/sh"
    client.arguments = ["-c", line]
    let run = try await box.start(client).finish()
    #expect(run.exit == 65 && run.errorText.contains("\(GetTests.bytes.count) bytes had been handed to sh"), "\(run.summary)")
    #expect(!exists("\(box.work)/ended") && !run.leftChild)
  }

  @Test(
    "progress on a terminal is one line that fits and is cleared; what has come is kept when a signal ends the run", arguments: [40, 80])
  func terminal(columns: Int) async throws {
    let server = try server { _, _ in .hang(after: 2_000_000) }
    let terminal = try PseudoTerminal(columns: columns)
    var client = box.client(["get", server.url(), "out"])
    client.error = .descriptor(terminal.child)
    let running = try box.start(client)
    try await eventually("it is shown") { terminal.text.contains("download ") }
    running.signal(SIGTERM)
    let run = await running.finish()
    try run.failureWithoutWords(143, "interrupted")
    try await eventually("the rest is told of") { terminal.text.contains("goes on with it") }
    let frames = terminal.text.components(separatedBy: "sluice: ")[0].components(separatedBy: "\r\u{1b}[K")
    for frame in frames { #expect(displayWidth(frame) < columns, "\(frame.debugDescription)") }
  }

  @Test("progress for programs has a phase for what comes and one for what is handed on")
  func json() async throws {
    let run = try await box.sluice("get", "--progress", "json", try server().url())
    #expect(run.exit == 0)
    let lines = try run.errorText.split(separator: "\n").map { try JSON(parsing: $0) }
    let phases = lines.map { $0["phase"].text ?? "" }
    #expect(phases.first == "download" && phases.last == "output" && Set(phases) == ["download", "output"], "\(run.errorText)")
    #expect(lines.last?["bytes"].int == GetTests.bytes.count)
  }

  @Test("verify reads all, keeps nothing, and says of each whether it is proven")
  func verify() async throws {
    let server = try box.objects(["/x": .init(GetTests.bytes), "/y": .init([1])])
    let hash = try await sha256(GetTests.bytes)
    let good = try await box.sluice("verify", "--sha256", hash.uppercased(), server.url()).success()
    #expect(good["verified"].text == "sha256" && good["sha256"].text == hash)
    let both = try await box.sluice("verify", server.url(), server.url("/z"), server.url("/y"))
    #expect(both.exit == 66)
    #expect(try both.results().map { $0["ok"] } == [.bool(true), .bool(false), .bool(true)])
    try await box.sluice("verify", "--sha256", sha256([2]), server.url("/y")).failure(65, "input")
    try await box.sluice("verify", "--require-hash", server.url("/y")).failure(65, "input")
    try await box.sluice("verify", "-d", server.url("/y")).failure(65, "input")
    #expect(names(in: box.work) == [] && box.spoolNames == [])
  }
}

/// Something that is known only after those who want it were made.
final class Holder<Value: Sendable>: Sendable {
  private let state = Mutex<Value?>(nil)

  var value: Value? {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

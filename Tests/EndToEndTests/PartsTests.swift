import Foundation
import Support
import Testing

/// `--part-size`: an object that is cut while it is read.
@Suite(.sandboxed)
struct PartsTests {
  private let box = Sandbox.here
  private let size = 100_000

  private func object(_ count: Int) -> [UInt8] {
    var generator = SeededGenerator(31)
    return generator.bytes(count)
  }

  private func joined(_ folder: String) async throws -> [UInt8] {
    try await box.shell("cat '\(folder)'/x.part-*").output
  }

  private func manifest(_ folder: String) throws -> JSON {
    try JSON(parsing: String(decoding: contents("\(folder)/x.parts.json"), as: UTF8.self))
  }

  @Test("a part that was sent takes no room on the disk and no descriptor any more", arguments: ["plain", "alist"])
  func partsAreLetGo(endpoint: String) async throws {
    let server = try await box.loopback()
    let destination = endpoint == "plain" ? server.plain("/x") : server.alist("/x")
    let running = try box.start(box.client(["--part-size", "20k", destination], input: .pipe))
    await running.write(object(1_000_000))
    try await eventually("most parts have arrived") {
      names(in: endpoint == "plain" ? "\(server.root)/plain" : server.alistFile("/")).contains("x.part-00045")
    }
    try await eventually("their files are closed") {
      let open = names(in: "/proc/\(running.pid)/fd").compactMap {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(running.pid)/fd/\($0)")
      }
      return open.count { $0.contains("(deleted)") } <= 3
    }
    running.closeInput()
    try await running.finish().success()
  }

  @Test("a whole set is not touched without a preflight either")
  func existingWithoutPreflight() async throws {
    let server = try await box.loopback()
    let first = object(250_000)
    try await box.sluice("--part-size", "100k", server.plain("/x"), input: first).success()
    let run = try await box.sluice("--no-preflight", "--part-size", "100k", server.plain("/x"), input: object(90_000))
    try run.failure(73, "exists")
    try await expectSame(joined("\(server.root)/plain"), first)
  }

  @Test("with --no-hold nothing stays in the spool, however many parts were waiting")
  func noHold() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00001", "--status", "503")
    let run = try await box.sluice(
      "--no-hold", "--retries", "0", "--part-size", "10k", "--max-spool", "10M", server.plain("/x"), input: object(250_000))
    #expect(run.exit == 69, "\(run.summary)")
    #expect(box.spoolNames.isEmpty)
  }

  /// Runs until part 2, the last one, and the manifest are held.
  private func heldSet(_ server: Loopback, _ bytes: [UInt8]) async throws -> (part: String, manifest: String) {
    let run = try await box.sluice("--retries", "0", "--part-size", "100000", server.plain("/x"), input: bytes)
    let manifest = try #require(try run.failure(69, "server")["held"].text)
    let part = try #require(box.spoolNames.map { String($0.prefix(26)) }.first { $0 != manifest })
    return (part, manifest)
  }

  @Test("what is held of an older set does not get into a newer one that is whole")
  func olderHeld() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "503", "--times", "1")
    _ = try await heldSet(server, object(150_000))
    let newer = [UInt8](repeating: 7, count: 150_000)
    // Of a spool folder that does not know of the first.
    try await box.sluice("--spool-dir", "other", "--part-size", "100000", server.plain("/x"), input: newer).success()
    let push = try await box.sluice("held", "push", "--all")
    #expect(push.exit == 73, "\(push.summary)")
    try await expectSame(joined("\(server.root)/plain"), newer)
    #expect(box.spoolNames.count { $0.hasSuffix(".data") } == 2)
  }

  @Test("while parts of a run are held, no other puts parts under the name")
  func heldRefusesOthers() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "503", "--times", "1")
    let bytes = object(150_000)
    let held = try await heldSet(server, bytes)
    let other = try await box.sluice("--part-size", "100000", server.plain("/x"), "--", "sh", "-c", "head -c 100000 /dev/zero; exit 3")
    try other.failure(73, "exists")
    #expect(other.errorText.contains("sluice held push \(held.part) \(held.manifest)"), "\(other.summary)")
    #expect(try await box.sluice("held", "push", "--all").exit == 0)
    try await expectSame(joined("\(server.root)/plain"), bytes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a manifest does not go out when another object has come in the place of one of its parts")
  func foreignPart() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "503", "--times", "1")
    _ = try await heldSet(server, object(150_000))
    try await box.sluice(server.plain("/x.part-00001"), input: object(99_999)).success()
    let push = try await box.sluice("held", "push", "--all")
    #expect(push.exit == 73, "\(push.summary)")
    #expect(push.errorText.contains("/x.part-00001 is of another run"), "\(push.summary)")
    #expect(!exists(server.plainFile("/x.parts.json")))
  }

  @Test("a run that puts parts under a name waits for another that does, and then finds its set")
  func oneSetAtATime() async throws {
    let server = try await box.loopback()
    let bytes = object(150_000)
    let first = try box.start(box.client(["--part-size", "100000", server.plain("/x")], input: .pipe))
    await first.write(Array(bytes[..<120_000]))
    try await eventually("the first has sent a part") { exists(server.plainFile("/x.part-00001")) }
    let second = try box.start(
      box.client(["--part-size", "100000", server.plain("/x")], input: .bytes([UInt8](repeating: 7, count: 150_000))))
    try await eventually("the second waits") { second.errorSoFar.contains("waiting for another upload") }
    await first.write(Array(bytes[120_000...]))
    first.closeInput()
    try await first.finish().success()
    try await second.finish().failure(73, "exists")
    try await expectSame(joined("\(server.root)/plain"), bytes)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a manifest does not go out when one of its parts was discarded")
  func partDropped() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "503", "--times", "1")
    let held = try await heldSet(server, object(150_000))
    #expect(try await box.sluice("held", "drop", held.part).exit == 0)
    let push = try await box.sluice("held", "push", "--all")
    try push.failure(73, "rejected")
    #expect(!exists(server.plainFile("/x.parts.json")))
  }

  @Test("the parts and their manifest put the object together", arguments: [0, 1, 99_999, 100_000, 100_001, 200_000, 1_234_567])
  func parts(count: Int) async throws {
    let server = try await box.loopback()
    let bytes = object(count)
    let result = try await box.sluice("--min-size", "0", "--part-size", "\(size)", server.alist("/d/x"), input: bytes).success()
    let expected = max(1, (count + size - 1) / size)
    #expect(result["parts"].int == expected)
    #expect(result["bytes"].int == count)
    #expect(try await result["sha256"].text == sha256(bytes))
    let folder = server.alistFile("/d")
    #expect(names(in: folder).sorted() == (1...expected).map { "x.part-" + String(format: "%05d", $0) } + ["x.parts.json"])
    try await expectSame(joined(folder), bytes)
    let manifest = try manifest(folder)
    #expect(manifest["name"].text == "x")
    #expect(manifest["bytes"].int == count)
    #expect(try await manifest["sha256"].text == sha256(bytes))
    #expect(manifest["parts"].items.count == expected)
    for part in manifest["parts"].items {
      let stored = try contents("\(folder)/\(#require(part["name"].text))")
      #expect(part["bytes"].int == stored.count)
      #expect(try await part["sha256"].text == sha256(stored))
    }
    #expect(box.spoolNames.isEmpty)
  }

  @Test("the manifest comes last, and what gzip made is gunzipped from the parts")
  func order() async throws {
    let server = try await box.loopback()
    let bytes = object(500_000)
    try await box.sluice("-z", "--part-size", "100k", server.plain("/x"), input: bytes).success()
    let puts = try server.log().filter { $0["method"].text == "PUT" }.compactMap(\.["path"].text)
    #expect(puts.last == "/plain/x.parts.json")
    #expect(puts.count == 6)
    let whole = try await box.shell("cat '\(server.root)/plain'/x.part-* | gunzip").output
    expectSame(whole, bytes)
  }

  @Test("to several destinations at once, of which a local file is one")
  func several() async throws {
    let server = try await box.loopback()
    let bytes = object(450_000)
    let run = try await box.sluice("--part-size", "100k", server.alist("/d/x"), server.siyuan("/data/x"), "./x", input: bytes)
    #expect(run.exit == 0, "\(run.summary)")
    #expect(try resultLines(run.outputText).count == 3)
    try await expectSame(joined(server.alistFile("/d")), bytes)
    try await expectSame(joined(server.siyuanFile("/data")), bytes)
    try await expectSame(joined(box.work), bytes)
  }

  @Test("a lone folder takes the parts", arguments: [[], ["--input"]])
  func lone(options: [String]) async throws {
    let bytes = object(1_000_000)
    let file = try box.file("in", bytes)
    let arguments = ["--part-size", "300k", "./x"] + (options.isEmpty ? [] : ["--input", file])
    let client = box.client(arguments, input: options.isEmpty ? .bytes(bytes) : .nothing, environment: ["SLUICE_SPOOL_DIR": nil])
    try await box.start(client).finish().success()
    try await expectSame(joined(box.work), bytes)
    #expect(names(in: box.work).allSatisfy { !$0.hasPrefix(".sluice") })
  }

  @Test("the spool never has more than --max-spool, of a stream that is far longer")
  func maximum() async throws {
    let server = try await box.loopback("--on", "/plain/", "--delay", "30")
    let running = try box.start(
      box.client(["--part-size", "64k", "--max-spool", "200k", server.plain("/x")], input: .bytes(object(1_500_000))))
    var largest = 0
    while !running.hasEnded {
      let sizes = names(in: box.spool).compactMap { try? contents("\(box.spool)/\($0)").count }
      largest = max(largest, sizes.reduce(0, +))
      try await Task.sleep(for: .milliseconds(2))
    }
    try await running.finish().success()
    #expect(largest > 0 && largest <= 200 << 10, "\(largest)")
  }

  @Test("an input that fails makes no set, and what arrived is named")
  func failedInput() async throws {
    let server = try await box.loopback()
    let command = "head -c 350000 /dev/zero; until [ -e '\(server.alistFile("/d/x.part-00003"))' ]; do sleep 0.02; done; sleep 0.5; exit 3"
    let run = try await box.sluice("--part-size", "100000", server.alist("/d/x"), "--", "sh", "-c", command)
    try run.failure(65, "input")
    #expect(!names(in: server.alistFile("/d")).contains("x.parts.json"))
    #expect(run.errorText.contains("x.part-00003 are there, without the .parts.json"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a destination that refuses ends the input at once, and nothing is held")
  func refused() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "413")
    let run = try await box.sluice("--part-size", "100k", server.plain("/x"), input: .endless)
    let result = try run.failure(73, "rejected")
    #expect(result["held"] == .null)
    #expect(!exists(server.plainFile("/x.parts.json")))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("what had not arrived when the input ended is held, and is pushed with its manifest last", arguments: [["--all"], []])
  func held(selection: [String]) async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "503", "--times", "1")
    let bytes = object(150_000)
    let run = try await box.sluice("--retries", "0", "--part-size", "100000", server.plain("/x"), input: bytes)
    let result = try run.failure(69, "server")
    let id = try #require(result["held"].text)
    #expect(!exists(server.plainFile("/x.parts.json")))
    #expect(box.spoolNames.count == 4)
    let pushed = try await box.start(box.client(["held", "push"] + (selection.isEmpty ? [id] : selection))).finish()
    #expect(pushed.exit == 0, "\(pushed.summary)")
    try await expectSame(joined("\(server.root)/plain"), bytes)
    #expect(exists(server.plainFile("/x.parts.json")))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a manifest is not pushed before its parts")
  func manifestWaits() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "503", "--delay", "200")
    let run = try await box.sluice("--retries", "0", "--part-size", "100000", server.plain("/x"), input: object(150_000))
    let id = try #require(try run.failure(69, "server")["held"].text)
    let pushed = try await box.sluice("held", "push", "--retries", "0", id)
    #expect(pushed.exit != 0)
    #expect(!exists(server.plainFile("/x.parts.json")))
    #expect(box.spoolNames.count == 4)
  }

  @Test("one destination that fails in the middle does not stop the other")
  func oneFails() async throws {
    let server = try await box.loopback("--on", "/plain/x.part-00002", "--status", "403")
    let bytes = object(450_000)
    let run = try await box.sluice("--part-size", "100k", server.plain("/x"), "./x", input: bytes)
    #expect(run.exit == 77, "\(run.summary)")
    try await expectSame(joined(box.work), bytes)
    #expect(exists("\(box.work)/x.parts.json"))
    #expect(!exists(server.plainFile("/x.parts.json")))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a whole set is not replaced; what is left of a broken one is")
  func existing() async throws {
    let server = try await box.loopback()
    let first = object(250_000)
    try write([1, 2, 3], to: server.alistFile("/d/x.part-00001"))
    try await box.sluice("--part-size", "100k", server.alist("/d/x"), input: first).success()
    let run = try await box.sluice("--part-size", "100k", server.alist("/d/x"), input: .endless)
    try run.failure(73, "exists")
    try await expectSame(joined(server.alistFile("/d")), first)
  }

  @Test("parts of an older set behind the last one are told of")
  func older() async throws {
    try box.file("x.part-00003", "old")
    let run = try await box.sluice("--part-size", "100k", "./x", input: object(150_000))
    try run.success()
    #expect(run.errorText.contains("x.part-00003 is of an older set"))
  }

  @Test("Ctrl-C during the input leaves no spool; after its end all is held")
  func interrupted() async throws {
    let early = try box.start(box.client(["--part-size", "100k", "./x"], input: .pipe))
    await early.write(object(250_000))
    try await eventually("a part has arrived") { exists("\(box.work)/x.part-00001") }
    early.signal(SIGINT)
    try await early.finish().failure(130, "interrupted")
    #expect(box.spoolNames.isEmpty)

    let server = try await box.loopback("--on", "/plain/y.part-00002", "--stall-after", "10")
    let late = try box.start(box.client(["--part-size", "100000", server.plain("/y")], input: .bytes(object(150_000))))
    try await eventually("the first part has arrived, and the rest is held") {
      exists(server.plainFile("/y.part-00001")) && box.spoolNames.count { $0.hasSuffix(".json") } == 2 && box.spoolNames.count == 4
    }
    late.signal(SIGINT)
    let run = await late.finish()
    #expect(run.exit == 130, "\(run.summary)")
    #expect(box.spoolNames.count == 4)
  }

  @Test(
    "options that make no sense with parts",
    arguments: [
      ["--part-size", "0"], ["--part-size", "1M", "--max-spool", "1k"], ["--part-size", "1M", "-o", "as-task"],
      ["--part-size", "1M", "--verify", "-o", "as-task", "-o", "wait"],
      ["--part-size", "1M", "--no-sha256", "--input", "x"],
    ])
  func mistakes(options: [String]) async throws {
    let run = try await box.start(box.client(options + ["alist+http://127.0.0.1:1/x"], input: .bytes([1]))).finish()
    #expect(run.exit == 64, "\(run.summary)")
  }
}

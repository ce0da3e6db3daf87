import Foundation
import Support
import Testing

/// By what an object that is read back is proven, and what becomes of one that can't be.
@Suite(.sandboxed)
struct GetProofTests {
  private let box = Sandbox.here
  private static let bytes = Array("some object, as it was stored\n".utf8)
  private let other = Array("some object, as it was changed".utf8)
  private static let wrong = String(repeating: "0", count: 64)

  /// A server with an object and what lies beside it.
  private func server(
    _ bytes: [UInt8] = GetProofTests.bytes, beside: [String: String] = [:],
    fault: @escaping @Sendable (Int, ScriptedServer.Request) -> ObjectServer.Action = { _, _ in .serve }
  ) throws -> ObjectServer {
    var objects: [String: ObjectServer.Object] = ["/x": .init(bytes)]
    for (name, text) in beside { objects["/\(name)"] = .init(Array(text.utf8)) }
    return try box.objects(objects, fault: fault)
  }

  private func get(_ arguments: String...) async throws -> Finished {
    try? FileManager.default.removeItem(atPath: "\(box.work)/out")
    return try await box.start(box.client(["get", "--retries", "1"] + arguments + ["out"])).finish()
  }

  /// Expects the object, by this proof.
  @discardableResult
  private func expect(
    _ run: Finished, _ verified: String, _ bytes: [UInt8] = GetProofTests.bytes, _ location: SourceLocation = #_sourceLocation
  ) throws -> JSON {
    let result = try run.success(location)
    #expect(result["verified"].text == verified, "\(run.summary)", sourceLocation: location)
    try expectSame(contents("\(box.work)/out"), bytes, location: location)
    return result
  }

  /// Expects that nothing came to the reader, and why.
  private func expectNothing(
    _ run: Finished, _ words: String, _ code: Int32 = 65, _ kind: String = "input", _ location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try run.failure(code, kind, location)
    #expect(result["error"]["message"].text?.contains(words) == true, "\(run.summary)", sourceLocation: location)
    #expect(result["verified"] == .null && result["output_sha256"] == .null, "\(run.summary)", sourceLocation: location)
    #expect(!exists("\(box.work)/out"), sourceLocation: location)
    #expect(box.spoolNames == [], sourceLocation: location)
  }

  private func receipt(_ url: String, _ sha256: String?, bytes: Int = GetProofTests.bytes.count, _ more: String = "") -> String {
    let hash = sha256.map { #","sha256":"\#($0)""# } ?? ""
    return
      #"{"ok":true,"destination":"\#(url)","endpoint":"http","path":"/x","input_bytes":1,"bytes":\#(bytes),"gzip":false\#(hash)\#(more)"#
      + #","attempts":1,"elapsed_s":0.1}"# + "\n"
  }

  @Test("the result says by what it is proven, the best word first")
  func sources() async throws {
    let hash = try await sha256(GetProofTests.bytes)
    let plain = try server()
    let url = plain.url()
    try expect(try await get(url), "size")
    try box.file("sized", receipt(url, nil))
    try expect(try await get("--receipt", "sized", url), "size")
    let summed = try server(beside: ["x.sha256": "\(hash)  x\n"])
    try expect(try await get(summed.url()), "sum")
    // A receipt without a hash leaves that to the sum.
    try expect(try await get("--receipt", "sized", summed.url()), "sum")
    try box.file("receipt", receipt(url, hash))
    try expect(try await get("--receipt", "receipt", url), "receipt")
    try expect(try await get("--sha256", hash.uppercased(), "--receipt", "receipt", url), "sha256")
    try await box.sluice("--part-size", "10", "./set", input: GetProofTests.bytes).success()
    #expect(try expect(try await get("./set"), "manifest")["parts"].int == 3)
    let stored = try await StoreBench(.azure, box)
    try await stored.put(GetProofTests.bytes).success()
    try await stored.sluice("get", stored.destination("x"), "out").success()
    let verified = try await stored.sluice("get", stored.destination("x"), "out2").success()["verified"].text
    #expect(verified == "checksum")
  }

  @Test("what is not what anybody says of it does not reach the reader")
  func mismatches() async throws {
    let hash = try await sha256(GetProofTests.bytes)
    let url = try server().url()
    try expectNothing(try await get("--sha256", GetProofTests.wrong, url), "by --sha256")
    try box.file("wrong", receipt(url, GetProofTests.wrong))
    try expectNothing(try await get("--receipt", "wrong", url), "by wrong")
    try box.file("short", receipt(url, nil, bytes: 7))
    try expectNothing(try await get("--receipt", "short", url), "and 7 by short")
    // Who is given two words means both.
    try expectNothing(try await get("--sha256", hash, "--receipt", "wrong", url), "by wrong")
    let summed = try server(beside: ["x.sha256": "\(GetProofTests.wrong)  x\n"])
    try expectNothing(try await get(summed.url()), "by /x.sha256")
    let output = try await box.sluice("get", "--retries", "0", summed.url())
    #expect(output.exit == 65 && output.output.isEmpty, "\(output.summary)")
    let command = try await box.sluice("get", "--retries", "0", summed.url(), "--", "tee", "seen")
    #expect(command.exit == 65 && command.output.isEmpty && !exists("\(box.work)/seen"), "\(command.summary)")
    try await box.sluice("verify", "--retries", "0", summed.url()).failure(65, "input")
  }

  @Test(
    "a byte that is another on its way from a server that tells a checksum does not reach the reader",
    arguments: [StoreServer.azure])
  func checksum(store: StoreServer) async throws {
    let bench = try await StoreBench(store, box)
    try await bench.put(GetProofTests.bytes).success()
    let whole = try await bench.sluice("get", bench.destination("x"), "whole").success()
    #expect(whole["verified"].text == "checksum")
    let bytes = GetProofTests.bytes
    let port = try #require(Int(bench.authority.split(separator: ":")[1]))
    let relay = try box.scripted { exchange in
      var answer = exchange.handOn(to: port, exchange.readBody())
      if exchange.request.method == "GET", answer.suffix(bytes.count).elementsEqual(bytes) { answer[answer.count - 1] ^= 1 }
      exchange.send(bytes: answer)
      exchange.close()
    }
    let client = bench.client(["get", "--retries", "0", bench.destination("x").replacing(bench.authority, with: relay.authority), "out"])
    let run = try await box.start(client).finish()
    #expect(run.exit == 65 && run.errorText.contains("by the server"), "\(run.summary)")
    #expect(!exists("\(box.work)/out"))
  }

  @Test("--require-hash fails where the size is all, before anything is fetched")
  func requireHash() async throws {
    let hash = try await sha256(GetProofTests.bytes)
    let plain = try server()
    try box.file("sized", receipt(plain.url(), nil))
    for options in [[], ["--receipt", "sized"]] {
      let run = try await box.start(box.client(["get", "--require-hash"] + options + [plain.url(), "out"])).finish()
      try expectNothing(run, "nobody knows a hash")
    }
    #expect(plain.ranges == [])
    try await box.sluice("verify", "--require-hash", plain.url()).failure(65, "input")
    try expect(try await get("--require-hash", "--sha256", hash, plain.url()), "sha256")
    let summed = try server(beside: ["x.sha256": "\(hash) *x\n"])
    try expect(try await get("--require-hash", summed.url()), "sum")
  }

  @Test("a better word is not made worse by a lesser one, which is not even asked for")
  func precedence() async throws {
    let hash = try await sha256(GetProofTests.bytes)
    let server = try server(beside: ["x.sha256": "\(GetProofTests.wrong)  x\n"])
    let url = server.url()
    try expect(try await get("--sha256", hash, url), "sha256")
    try box.file("receipt", receipt(url, hash))
    try expect(try await get("--receipt", "receipt", url), "receipt")
    #expect(server.server.requests.allSatisfy { !$0.target.contains(".sha256") })
  }
}

/// Files of sums.
extension GetProofTests {
  @Test("a sum that says nothing of the object, or can't be read, is no reason to take the object for proven")
  func badSums() async throws {
    let hash = try await sha256(GetProofTests.bytes)
    for (text, words) in [
      ("\(hash)  y\n", "but of y"), ("", "no sum of x"), ("what?\n", "not in the format"),
      ("\(hash)  x\n\(GetProofTests.wrong)  x\n", "two sums"),
      ("\(hash)  x\n" + String(repeating: "\(hash)  y\n", count: 1000), "more than"),
    ] {
      try expectNothing(try await get(try server(beside: ["x.sha256": text]).url()), words)
    }
    for text in ["\(hash)\n", "SHA256 (x) = \(hash)\r\n", "\(GetProofTests.wrong)  y\n\(hash)  dist/x\n"] {
      try expect(try await get(try server(beside: ["x.sha256": text]).url()), "sum")
    }
  }

  @Test(
    "of a sum that the server does not show the object is read without, but not of one that it can't show now",
    arguments: [
      ("200 OK", "<!doctype html><p>Not here", 0), ("403 Forbidden", "", 0), ("405 No", "", 0), ("503 Later", "", 69), ("500 Oh", "", 69),
    ])
  func noSum(status: String, body: String, code: Int32) async throws {
    let server = try server(beside: ["x.sha256": "never seen"]) { _, request in
      request.target.hasSuffix(".sha256") ? .say(status: status, type: "text/html", body: body) : .serve
    }
    let run = try await get(server.url())
    if code == 0 {
      try expect(run, "size")
    } else {
      try expectNothing(run, "x.sha256", code, "server")
    }
  }

  @Test(
    "what put --sum leaves proves the object, of every store, and is stale when the object was replaced without",
    arguments: StoreServer.fakes)
  func roundTrip(store: StoreServer) async throws {
    guard store != .plugin else { return }
    let bench = try await StoreBench(store, box)
    try await bench.put(GetProofTests.bytes, "--sum").success()
    let result = try await bench.sluice("get", "--require-hash", bench.destination("x"), "out").success()
    #expect(result["verified"].text == "sum")
    try expectSame(contents("\(box.work)/out"), GetProofTests.bytes)
    try await bench.put(other).success()
    let stale = try await bench.sluice("get", bench.destination("x"), "out2")
    try stale.failure(65, "input")
    #expect(!exists("\(box.work)/out2") && stale.errorText.contains("hint: "), "\(stale.summary)")
  }
}

/// Receipts.
extension GetProofTests {
  @Test("a receipt is taken for the object that it is of, the last line of several, and for a copy of it with a warning")
  func receipts() async throws {
    try makeDirectory("\(box.work)/store")
    let first = try await box.sluice("./store/a", input: GetProofTests.bytes)
    let second = try await box.sluice("./store/a", input: other)
    try box.file("old", first.output)
    try box.file("log", first.output + second.output)
    try expectNothing(try await get("--receipt", "old", "./store/a"), "is not what was stored")
    try expect(try await get("--receipt", "log", "./store/a"), "receipt", other)
    _ = try await box.shell("cp store/a store/b")
    let copy = try await get("--receipt", "log", "./store/b")
    #expect(copy.exit == 78, "\(copy.summary)")
    try box.file("new", second.output)
    let renamed = try await get("--receipt", "new", "./store/b")
    try expect(renamed, "receipt", other)
    #expect(renamed.errorText.contains("is of ./store/a"), "\(renamed.summary)")
    try box.file("store/c", GetProofTests.bytes)
    try expectNothing(try await get("--receipt", "new", "./store/c"), "by new")
  }

  @Test("what is no receipt ends the run with 78 before anything is read", arguments: ["", "sluice: hello\n", #"{"ok":false}"# + "\n"])
  func noReceipt(text: String) async throws {
    let server = try server()
    try box.file("receipt", text)
    for file in ["receipt", "none"] {
      let run = try await get("--receipt", file, server.url())
      #expect(run.exit == 78 && !exists("\(box.work)/out"), "\(run.summary)")
    }
    #expect(server.server.requests.isEmpty)
  }

  @Test("verify finds the line of each of its objects")
  func severalObjects() async throws {
    let server = try await box.loopback()
    let put = try await box.sluice(server.alist("/x"), server.plain("/y"), "./z", input: GetProofTests.bytes)
    try box.file("receipt", put.output)
    let run = try await box.sluice("verify", "--receipt", "receipt", server.alist("/x"), server.plain("/y"), "./z")
    #expect(run.exit == 0 && run.outputText.split(separator: "\n").count == 3, "\(run.summary)")
    #expect(try run.results().allSatisfy { $0["verified"].text == "receipt" })
    try box.file("z", other)
    let changed = try await box.sluice("verify", "--receipt", "receipt", server.alist("/x"), "./z")
    let answers = try changed.results().map { $0["ok"].bool }
    #expect(changed.exit == 65 && answers == [true, false], "\(changed.summary)")
  }

  @Test("a receipt of parts proves the whole, and what comes out")
  func parts() async throws {
    var generator = SeededGenerator(51)
    let bytes = generator.text(400_000)
    let put = try await box.sluice("-z", "--part-size", "20k", "./set", input: bytes)
    let result = try put.success()
    try box.file("receipt", put.output)
    let got = try await get("-d", "--receipt", "receipt", "./set")
    #expect(try expect(got, "receipt", bytes)["parts"] == result["parts"])
    // The manifest knows what went in as well.
    try expect(try await get("-d", "./set"), "manifest", bytes)
    let file = "\(box.work)/set.parts.json"
    let text = try String(decoding: contents(file), as: UTF8.self)
    try box.file("set.parts.json", text.replacing(try #require(result["input_sha256"].text), with: GetProofTests.wrong))
    try expectNothing(try await get("-d", "./set"), "is not what went in")
    try box.file("set.parts.json", text.replacing(try #require(result["sha256"].text), with: GetProofTests.wrong))
    try expectNothing(try await get("./set"), "by ./set.parts.json")
    try box.file("set.parts.json", text)
    try box.file("receipt", put.outputText.replacing(try #require(result["sha256"].text), with: GetProofTests.wrong))
    try expectNothing(try await get("--receipt", "receipt", "./set"), "by receipt")
  }
}

/// What comes out.
extension GetProofTests {
  @Test(
    "what comes out is compared with what went in",
    arguments: [
      (["-z"], ["-d"], true), (["--through", "tr a-m A-M"], ["--through", "tr A-M a-m"], true), (["--through", "gzip"], ["-d"], true),
      (["-z", "--through", "base64"], ["--through", "base64 -d", "-d"], true),
      (["--through", "tr a-m A-M"], ["--through", "tr A-M b-n"], false),
      (["-z", "--through", "base64"], ["--through", "base64 -d"], true), (["--through", "gzip"], ["-d", "--through", "cat"], true),
    ])
  func output(put: [String], get: [String], isRight: Bool) async throws {
    let run = try await box.start(box.client(put + ["./x"], input: .bytes(GetProofTests.bytes))).finish()
    try box.file("receipt", run.output)
    let got = try await box.start(box.client(["get", "--receipt", "receipt"] + get + ["./x", "out"])).finish()
    guard isRight else { return try expectNothing(got, "is not what went in") }
    let result = try got.success()
    let isWhole = get.last != "base64 -d"
    if isWhole { try expectSame(contents("\(box.work)/out"), GetProofTests.bytes) }
    #expect(try result["output_bytes"].int == contents("\(box.work)/out").count)
    #expect(try await result["output_sha256"].text == sha256(file: "\(box.work)/out"))
    if isWhole { #expect(try run.result()["input_sha256"] == result["output_sha256"]) }
  }

  @Test("an object that is got as it is need not be its input")
  func asItIs() async throws {
    let run = try await box.sluice("-z", "./x", input: GetProofTests.bytes)
    try box.file("receipt", run.output)
    try expect(try await get("--receipt", "receipt", "./x"), "receipt", contents("\(box.work)/x"))
  }

  @Test("what comes out as something else reaches nobody, not even the command")
  func command() async throws {
    let run = try await box.sluice("-z", "./x", input: GetProofTests.bytes)
    let hash = try #require(try run.success()["input_sha256"].text)
    try box.file("receipt", run.outputText.replacing(hash, with: GetProofTests.wrong))
    let got = try await box.sluice("get", "-d", "--receipt", "receipt", "./x", "--", "tee", "seen")
    #expect(got.exit == 65 && got.output.isEmpty && !exists("\(box.work)/seen"), "\(got.summary)")
    let output = try await box.sluice("get", "-d", "--receipt", "receipt", "./x")
    #expect(output.exit == 65 && output.output.isEmpty, "\(output.summary)")
    #expect(box.spoolNames == [])
  }
}

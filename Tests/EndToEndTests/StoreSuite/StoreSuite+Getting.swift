import Foundation
import Support
import Testing

/// What was put is read back: whole, proven, and the same everywhere.
extension StoreSuite {
  /// Where an object is cut to be fetched piece by piece.
  private static let piece = 8 << 20
  private static let text = Array((1...40_000).map { "line \($0)\n" }.joined().utf8)

  func get(_ bench: StoreBench) async throws {
    if bench.server == .plugin { try bench.teachPlugin() }
    try await sizes(bench)
    try await namesAgain(bench)
    try await unpacked(bench)
    try await joined(bench)
    try await refused(bench)
    if StoreCase.list.reason(against: bench.server) == nil || bench.server == .plugin { try await listed(bench) }
    #expect(bench.box.spoolNames.isEmpty, "\(bench.server): left in the spool: \(bench.box.spoolNames)")
  }

  private func sizes(_ bench: StoreBench) async throws {
    var generator = SeededGenerator(14)
    let bytes = generator.bytes(StoreSuite.piece + 1)
    for count in [0, 1, StoreSuite.piece - 1, StoreSuite.piece, StoreSuite.piece + 1] {
      let (name, object) = ("size \(count)", Array(bytes.prefix(count)))
      try await bench.put(object, "--min-size", "0", to: name).success()
      try await expectBack(object, name, bench, inEveryWay: count <= 1 || count > StoreSuite.piece)
    }
  }

  private func expectBack(_ object: [UInt8], _ name: String, _ bench: StoreBench, inEveryWay: Bool) async throws {
    let (source, what) = (bench.destination(name), "\(name) from \(bench.server)")
    let verified = try await bench.sluice("verify", source).success()
    #expect(verified["verified"].text == bench.proof(of: object.count), "\(what): \(verified)")
    #expect(try await verified["sha256"].text == sha256(object), "\(what): \(verified)")
    guard inEveryWay else { return }
    let piped = try await bench.sluice("get", source)
    #expect(piped.exit == 0, "\(what): \(piped.summary.prefix(2000))")
    expectSame(piped.output, object, what)
    let file = "\(bench.box.work)/back"
    let result = try await bench.sluice("get", source, "back").success()
    try expectSame(contents(file), object, what)
    #expect(result["bytes"].int == object.count && result["attempts"].int == 1, "\(what): \(result)")
    #expect(result["sha256"] == verified["sha256"] && result["verified"] == verified["verified"], "\(what): \(result)")
    try FileManager.default.removeItem(atPath: file)
  }

  private func namesAgain(_ bench: StoreBench) async throws {
    // SiYuan refuses the others.
    let names = StoreSuite.names + (bench.server == .siyuan ? [] : StoreSuite.oddNames)
    let sources = names.map { bench.destination($0) }
    let bytes = Array("some object\n".utf8)
    let stored = try await bench.box.start(bench.client(bench.options + sources, input: .bytes(bytes))).finish()
    #expect(stored.exit == 0, "\(bench.server): \(stored.summary)")
    // All of them in one run.
    let run = try await bench.box.start(bench.client(["verify"] + sources)).finish()
    #expect(run.exit == 0, "\(bench.server): \(run.summary)")
    let (results, hash) = (try run.results(), try await sha256(bytes))
    #expect(results.map { $0["source"].text } == sources, "\(bench.server): \(run.summary)")
    for result in results { #expect(result["sha256"].text == hash, "\(bench.server): \(result)") }
    for source in [sources[1], sources[2], sources[sources.count - 1]] {
      let run = try await bench.sluice("get", source)
      #expect(run.exit == 0 && run.output == bytes, "\(bench.server): \(run.summary)")
    }
  }

  private func unpacked(_ bench: StoreBench) async throws {
    let ways: [(put: [String], get: [String])] = [
      (["-z"], ["-d"]), (["--through", "rev"], ["--through", "rev"]),
      (["-z", "--through", "base64", "--through", "rev"], ["--through", "rev", "--through", "base64 -d", "-d"]),
    ]
    for (number, way) in ways.enumerated() {
      let (source, what) = (bench.destination("packed \(number)"), "\(way) at \(bench.server)")
      let stored = try await bench.box.start(bench.client(bench.options + way.put + [source], input: .bytes(StoreSuite.text))).finish()
      let receipt = try stored.success()
      try write(stored.output, to: "\(bench.box.work)/receipt")
      let run = try await bench.box.start(bench.client(["get", "--result", "r", "--receipt", "receipt"] + way.get + [source])).finish()
      #expect(run.exit == 0, "\(what): \(run.summary.prefix(2000))")
      expectSame(run.output, StoreSuite.text, what)
      let result = try #require(try resultLines(String(decoding: contents("\(bench.box.work)/r"), as: UTF8.self)).first)
      #expect(result["verified"].text == "receipt" && result["sha256"] == receipt["sha256"], "\(what): \(result)")
      #expect(
        result["output_sha256"] == receipt["input_sha256"] && result["output_bytes"].int == StoreSuite.text.count, "\(what): \(result)")
      for name in ["r", "receipt"] { try FileManager.default.removeItem(atPath: "\(bench.box.work)/\(name)") }
    }
  }

  private func joined(_ bench: StoreBench) async throws {
    let (source, bytes) = (bench.destination("set"), StoreSuite.text)
    try await bench.put(bytes, "-q", "--part-size", "150K", to: "set").success()
    let run = try await bench.sluice("get", source)
    #expect(run.exit == 0, "\(bench.server): \(run.summary.prefix(2000))")
    expectSame(run.output, bytes, "parts from \(bench.server)")
    let result = try await bench.sluice("verify", source).success()
    #expect(result["verified"].text == "manifest" && result["parts"].int == 3, "\(bench.server): \(result)")
    #expect(try await result["sha256"].text == sha256(bytes), "\(bench.server): \(result)")
  }

  private func refused(_ bench: StoreBench) async throws {
    for name in ["no such object", "no/such/folder"] {
      let run = try await bench.sluice("get", bench.destination(name), "back")
      try run.failure(66, "missing")
      try await bench.sluice("verify", bench.destination(name)).failure(66, "missing")
    }
    if let folder = bench.folder, bench.server.store != "s3" {
      let made = try await bench.sluice("mkdir", bench.destination("a folder"))
      // By plain HTTP there are none, and the plugin makes none.
      if made.exit == 64 { try makeDirectory("\(folder)/a folder") }
      let run = try await bench.sluice("get", bench.destination("a folder"), "back")
      // Apache has no page for it, and says that nothing is there.
      if bench.server == .http(.apache) { try run.failure(66, "missing") } else { try run.failure(73, "rejected") }
    }
    for (name, value) in bench.wrongSecret {
      let client = bench.box.client(
        ["get", bench.destination("size 1"), "back"], environment: bench.environment.merging([name: value]) { $1 })
      let run = try await bench.box.start(client).finish()
      try run.failure(77, "auth")
    }
    #expect(!Support.names(in: bench.box.work).contains("back"), "\(bench.server)")
  }

  private func listed(_ bench: StoreBench) async throws {
    let run = try await bench.sluice("ls", bench.destination(""))
    #expect(run.exit == 0, "\(bench.server): \(run.summary)")
    let lines = try run.entries()
    for (name, bytes) in [("size 1", 1), (StoreSuite.names[2], 12)] {
      let line = lines.first { $0["name"].text == name }
      #expect(line?["bytes"].int == bytes || bench.server == .siyuan && line != nil, "\(name) at \(bench.server): \(run.summary)")
    }
    let set = lines.first { $0["name"].text == "set" }
    #expect(set?["parts"].int == 3, "\(bench.server): \(run.summary)")
  }
}

extension StoreBench {
  /// By what an object of so many bytes is proven if nobody but the server says what it is.
  fileprivate func proof(of count: Int) -> String {
    switch server {
    // rclone makes a tag of its own, which is the hash of all.
    case .azure, .s3(.rclone): "checksum"
    // The tag of an upload in parts is the hash of nothing that is known.
    case .s3(nil), .s3(.ceph): count > chunk ? "size" : "checksum"
    default: "size"
    }
  }

  /// A variable of the client's environment, and a value with which the server lets nobody in; none where everybody may read.
  fileprivate var wrongSecret: [String: String] {
    switch server {
    case .alist: ["ALIST_TOKEN": "wrong"]
    case .siyuan: ["SIYUAN_TOKEN": "wrong"]
    case .dav(nil): ["SLUICE_REMOTE_KEPT_PASSWORD": "wrong"]
    case .s3(.some): ["AWS_SECRET_ACCESS_KEY": "wrong"]
    default: [:]
    }
  }
}

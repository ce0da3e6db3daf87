import Foundation
import Support
import Testing

/// Much at once, much in a row, and much in one piece.
@Suite(.sandboxed)
struct LoadTests {
  private static let uploads = Fuzz.number("SLUICE_LOAD_UPLOADS") ?? 300
  private static let gibibytes = Fuzz.number("SLUICE_LOAD_GIB") ?? 1
  /// What a run may hold, in KiB, however long its input is.
  private static let memory = 64 << 10

  private let box = Sandbox.here

  @Test("64 processes at once bring 64 objects to their places")
  func atOnce() async throws {
    let server = try await box.loopback()
    try makeDirectory(StoreBench.disk(of: .file, box))
    let benches = [StoreServer.alist, .siyuan, .http(nil), .file].map { StoreBench($0, box, server) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<64 {
        group.addTask { [box] in
          var generator = SeededGenerator(UInt64(number))
          let bench = benches[number % benches.count]
          let trial = Trial(bench, generator.bytes(100_000 + number), name: "x\(number)")
          try await box.sluice(trial.destination, input: trial.bytes).success()
          #expect(try await trial.found() == .whole, "\(trial.destination)")
        }
      }
      try await group.waitForAll()
    }
    #expect(box.spoolNames.isEmpty)
  }

  @Test("uploads one after the other leave no spool, no connection and no descriptor behind")
  func inARow() async throws {
    let server = try await box.loopback()
    let bench = StoreBench(.http(nil), box, server)
    let before = names(in: "/proc/\(server.pid)/fd").count
    let workers = 4
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<workers {
        group.addTask { [box] in
          for number in stride(from: worker, to: LoadTests.uploads, by: workers) {
            let trial = Trial(bench, Array("object \(number)\n".utf8), name: "x\(number)")
            try await box.sluice("--no-preflight", trial.destination, input: trial.bytes).success()
            try #require(try await trial.found() == .whole, "\(trial.destination)")
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(box.spoolNames.isEmpty)
    #expect(names(in: "\(server.root)/plain").count == LoadTests.uploads)
    try await eventually("the server has no connection left") { names(in: "/proc/\(server.pid)/fd").count <= before + 1 }
  }

  @Test(
    "a long input is sent in the memory of a short one", arguments: [["--input", "in"], ["-z", "--level", "1"]])
  func long(options: [String]) async throws {
    // The server throws away what it is told not to keep, so that the disk has no part in it.
    let gibibytes = LoadTests.gibibytes
    let server = try await box.loopback("--on", "/plain/", "--truncate-stored", "0")
    let made = try await box.shell("truncate -s \(gibibytes)G in")
    try #require(made.exit == 0, "\(made.summary)")
    var client = box.client(
      options + ["--no-preflight", server.plain("/x")], input: options.contains("--input") ? .nothing : .file("\(box.work)/in"))
    client.measuresMemory = true
    client.limit = .seconds(3600)
    let run = try await box.start(client).finish()
    let result = try run.success()
    #expect(result["input_bytes"].int == gibibytes << 30)
    #expect(run.peakKiB > 0 && run.peakKiB <= LoadTests.memory, "peak: \(run.peakKiB) KiB")
    print("\(gibibytes) GiB with \(options.joined(separator: " ")): \(run.duration), peak \(run.peakKiB) KiB")
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a long object is read back in the memory of a short one", arguments: [["get", "out"], ["get", "-"], ["verify"]])
  func longBack(words: [String]) async throws {
    let mebibytes = Fuzz.number("SLUICE_LOAD_GIB").map { $0 << 10 } ?? 256
    let server = try await box.loopback()
    let made = try await box.shell("truncate -s \(mebibytes)M '\(server.plainFile("/x"))'")
    try #require(made.exit == 0, "\(made.summary)")
    let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer { close(null) }
    var client = box.client([words[0], "--result", "r", server.plain("/x")] + words.dropFirst())
    client.output = .descriptor(null)
    client.measuresMemory = true
    client.limit = .seconds(3600)
    let run = try await box.start(client).finish()
    #expect(run.exit == 0, "\(run.summary)")
    let result = try #require(try resultLines(String(decoding: contents("\(box.work)/r"), as: UTF8.self)).first)
    #expect(result["bytes"].int == mebibytes << 20)
    #expect(run.peakKiB > 0 && run.peakKiB <= LoadTests.memory, "peak: \(run.peakKiB) KiB")
    print("\(mebibytes) MiB by \(words.joined(separator: " ")): \(run.duration), peak \(run.peakKiB) KiB")
    #expect(box.spoolNames.isEmpty)
  }
}

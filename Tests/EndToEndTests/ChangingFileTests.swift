import Foundation
import Support
import Testing

/// A file that somebody writes to while it is read.
@Suite(.sandboxed)
struct ChangingFileTests {
  private let box = Sandbox.here

  /// What is done with the file while it is read.
  enum Change: String, CaseIterable, Sendable {
    case cut, grown, written, times
    /// Other bytes, and the times put back.
    case hidden
    case rights, name

    var isHarmless: Bool { self == .rights || self == .name }

    func make(_ file: String) throws {
      var before = stat()
      try #require(stat(file, &before) == 0)
      switch self {
      case .cut: try #require(truncate(file, 1000) == 0)
      case .grown: try #require(truncate(file, before.st_size + 1) == 0)
      case .written, .hidden:
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
        try handle.write(contentsOf: Data("other bytes".utf8))
        try handle.close()
        if self == .hidden { try #require(utimensat(AT_FDCWD, file, [before.st_atim, before.st_mtim], 0) == 0) }
      case .times: try #require(utimensat(AT_FDCWD, file, nil, 0) == 0)
      case .rights: try #require(chmod(file, 0o600) == 0)
      case .name: try #require(link(file, file + ".link") == 0)
      }
    }
  }

  private func file(_ count: Int) throws -> (path: String, bytes: [UInt8]) {
    var generator = SeededGenerator(11)
    let bytes = generator.bytes(count)
    let path = try box.file("in", bytes)
    // So old that the clock's next tick is another time.
    let old = timespec(tv_sec: 1_000_000_000, tv_nsec: 5)
    try #require(utimensat(AT_FDCWD, path, [old, old], 0) == 0)
    return (path, bytes)
  }

  @Test(
    "with transforms a file that changed while it was read fails the run; its rights and names may change", arguments: Change.allCases,
    [["-z"], ["--tee", "--result", "r"], ["-z", "--check", "cat > /dev/null"], ["--part-size", "400k"]])
  func transformed(change: Change, options: [String]) async throws {
    let (path, _) = try file(3_000_000)
    // The filter, which holds the run up, is told when to go on.
    let filter = ["--through", "echo > begun; until [ -e go ]; do sleep 0.02; done; cat"]
    let running = try box.start(box.client(options + filter + ["--input", path, "./out"]))
    try await eventually("the filter runs") { exists("\(box.work)/begun") }
    try change.make(path)
    try write([], to: "\(box.work)/go")
    let run = await running.finish()
    guard !change.isHarmless else {
      #expect(run.exit == 0, "\(run.summary)")
      return
    }
    #expect(run.exit == 65, "\(run.summary)")
    #expect(run.errorText.contains("in changed while it was read"), "\(run.summary)")
    #expect(!exists("\(box.work)/out") && !exists("\(box.work)/out.parts.json"))
    #expect(box.spoolNames.isEmpty)
  }

  @Test(
    "sent from where it lies, a file that changed fails the run; its rights and names may change", arguments: Change.allCases,
    ["http", "file"])
  func plain(change: Change, endpoint: String) async throws {
    let server = try await box.loopback()
    let (path, bytes) = try file(600_000)
    let destination = endpoint == "http" ? server.plain("/x") : "./out"
    let running = try box.start(
      box.client(["--limit-rate", "400k", "--retries", "0", "--progress", "json", "--input", path, destination]))
    try await eventually("it is being sent") { running.errorSoFar.contains(#/"phase":"upload".*"bytes":[1-9]/#) }
    try change.make(path)
    let run = await running.finish()
    guard !change.isHarmless else {
      #expect(try await run.success()["sha256"].text == sha256(bytes))
      return
    }
    try run.failure(65, "input")
    let words = change == .cut ? "in: it is shorter than it was" : "in changed while it was sent"
    #expect(run.errorText.contains(words) || run.errorText.contains("in changed while it was sent"), "\(run.summary)")
    #expect(!exists("\(box.work)/out"))
  }

  /// Writes to a file through a mapping, as databases do, which its times need not show.
  private static let writer = """
    import mmap, sys, time
    file = open(sys.argv[1], "r+b")
    memory = mmap.mmap(file.fileno(), 0)
    number = 0
    print("ready", flush=True)
    while True:
        number += 1
        for offset in range(0, len(memory), 65536): memory[offset:offset + 8] = number.to_bytes(8, "big")
    """

  @Test(
    "of a file that is written through a mapping the SHA-256 is that of what was stored, or the run fails",
    .enabled(if: Program.installed("python3") != nil && exists("/dev/shm"), "there is no python3 or no tmpfs"),
    arguments: ["http", "file", "siyuan", "alist", "chunks", "two"])
  func mapped(way: String) async throws {
    let server = try await box.loopback("--multipart")
    // On tmpfs the times never change.
    let path = "/dev/shm/sluice-test-\(UInt64.random(in: 0 ... .max))"
    defer { unlink(path) }
    try write([UInt8](repeating: 7, count: 8 << 20), to: path)
    var writer = Program(try #require(Program.installed("python3")), ["-c", Self.writer, path])
    writer.environment["HOME"] = box.home
    let writing = try box.start(writer)
    try await eventually("it is written to") { !writing.outputSoFar.isEmpty }
    let (arguments, stored) =
      switch way {
      case "http": ([server.plain("/x")], [server.plainFile("/x")])
      case "siyuan": ([server.siyuan("/data/x")], [server.siyuanFile("/data/x")])
      case "alist": ([server.alist("/x")], [server.alistFile("/x")])
      case "chunks": (["-o", "chunked=1M", server.alist("/x")], [server.alistFile("/x")])
      case "two": ([server.plain("/x"), "./out"], [server.plainFile("/x"), "\(box.work)/out"])
      default: (["./out"], ["\(box.work)/out"])
      }
    let run = try await box.start(box.client(["--retries", "0", "--input", path] + arguments)).finish()
    let results = try run.outputText.split(separator: "\n").map { try JSON(parsing: $0) }
    #expect(results.count == stored.count, "\(run.summary)")
    for result in results where result["ok"].bool == true {
      let file = stored.count == 1 ? stored[0] : stored[result["endpoint"].text == "file" ? 1 : 0]
      #expect(try await result["sha256"].text == sha256(contents(file)), "\(run.summary)")
    }
    if run.exit != 0 { #expect(run.exit == 65, "\(run.summary)") }
    // In one piece there is nothing to be compared with.
    if ["http", "file", "siyuan", "alist"].contains(way) { #expect(run.exit == 0, "\(run.summary)") }
    // A session is told the hash before, and it is another one by then.
    if way == "chunks" { #expect(run.exit == 65, "\(run.summary)") }
  }

  @Test("what a check has seen is what is sent, or the run fails", .enabled(if: exists("/dev/shm"), "there is no tmpfs"))
  func checked() async throws {
    let path = "/dev/shm/sluice-test-\(UInt64.random(in: 0 ... .max))"
    defer { unlink(path) }
    try write([UInt8](repeating: 7, count: 100_000), to: path)
    // The time is put back by the check itself, which has seen the bytes of before.
    let check = "cat > seen; touch -r '\(path)' time; printf other | dd of='\(path)' conv=notrunc status=none; touch -r time '\(path)'"
    try await box.sluice("--check", check, "--input", path, "./out").failure(65, "input")
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a plugin that read something else than it was told fails the run")
  func plugin() async throws {
    let (path, _) = try file(100_000)
    let put = "cat > stored; touch -r '\(path)' time; printf other | dd of='\(path)' conv=notrunc status=none; touch -r time '\(path)'"
    try box.plugin("own", put: put)
    let run = try await box.start(box.client(["--input", path, "own:x"], environment: box.plugins)).finish()
    try run.failure(65, "input")
  }
}

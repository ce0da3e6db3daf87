import Foundation
import Support
import Testing

/// The gzip member: who can read it, and that its bytes depend on input and level alone.
@Suite(.sandboxed)
struct GzipTests {
  private let box = Sandbox.here

  @Test("the bytes depend on the input and the level alone", arguments: 1...9)
  func deterministic(level: Int) async throws {
    var generator = SeededGenerator(UInt64(level))
    let bytes = generator.text(700_000) + generator.bytes(400_000) + [UInt8](repeating: 0, count: 500_000)
    var first: [UInt8]?
    for threads in [1, 2, 3, 8] {
      let running = try box.start(box.client(["-z", "--level", "\(level)", "--threads", "\(threads)", "./\(threads).gz"], input: .pipe))
      // Cut at random, another way for each number of threads.
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Int(generator.next() % 200_000) + 1
        await running.write(Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      running.closeInput()
      try await running.finish().success()
      let stored = try contents("\(box.work)/\(threads).gz")
      if let first { expectSame(stored, first, "\(threads) threads, level \(level)") }
      first = stored
    }
    try await expectSame(gunzipped(try #require(first)), bytes)
  }

  @Test("a higher level is not larger, and the default is 6")
  func levels() async throws {
    var generator = SeededGenerator(9)
    let bytes = generator.text(600_000)
    var sizes: [String: Int] = [:]
    for level in ["1", "6", "9", ""] {
      let arguments = level.isEmpty ? ["-z", "./default.gz"] : ["-z", "--level", level, "./\(level).gz"]
      sizes[level] = try await box.start(box.client(arguments, input: .bytes(bytes))).finish().success()["bytes"].int
    }
    #expect(try #require(sizes["9"]) <= #require(sizes["6"]))
    #expect(try #require(sizes["6"]) < #require(sizes["1"]))
    try expectSame(contents("\(box.work)/default.gz"), contents("\(box.work)/6.gz"))
  }

  @Test("one member, with no time and no name in its header")
  func header() async throws {
    let file = try box.file("a-name.txt", String(repeating: "some words ", count: 1000))
    try await box.sluice("-z", "--input", file, "./out.gz").success()
    let stored = try contents("\(box.work)/out.gz")
    #expect(stored.starts(with: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]))
    // 255: of no known system, so that it is the same on all of them; 3 is what many write.
    #expect(stored[9] == 255 || stored[9] == 3)
    let length = stored.suffix(4).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    #expect(length == 11_000)
  }

  @Test(
    "gzip -t and gunzip take it", .enabled(if: Program.installed("gzip") != nil, "gzip is not installed"), arguments: [0, 1, 1_000_000])
  func gzipProgram(size: Int) async throws {
    var generator = SeededGenerator(3)
    let bytes = generator.text(size)
    try await box.sluice("--min-size", "0", "-z", "./out.gz", input: bytes).success()
    let tested = try await box.shell("gzip -tv out.gz")
    #expect(tested.exit == 0, "\(tested.summary)")
    let unpacked = try await box.shell("gunzip -c out.gz")
    expectSame(unpacked.output, bytes)
  }

  @Test("Python reads it", .enabled(if: Program.installed("python3") != nil, "python3 is not installed"))
  func python() async throws {
    var generator = SeededGenerator(4)
    let bytes = generator.text(500_000) + generator.bytes(100_000)
    try await box.sluice("-z", "./out.gz", input: bytes).success()
    let read = try await box.shell("python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.open(\"out.gz\").read())'")
    expectSame(read.output, bytes, "\(read.errorText)")
  }

  @Test("what cannot be compressed grows by almost nothing")
  func incompressible() async throws {
    var generator = SeededGenerator(5)
    let bytes = generator.bytes(4 << 20)
    let result = try await box.sluice("-z", "./out.gz", input: bytes).success()
    #expect(try #require(result["bytes"].int) < bytes.count + bytes.count / 500 + 100)
    try await expectSame(gunzipped(contents("\(box.work)/out.gz")), bytes)
  }

  @Test("a regular file is compressed too")
  func regularFile() async throws {
    let file = try box.file("in", String(repeating: "x", count: 100_000))
    let result = try await box.sluice("-z", "--input", file, "./out.gz").success()
    #expect(result["input_bytes"].int == 100_000)
    try await expectSame(gunzipped(contents("\(box.work)/out.gz")), contents(file))
    #expect(box.spoolNames.isEmpty)
  }

  @Test("with --level auto a slow input is compressed as hard as can be, and the result says so")
  func automaticLevel() async throws {
    var generator = SeededGenerator(11)
    let bytes = generator.text(6_000_000)
    let running = try box.start(box.client(["-z", "--level", "auto", "--threads", "2", "./out.gz"], input: .pipe))
    // Slower than two threads are at any level.
    for start in stride(from: 0, to: bytes.count, by: 250_000) {
      await running.write(Array(bytes[start..<min(start + 250_000, bytes.count)]))
      try await Task.sleep(for: .milliseconds(60))
    }
    running.closeInput()
    let result = try await running.finish().success()
    let levels = result["gzip_levels"]
    #expect(levels.keys.reduce(0) { $0 + (levels[$1].int ?? 0) } == bytes.count / 262_144 + 1)
    // How high it comes depends on what else the machine does.
    #expect(["6", "7", "8", "9"].reduce(0) { $0 + (levels[$1].int ?? 0) } > 10, "\(levels)")
    try await expectSame(gunzipped(contents("\(box.work)/out.gz")), bytes)
  }

  @Test("with --level auto an input that waits for nobody is compressed fast")
  func automaticLevelOfAFastInput() async throws {
    var generator = SeededGenerator(12)
    let bytes = generator.text(12_000_000)
    let result = try await box.start(
      box.client(["-z", "--level", "auto", "--threads", "1", "./out.gz"], input: .bytes(bytes))
    ).finish().success()
    let levels = result["gzip_levels"]
    #expect(levels["1"].int ?? 0 > 20, "\(levels)")
    try await expectSame(gunzipped(contents("\(box.work)/out.gz")), bytes)
  }

  @Test("pigz reads a member that is partly stored", .enabled(if: Program.installed("pigz") != nil, "pigz is not installed"))
  func pigz() async throws {
    var generator = SeededGenerator(13)
    let bytes = generator.bytes(300_000) + generator.text(300_000) + generator.bytes(300_000)
    try await box.sluice("-z", "./out.gz", input: bytes).success()
    let unpacked = try await box.shell("pigz -t out.gz && pigz -dc out.gz")
    expectSame(unpacked.output, bytes, "\(unpacked.errorText)")
  }

  @Test(
    "levels and thread counts that there are not are refused",
    arguments: [["--level", "0"], ["--level", "10"], ["--level", "x"], ["--threads", "0"]])
  func wrongOptions(options: [String]) async throws {
    let run = try await box.start(box.client(["-z"] + options + ["./out"], input: .bytes([]))).finish()
    run.usage()
    #expect(!exists("\(box.work)/out"))
  }
}

/// Unpacks with the system's program.
func gunzipped(_ bytes: [UInt8]) async throws -> [UInt8] {
  var program = Program(try #require(Program.installed("gzip")), ["-dc"])
  program.input = .bytes(bytes)
  let run = try await program.run()
  guard run.exit == 0 else { throw ProgramError(description: "gzip -d: \(run.errorText)") }
  return run.output
}

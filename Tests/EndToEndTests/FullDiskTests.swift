import Foundation
import Support
import Testing

/// Disks that are full at the worst moment.
@Suite(.sandboxed, .enabled(if: SmallDisk.isPossible, "a small file system can be mounted by root alone"))
struct FullDiskTests {
  private let box = Sandbox.here

  @Test("a disk that has room for the object and none for its job sends it all the same", arguments: [0, 100, 4095])
  func job(free: Int) async throws {
    try await withSmallDisk(at: box.spool, kibibytes: 256) {
      // With the folder's own pages nothing fits behind an object that fills the last of them.
      let bytes = [UInt8](repeating: 7, count: (256 << 10) - free)
      let run = try await box.sluice("./out", "./out2", input: bytes)
      #expect(run.exit == 0, "\(run.summary)")
      #expect(run.errorText.contains("warning: cannot write the job"), "\(run.summary)")
      #expect(box.spoolNames.isEmpty)
      for name in ["out", "out2"] { try expectSame(contents("\(box.work)/\(name)"), bytes) }
    }
  }

  @Test("who asked for errors alone learns too that an object could be neither sent nor held")
  func neitherSentNorHeld() async throws {
    try await withSmallDisk(at: box.spool, kibibytes: 256) {
      let bytes = [UInt8](repeating: 7, count: 256 << 10)
      let run = try await box.sluice("-q", "--no-preflight", "--retries", "0", "http://127.0.0.1:1/x", input: bytes)
      #expect(run.exit == 69, "\(run.summary)")
      #expect(run.errorText.split(separator: "\n").last?.contains("could not be held") == true, "\(run.summary)")
      #expect(box.spoolNames.isEmpty)
    }
  }

  @Test(
    "a disk without inodes ends in exit 74 before the input is read; one that runs out of them for the job is of no account",
    arguments: [2, 3, 4])
  func inodes(count: Int) async throws {
    try await withSmallDisk(at: box.spool, kibibytes: 1024, options: "nr_inodes=\(count)") {
      for name in 0..<max(0, count - 3) { try write([1], to: "\(box.spool)/other\(name)") }
      try write([1], to: "\(box.spool)/other")
      let run = try await box.sluice("./out", "./out2", input: [1, 2, 3])
      #expect(run.exit == (exists("\(box.work)/out") ? 0 : 74), "\(run.summary)")
      #expect(names(in: box.spool).allSatisfy { $0.hasPrefix("other") }, "\(names(in: box.spool))")
    }
  }

  @Test("a target that is full is told of, its old object stays, and what was to come is held", arguments: [[], ["-z"]])
  func target(options: [String]) async throws {
    let disk = "\(box.path)/disk"
    var generator = SeededGenerator(9)
    let bytes = generator.bytes(600_000)
    try await withSmallDisk(at: disk, kibibytes: 512) {
      try write([1, 2, 3], to: "\(disk)/out")
      let run = try await box.start(box.client(options + ["\(disk)/out"], input: .bytes(bytes))).finish()
      let id = try #require(try run.failure(73, "rejected")["held"].text)
      try expectSame(contents("\(disk)/out"), [1, 2, 3])
      #expect(names(in: disk) == ["out"])
      // As large as the object with what gzip adds.
      let grown = try await Program("/bin/sh", ["-c", "mount -o remount,size=2m '\(disk)'"]).run()
      try #require(grown.exit == 0, "\(grown.summary)")
      try await box.sluice("held", "push", id).success()
      try await expectSame(options.isEmpty ? contents("\(disk)/out") : gunzipped(contents("\(disk)/out")), bytes)
      #expect(box.spoolNames.isEmpty)
    }
  }

  @Test("an object that is held on a disk that has become full can be sent")
  func heldOnFull() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "500", "--times", "1")
    try await withSmallDisk(at: box.spool, kibibytes: 512) {
      let bytes = [UInt8](repeating: 7, count: 300_000)
      let run = try await box.sluice("--no-preflight", "--retries", "0", server.plain("/x"), input: bytes)
      let id = try #require(try run.failure(69, "server")["held"].text)
      let filled = try await box.shell("head -c 1000000 /dev/zero > '\(box.spool)/other'")
      #expect(filled.exit != 0)
      try await box.sluice("held", "push", id).success()
      try expectSame(contents(server.plainFile("/x")), bytes)
      #expect(box.spoolNames == ["other"])
    }
  }

  @Test("a spool on a disk that can only be read is exit 74 before the input is read")
  func readOnly() async throws {
    try await withSmallDisk(at: box.spool, kibibytes: 64, options: "ro") {
      let run = try await box.sluice("./out", input: .endless)
      try run.failure(74, "spool")
      #expect(run.errorText.contains("read-only"))
      #expect(run.duration < .seconds(20))
    }
  }
}

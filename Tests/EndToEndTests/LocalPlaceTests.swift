import Foundation
import Support
import Testing

/// Names of local files: links, names that may not be taken, and what lies beside them.
@Suite(.sandboxed)
struct LocalPlaceTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  private let besideTarget: [String: String?] = ["SLUICE_SPOOL_DIR": nil]

  @Test(
    "a link stays a link, also one that leads to nothing yet", arguments: [[], ["--no-clobber"], ["-z", "--no-preflight"]],
    ["real", "folder/real", "ABSOLUTE/folder/real", "second"])
  func dangling(options: [String], target: String) async throws {
    try makeDirectory("\(box.work)/folder")
    let target = target.replacing("ABSOLUTE", with: box.work)
    try FileManager.default.createSymbolicLink(atPath: "\(box.work)/second", withDestinationPath: "folder/../real")
    try FileManager.default.createSymbolicLink(atPath: "\(box.work)/out", withDestinationPath: target)
    try await box.start(box.client(options + ["./out"], input: .bytes(bytes), environment: besideTarget)).finish().success()
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(box.work)/out") == target)
    let stored = try contents(target.contains("folder") ? "\(box.work)/folder/real" : "\(box.work)/real")
    try await expectSame(options.contains("-z") ? gunzipped(stored) : stored, bytes)
    #expect(names(in: box.work).filter { $0 != "real" } == ["folder", "out", "second"])
  }

  @Test("a link that leads nowhere at all is refused, and stays", arguments: ["out", "missing/real", "/dev/null", "folder"])
  func broken(target: String) async throws {
    try makeDirectory("\(box.work)/folder")
    try FileManager.default.createSymbolicLink(atPath: "\(box.work)/out", withDestinationPath: target)
    try await box.sluice("./out", input: .endless).failure(73, "rejected")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(box.work)/out") == target)
    #expect(names(in: box.work) == ["folder", "out"])
  }

  /// Lets system calls fail as some file systems do.
  private func failing(_ faults: [String], _ arguments: [String], beside: Bool) throws -> Program {
    var program = box.client(arguments + ["--no-clobber", "./out"], input: .bytes(bytes), environment: beside ? besideTarget : [:])
    let calls = faults.map { String($0.prefix { $0 != ":" }) }.joined(separator: ",")
    let faults = faults.flatMap { ["-e", "inject=\($0)"] }
    program.arguments =
      ["-qq", "-f", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=\(calls)"] + faults + [program.path] + program.arguments
    program.path = Program.installed("strace") ?? "strace"
    return program
  }

  @Test(
    "where the system can't rename without replacing, the name is given by a link", .enabled(if: Strace.isPossible, "strace can't be used"),
    arguments: [[], ["--input", "in"]], ["EINVAL", "ENOSYS", "EPERM"])
  func withoutRename(arguments: [String], error: String) async throws {
    try box.file("in", bytes)
    try await box.start(failing(["renameat2:error=\(error)"], arguments, beside: true)).finish().success()
    try expectSame(contents("\(box.work)/out"), bytes)
    #expect(names(in: box.work) == ["in", "out"])
  }

  @Test(
    "where there are no links either --no-clobber fails, and the name is never taken",
    .enabled(if: Strace.isPossible, "strace can't be used"),
    arguments: [[], ["--input", "in"]], [true, false])
  func withoutLinks(arguments: [String], beside: Bool) async throws {
    try box.file("in", bytes)
    let faults = ["renameat2:error=EINVAL", "linkat:error=EPERM", "link:error=EPERM"]
    let run = try await box.start(failing(faults, ["--no-hold"] + arguments, beside: beside)).finish()
    try run.failure(73, "rejected")
    #expect(run.errorText.contains("cannot promise that nothing is replaced"), "\(run.summary)")
    #expect(names(in: box.work) == ["in"])
    #expect(box.spoolNames.isEmpty)
  }

  @Test(
    "a file that must not replace another is never there before it is whole", .enabled(if: Strace.isPossible, "strace can't be used"),
    arguments: [[], ["--input", "in"]])
  func oneStep(arguments: [String]) async throws {
    try box.file("in", bytes)
    var program = box.client(arguments + ["--no-clobber", "./out"], input: .bytes(bytes), environment: besideTarget)
    program.arguments =
      ["-qq", "-f", "-o", "\(box.path)/trace", "-e", "trace=open,openat,link,linkat,rename,renameat,renameat2", program.path]
      + program.arguments
    program.path = Program.installed("strace") ?? "strace"
    try await box.start(program).finish().success()
    let trace = String(decoding: try contents("\(box.path)/trace"), as: UTF8.self)
    let calls = trace.split(separator: "\n").filter { $0.contains("\"./out\"") }
    #expect(calls.count == 1 && calls[0].contains("RENAME_NOREPLACE"), "\(calls)")
  }

  @Test(
    "nothing stays beside the file where everything looks like another user's",
    .enabled(if: Program.installed("bindfs") != nil, "no bindfs"),
    arguments: [[], ["--no-clobber"], ["--input", "in"]])
  func foreignOwner(arguments: [String]) async throws {
    try box.file("in", bytes)
    let disk = "\(box.work)/disk"
    let mounted = try await box.shell("mkdir real disk && bindfs --force-user=65534 --force-group=65534 real disk")
    guard mounted.exit == 0 else { return }
    let run = try await box.start(box.client(arguments + ["./disk/out"], input: .bytes(bytes), environment: besideTarget)).finish()
    let left = names(in: disk)
    _ = try await box.shell("umount -l disk")
    try run.success()
    #expect(left == ["out"])
    try expectSame(contents("\(box.work)/real/out"), bytes)
  }

  @Test(
    "an empty folder for spools that is another user's does not stay either", .enabled(if: getuid() == 0, "root alone can give it away"))
  func foreignFolder() async throws {
    try makeDirectory("\(box.work)/.sluice-0", mode: 0o700)
    #expect(chown("\(box.work)/.sluice-0", 65534, 65534) == 0)
    try await box.start(box.client(["./out"], input: .bytes(bytes), environment: besideTarget)).finish().success()
    #expect(names(in: box.work) == ["out"])
  }

  @Test(
    "what a killed run left beside the file is gone after the next one that succeeds, however that makes the file",
    arguments: [true, false])
  func afterKill(spooled: Bool) async throws {
    let file = try box.file("in", bytes)
    let running = try box.start(box.client(["./first"], input: .pipe, environment: besideTarget))
    await running.write(bytes)
    try await eventually("there is a spool") { names(in: "\(box.work)/.sluice-\(getuid())").contains { $0.hasSuffix(".data") } }
    running.signal(SIGKILL)
    _ = await running.finish()
    #expect(names(in: box.work) == [".sluice-\(getuid())", "in"])
    try await (spooled ? box.sluice("./out", input: bytes) : box.sluice("--input", file, "./out")).success()
    #expect(names(in: box.work) == ["in", "out"])
  }

  @Test("the copy that a killed run began in a folder named from where it ran is taken away from elsewhere")
  func killedCopy() async throws {
    try makeDirectory("\(box.work)/sub")
    let running = try box.start(box.client(["--limit-rate", "1k", "./sub/out"], input: .bytes([UInt8](repeating: 7, count: 20_000))))
    try await eventually("the copy has begun") { names(in: "\(box.work)/sub").contains { $0.contains(".sluice-") } }
    running.signal(SIGKILL)
    _ = await running.finish()
    var push = box.client(["held", "push", "--all"])
    push.directory = "/"
    let pushed = try await box.start(push).finish()
    #expect(pushed.exit == 0, "\(pushed.summary)")
    #expect(names(in: "\(box.work)/sub") == ["out"])
  }

  @Test("an empty folder that a killed run left is gone too")
  func emptyFolder() async throws {
    try makeDirectory("\(box.work)/.sluice-\(getuid())", mode: 0o700)
    try await box.sluice("./out", input: bytes).success()
    #expect(names(in: box.work) == ["out"])
  }

  @Test("times before 1970 are kept to the millisecond, towards the past", arguments: [(-1, 500_000_000), (-86_400, 1), (-2, 999_999_999)])
  func beforeEpoch(time: (seconds: Int, nanoseconds: Int)) async throws {
    let file = try box.file("in", bytes)
    let moment = timespec(tv_sec: time.seconds, tv_nsec: time.nanoseconds)
    #expect(utimensat(AT_FDCWD, file, [moment, moment], 0) == 0)
    try await box.sluice("--input", file, "./out").success()
    var status = stat()
    #expect(lstat("\(box.work)/out", &status) == 0)
    #expect(status.st_mtim.tv_sec == time.seconds)
    #expect(status.st_mtim.tv_nsec == time.nanoseconds / 1_000_000 * 1_000_000)
  }
}

import Foundation
import Support
import Testing

/// Whose a local file is, who may do what with it, and what another user has left in its place.
@Suite(.sandboxed)
struct LocalOwnerTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)
  /// Who has no rights anywhere.
  private static let nobody: UInt32 = 65534
  private static let isRoot = getuid() == 0
  /// Runs a program as another user.
  private static let canChangeUser = isRoot && Program.installed("setpriv") != nil

  private func owner(_ path: String) throws -> [UInt32] {
    var status = stat()
    try #require(lstat(path, &status) == 0)
    return [status.st_uid, status.st_gid]
  }

  /// The ways that bytes come to a file: a spool that is moved there, one that is copied there, a file that is copied there.
  enum Way: String, CaseIterable, Sendable {
    case moved, copied, file
  }

  private func client(_ way: Way, _ arguments: [String] = []) throws -> Program {
    switch way {
    case .moved: return box.client(arguments + ["./out"], input: .bytes(bytes), environment: ["SLUICE_SPOOL_DIR": nil])
    case .copied: return box.client(arguments + ["--limit-rate", "1G", "./out"], input: .bytes(bytes))
    case .file: return box.client(arguments + ["--input", try box.file("in", bytes), "./out"])
    }
  }

  @Test("the bits that lend a user's or a group's power do not survive; the others do", arguments: Way.allCases)
  func setID(way: Way) async throws {
    let file = try box.file("out", "old")
    #expect(chmod(file, 0o6755) == 0)
    try await box.start(client(way)).finish().success()
    #expect(mode(file) == 0o755)
    try expectSame(contents(file), bytes)
  }

  @Test("root leaves a file to its owner and group", .enabled(if: isRoot, "root alone can give a file away"), arguments: Way.allCases)
  func kept(way: Way) async throws {
    let file = try box.file("out", "old")
    #expect(chown(file, Self.nobody, 7) == 0)
    #expect(chmod(file, 0o4755) == 0)
    try await box.start(client(way)).finish().success()
    #expect(try owner(file) == [Self.nobody, 7])
    #expect(mode(file) == 0o755)
  }

  @Test(
    "where owner or group can't be kept nobody gets more than before",
    .enabled(if: canChangeUser, "another user's files are needed, and setpriv"), arguments: Way.allCases,
    [(0o664, UInt32(0), 0o644), (0o640, 0, 0o600), (0o646, 0, 0o644), (0o606, 0, 0o600), (0o664, 65534, 0o664), (0o067, 65534, 0o000)])
  func cut(way: Way, modes: (before: Int, group: UInt32, after: Int)) async throws {
    chmod(box.path, 0o755)
    for folder in [box.work, "\(box.path)/tmp"] { #expect(chown(folder, Self.nobody, Self.nobody) == 0) }
    let file = try box.file("out", "old")
    #expect(chown(file, 0, modes.group) == 0)
    #expect(chmod(file, mode_t(modes.before)) == 0)
    var client = try client(way)
    client.environment["SLUICE_SPOOL_DIR"] = way == .copied ? "\(box.path)/tmp/spool" : nil
    client.arguments =
      ["--reuid", "\(Self.nobody)", "--regid", "\(Self.nobody)", "--clear-groups", client.path] + client.arguments
    client.path = try #require(Program.installed("setpriv"))
    try await box.start(client).finish().success()
    #expect(try owner(file) == [Self.nobody, Self.nobody])
    #expect(mode(file) == modes.after, "\(String(mode(file) ?? 0, radix: 8))")
    try expectSame(contents(file), bytes)
  }

  @Test("a file that only some may read can't be read by others before it is whole either")
  func notReadableBefore() async throws {
    let file = try box.file("out", "old", mode: 0o600)
    let input = try box.file("in", [UInt8](repeating: 1, count: 4 << 20))
    let running = try box.start(box.client(["--limit-rate", "100k", "--input", input, "./out"]))
    try await eventually("the copy has begun") { names(in: box.work).contains { $0.contains(".sluice-") } }
    let temporary = try #require(names(in: box.work).first { $0.contains(".sluice-") })
    #expect(mode("\(box.work)/\(temporary)") == 0o600)
    running.signal(SIGTERM)
    _ = await running.finish()
    try expectSame(contents(file), Array("old".utf8))
    #expect(names(in: box.work) == ["in", "out"])
  }

  @Test(
    "a file's access control list is kept", .enabled(if: Program.installed("setfacl") != nil, "setfacl is not installed"),
    arguments: Way.allCases)
  func list(way: Way) async throws {
    try box.file("out", "old", mode: 0o640)
    // The group has less than the mode seems to say, and the folder would give a new file to another user.
    let set = try await box.shell("setfacl -m u:1:rw,g::- out && setfacl -d -m u:2:rwx .")
    #expect(set.exit == 0, "\(set.summary)")
    let before = try await box.shell("getfacl -cn out").outputText
    try await box.start(client(way)).finish().success()
    #expect(try await box.shell("getfacl -cn out").outputText == before)
  }

  // MARK: sticky folders

  /// A folder as /tmp is, of root, with what another user made there.
  private func sticky(_ make: String) async throws {
    chmod(box.path, 0o755)
    try makeDirectory("\(box.work)/sticky", mode: 0o1777)
    let made = try await box.shell("cd sticky && \(make)")
    #expect(made.exit == 0, "\(made.summary)")
  }

  @Test(
    "in a sticky folder what another user made there is neither replaced nor followed",
    .enabled(if: isRoot, "root alone can give a file away"),
    arguments: [
      "echo old > out; chown 65534 out", "echo old > real; ln -s real out; chown -h 65534 out", "ln -s real out; chown -h 65534 out",
    ],
    [[], ["--no-preflight"]])
  func foreign(make: String, options: [String]) async throws {
    try await sticky(make)
    let before = try await box.shell("ls -ln sticky").outputText
    let run = try await box.start(box.client(options + ["./sticky/out"], input: .bytes(bytes))).finish()
    try run.failure(73, "rejected")
    #expect(run.errorText.contains("belongs to another user (uid 65534)"), "\(run.summary)")
    #expect(try await box.shell("ls -ln sticky").outputText == before)
  }

  @Test(
    "in a sticky folder one's own and the folder's owner's files are as others", arguments: ["echo old > out", "ln -s real out", "true"])
  func own(make: String) async throws {
    try await sticky(make)
    try await box.sluice("./sticky/out", input: bytes).success()
    try expectSame(contents("\(box.work)/sticky/out"), bytes)
  }
}

import Foundation
import Support
import Testing

/// An input without a byte: nearly always a producer that died, or a path in the wrong place.
@Suite(.sandboxed)
struct EmptyInputTests {
  private let box = Sandbox.here
  private let old = Array("what was there\n".utf8)

  /// What standard input can be besides a regular file.
  enum Stream: String, CaseIterable, Sendable {
    case pipe, device, socket
  }

  private func client(_ arguments: [String], _ stream: Stream) throws -> (Program, close: [Int32]) {
    switch stream {
    case .pipe: return (box.client(arguments, input: .bytes([])), [])
    case .device: return (box.client(arguments, input: .nothing), [])
    case .socket:
      var ends: [Int32] = [-1, -1]
      try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
      shutdown(ends[1], Int32(SHUT_WR))
      return (box.client(arguments, input: .descriptor(ends[0])), ends)
    }
  }

  @Test(
    "an empty pipe, device or socket is refused, and what is at the destinations stays", arguments: Stream.allCases,
    [[], ["-z"], ["--through", "cat"], ["--check", "cat"], ["--part-size", "1k"]])
  func refused(stream: Stream, options: [String]) async throws {
    let server = try await box.loopback()
    let file = try box.file("dump.sql", old)
    try write(old, to: server.alistFile("/x"))
    let (client, ends) = try client(options + ["./dump.sql", server.alist("/x")], stream)
    let run = try await box.start(client).finish()
    ends.forEach { close($0) }
    #expect(run.exit == 65, "\(run.summary)")
    #expect(run.errorText.contains("standard input is empty"), "\(run.summary)")
    #expect(run.errorText.contains("hint: to upload ./dump.sql itself: --input ./dump.sql\n"), "\(run.summary)")
    try expectSame(contents(file), old)
    try expectSame(contents(server.alistFile("/x")), old)
    #expect(names(in: box.work) == ["dump.sql"])
    #expect(box.spoolNames.isEmpty)
  }

  @Test("a producer that died before its first byte is noticed")
  func deadProducer() async throws {
    let run = try await box.shell("false | '\(Program.built("sluice"))' ./out")
    #expect(run.exit == 65, "\(run.summary)")
    #expect(run.errorText.contains("--min-size 0"))
    #expect(!exists("\(box.work)/out"))
  }

  @Test("an empty named pipe is refused, and so is a device that is named", arguments: ["fifo", "/dev/null"])
  func named(input: String) async throws {
    #expect(mkfifo("\(box.work)/fifo", 0o600) == 0)
    let running = try box.start(box.client(["--input", input, "./out"]))
    if input == "fifo" { #expect(try await box.shell(": > fifo").exit == 0) }
    let run = await running.finish()
    try run.failure(65, "input")
    #expect(run.errorText.contains("\(input) is empty"), "\(run.summary)")
    #expect(!exists("\(box.work)/out"))
  }

  @Test("--min-size 0 asks for an empty object", arguments: Stream.allCases)
  func wanted(stream: Stream) async throws {
    let (client, ends) = try client(["--min-size", "0", "./out"], stream)
    try await box.start(client).finish().success()
    ends.forEach { close($0) }
    #expect(try contents("\(box.work)/out").isEmpty)
  }

  @Test("a regular file may be empty, and a command that exits 0 may print nothing", arguments: [[], ["-z"], ["--through", "cat"]])
  func allowed(options: [String]) async throws {
    let file = try box.file("empty", "")
    try await box.start(box.client(options + ["--input", file, "./by-name"])).finish().success()
    try await box.start(box.client(options + ["./by-redirection"], input: .file(file))).finish().success()
    var command = box.client(options + ["./by-command", "--", "true"])
    command.input = .nothing
    try await box.start(command).finish().success()
    #expect(names(in: box.work) == ["by-command", "by-name", "by-redirection", "empty"])
  }

  @Test("a list that a loop has read to its end already is no empty file")
  func readBefore() async throws {
    try box.file("list", "out\n")
    let run = try await box.shell("while read name; do '\(Program.built("sluice"))' ./$name; done < list")
    #expect(run.exit == 65, "\(run.summary)")
    #expect(!exists("\(box.work)/out"))
  }

  @Test("a file whose name stands alone, or that a terminal is to fill, may have been meant as the input")
  func hints() async throws {
    try box.file("dump.sql", old)
    let bare = try await box.sluice("dump.sql", "./copy", input: .nothing)
    bare.usage()
    #expect(bare.errorText.contains("hint: to upload dump.sql itself: --input dump.sql\n"), "\(bare.summary)")
    let terminal = try PseudoTerminal()
    let asked = try await box.sluice("file:dump.sql", "./copy", input: .descriptor(terminal.child))
    asked.usage()
    #expect(asked.errorText.contains("hint: to upload dump.sql itself: --input dump.sql\n"), "\(asked.summary)")
    let other = try await box.sluice("missing.sql", "./copy", input: .nothing)
    other.usage()
    #expect(other.errorText.contains("./missing.sql"))
    try expectSame(contents("\(box.work)/dump.sql"), old)
  }
}

import Foundation
import Support
import Testing

/// System calls of the byte path that fail, are interrupted, or are the last that the program gets to make.
@Suite(.sandboxed, .enabled(if: Strace.isPossible, "strace is not installed, or may not trace here"))
struct InjectionTests {
  /// Which calls of which thread: strace counts for each thread.
  struct Calls: Sendable, CustomTestStringConvertible {
    /// The file that the calls must be about, where the program's start would have them too.
    enum File: String, Sendable { case any, input, spool, data, job, newJob }

    let name: String
    var on = File.any
    var times = 1...1

    var testDescription: String { on == .any ? name : "\(name) of \(on.rawValue)" }
  }

  /// A way of the bytes.
  enum Way: String, CaseIterable, Sendable {
    case inputToFile, inputToPlain, inputToSiYuan, fileToPlain, fileToFile, heldToPlain, heldToFile
    case inputToAList, inputToDAV, inputToS3, inputToPlugin

    var isHeld: Bool { self == .heldToPlain || self == .heldToFile }
    var server: StoreServer {
      switch self {
      case .inputToFile, .fileToFile, .heldToFile: .file
      case .inputToSiYuan: .siyuan
      case .inputToPlain, .fileToPlain, .heldToPlain: .http(nil)
      case .inputToAList: .alist
      case .inputToDAV: .dav(nil)
      case .inputToS3: .s3(nil)
      case .inputToPlugin: .plugin
      }
    }
  }

  /// Calls with the errors that they may meet, and the exit statuses that are right then.
  struct Row: Sendable, CustomTestStringConvertible {
    let calls: Calls
    let errors: [String]
    let statuses: Set<Int32>
    let ways: [Way]

    var testDescription: String { calls.testDescription }
  }

  private static let inputs: [Way] = [.inputToFile, .inputToPlain, .inputToSiYuan]
  /// The other stores: what happens before an object is sent is the same for all.
  private static let others: [Way] = [.inputToAList, .inputToDAV, .inputToS3, .inputToPlugin]
  /// The calls that have to do with the store.
  private static let sending: Set = ["sendfile", "connect", "epoll_wait", "exit_group"]
  private static let holds: [Way] = [.heldToPlain, .heldToFile]

  static let rows: [Row] = [
    Row(calls: Calls(name: "read", on: .input, times: 1...3), errors: ["EIO"], statuses: [65], ways: inputs),
    Row(calls: Calls(name: "pread64", on: .input, times: 1...3), errors: ["EIO"], statuses: [65], ways: [.fileToPlain, .fileToFile]),
    // One that fails where it is asked whether it can be done at all leaves the bytes to read and write.
    Row(
      calls: Calls(name: "sendfile", times: 1...3), errors: ["EIO"], statuses: [65, 74],
      ways: [.fileToPlain, .inputToPlain, .heldToPlain] + others),
    Row(
      calls: Calls(name: "sendfile", times: 1...2), errors: ["ECONNRESET"], statuses: [69],
      ways: [.fileToPlain, .inputToPlain, .heldToPlain] + others),
    Row(calls: Calls(name: "write", times: 30...31), errors: ["ENOSPC", "EIO"], statuses: [74], ways: inputs),
    Row(calls: Calls(name: "mkdir"), errors: ["ENOSPC", "EIO"], statuses: [74], ways: inputs),
    Row(calls: Calls(name: "flock", times: 1...3), errors: ["ENOLCK", "EIO"], statuses: [74], ways: inputs),
    Row(calls: Calls(name: "flock"), errors: ["ENOLCK"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "openat", on: .spool, times: 1...6), errors: ["EMFILE", "EIO", "ENOSPC"], statuses: [74], ways: inputs),
    Row(calls: Calls(name: "openat", on: .spool, times: 1...5), errors: ["EMFILE", "EIO"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "renameat", times: 1...3), errors: ["EIO", "ENOSPC"], statuses: [73, 74], ways: inputs + holds),
    Row(calls: Calls(name: "fsync", times: 1...3), errors: ["EIO", "ENOSPC"], statuses: [73, 74], ways: inputs + holds + [.fileToFile]),
    Row(calls: Calls(name: "unlinkat", times: 1...2), errors: ["EIO"], statuses: [], ways: inputs + holds),
    Row(calls: Calls(name: "getdents64", times: 1...2), errors: ["EIO"], statuses: [74], ways: inputs),
    Row(calls: Calls(name: "pread64", on: .data, times: 1...4), errors: ["EIO"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "newfstatat", on: .data, times: 1...3), errors: ["EIO"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "close", on: .data), errors: ["EIO"], statuses: [], ways: holds),
    Row(calls: Calls(name: "read", on: .job, times: 1...2), errors: ["EIO"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "write", on: .newJob), errors: ["ENOSPC", "EIO"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "close", on: .newJob), errors: ["EIO"], statuses: [74], ways: holds),
    Row(calls: Calls(name: "socket"), errors: ["EMFILE", "ENOBUFS"], statuses: [69], ways: [.inputToPlain, .heldToPlain] + others),
    Row(calls: Calls(name: "connect"), errors: ["ENETUNREACH"], statuses: [69], ways: [.inputToPlain, .heldToPlain] + others),
    Row(calls: Calls(name: "pipe2", times: 1...2), errors: ["EMFILE"], statuses: [74], ways: [.inputToFile]),
    Row(calls: Calls(name: "read", on: .input), errors: ["EIO"], statuses: [65], ways: others),
    Row(calls: Calls(name: "pread64", on: .spool, times: 1...2), errors: ["EIO"], statuses: [74], ways: others),
    Row(calls: Calls(name: "execve", times: 1...2), errors: ["EIO", "ENOMEM"], statuses: [78], ways: [.inputToPlugin]),
  ]

  private let box = Sandbox.here
  /// Long enough for the writer thread to make more writes than any other.
  private let long: [UInt8]
  private let short: [UInt8]

  init() {
    var generator = SeededGenerator(5)
    long = generator.bytes(9_000_000)
    short = Array(long.prefix(700_000))
  }

  @Test("a call that fails ends the run as it should, and what is not uploaded is held or gone", arguments: rows)
  func fails(row: Row) async throws {
    for way in row.ways {
      let trial = try await trial(way, row.calls.times.lowerBound > 10 ? long : short)
      for error in row.errors {
        for time in row.calls.times {
          let fault = "\(row.calls.name):error=\(error):when=\(time)"
          let run = try await self.run(way, trial, fault, row.calls.on)
          let what = "\(way.rawValue), \(fault): \(run.summary)"
          // Not all calls of a kind belong to the bytes: one that fails may be of no account.
          let status = try #require(run.exit, "\(what)")
          #expect(status == 0 || row.statuses.contains(status), "\(what)")
          if status == 0 { #expect(try await trial.found() == .whole, "\(what)") }
          // What can't be unlinked stays for the next run.
          try await trial.settle(wasKilled: row.calls.name == "unlinkat", what)
        }
      }
    }
  }

  @Test(
    "a call that a signal interrupts is made again, and nobody sees it",
    arguments: [
      Calls(name: "read", on: .input), Calls(name: "pread64", on: .input), Calls(name: "pread64", on: .data), Calls(name: "write"),
      Calls(name: "openat", on: .spool), Calls(name: "close", on: .data), Calls(name: "close", on: .newJob), Calls(name: "flock"),
      Calls(name: "fsync"), Calls(name: "sendfile"), Calls(name: "poll"), Calls(name: "epoll_wait"), Calls(name: "waitid"),
      Calls(name: "wait4"), Calls(name: "ppoll"), Calls(name: "read", on: .job),
    ], Way.allCases)
  func interrupted(calls: Calls, way: Way) async throws {
    let isAboutHeld = [.data, .job, .newJob].contains(calls.on)
    guard isAboutHeld == way.isHeld || calls.on == .any || calls.on == .spool else { return }
    guard !InjectionTests.others.contains(way) || InjectionTests.sending.contains(calls.name) else { return }
    let trial = try await trial(way, short)
    let fault = "\(calls.name):error=EINTR:when=1+2"
    let run = try await self.run(way, trial, fault, calls.on)
    try run.success()
    #expect(try await trial.found() == .whole, "\(way), \(fault)")
    #expect(box.spoolNames.isEmpty)
  }

  @Test(
    "a run that dies at any call loses nothing that was complete",
    arguments: [
      Calls(name: "read", on: .input, times: 1...4), Calls(name: "write", times: 1...6), Calls(name: "write", times: 28...30),
      Calls(name: "mkdir"), Calls(name: "flock", times: 1...3), Calls(name: "openat", on: .spool, times: 1...6),
      Calls(name: "renameat", times: 1...3), Calls(name: "fsync", times: 1...4), Calls(name: "unlinkat", times: 1...2),
      Calls(name: "sendfile", times: 1...4), Calls(name: "connect"), Calls(name: "close", on: .spool, times: 1...4),
      Calls(name: "fchmod"), Calls(name: "exit_group"),
    ], [Way.inputToFile, .inputToPlain, .inputToSiYuan] + InjectionTests.others)
  func dies(calls: Calls, way: Way) async throws {
    guard !InjectionTests.others.contains(way) || InjectionTests.sending.contains(calls.name) else { return }
    var trial = try await trial(way, calls.times.lowerBound > 10 ? long : short)
    try await trial.plant(Array("what was there before\n".utf8))
    for time in calls.times {
      let fault = "\(calls.name):signal=SIGKILL:when=\(time)"
      let run = try await self.run(way, trial, fault, calls.on)
      let what = "\(way.rawValue), \(fault): \(run.summary)"
      #expect(run.exit == 0 || run.signal == SIGKILL, "\(what)")
      let isThere = run.exit == 0
      let end = try await trial.settle(wasKilled: true, what)
      if isThere, case .gone = end { Issue.record("success, and the object is gone: \(what)") }
      try await trial.plant(Array("what was there before\n".utf8))
    }
  }

  private func trial(_ way: Way, _ bytes: [UInt8]) async throws -> Trial {
    try box.file("in", bytes)
    return Trial(try await StoreBench(way.server, box), bytes)
  }

  /// Runs the client on this way, from the beginning or from an object that was held before.
  private func run(_ way: Way, _ trial: Trial, _ fault: String, _ on: Calls.File) async throws -> Finished {
    let input = "\(box.work)/in"
    var client: Program
    var id = ""
    switch way {
    case .inputToFile, .inputToPlain, .inputToSiYuan, .inputToAList, .inputToDAV, .inputToS3, .inputToPlugin:
      client = trial.bench.client(["--retries", "0", trial.destination], input: .file(input))
    case .fileToPlain, .fileToFile:
      client = box.client(["--retries", "0", "--input", input, trial.destination])
    case .heldToPlain, .heldToFile:
      id = try await hold(trial)
      client = box.client(["held", "push", "--retries", "0", id])
    }
    if trial.old == nil { try await trial.bench.plant(nil) }
    // A call that does not wait needs less than this; what hangs has failed.
    client.limit = .seconds(40)
    let paths: [Calls.File: String] = [
      .input: input, .spool: box.spool, .data: "\(box.spool)/\(id).data", .job: "\(box.spool)/\(id).json",
      .newJob: "\(box.spool)/\(id).json.new",
    ]
    let isPlugin = way == .inputToPlugin
    return try await box.start(Strace.injecting(fault, on: paths[on], sparesChildren: isPlugin, into: client)).finish()
  }

  /// Leaves the object in the spool, as a run that met a folder in the object's place.
  private func hold(_ trial: Trial) async throws -> String {
    let file = try #require(trial.bench.file(trial.name))
    try? FileManager.default.removeItem(atPath: file)
    try makeDirectory(file)
    let run = try await box.start(
      box.client(["--retries", "0", "--no-preflight", trial.destination], input: .file("\(box.work)/in"))
    ).finish()
    try FileManager.default.removeItem(atPath: file)
    return try #require(try run.result()["held"].text, "\(run.summary)")
  }
}

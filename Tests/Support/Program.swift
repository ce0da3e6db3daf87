import Foundation
import Synchronization

/// A program to be run, with everything it is given. Nothing of the test's own environment reaches it.
public struct Program: Sendable {
  /// Where standard input comes from.
  public enum Input: Sendable {
    /// `/dev/null`.
    case nothing
    case bytes([UInt8])
    /// A pipe that the test writes to by hand.
    case pipe
    /// A pipe that is full as long as somebody reads it, as of `yes`.
    case endless
    case file(String)
    case descriptor(Int32)
    case closed
  }

  /// Where standard output or error goes.
  public enum Output: Sendable {
    case captured
    case descriptor(Int32)
    case closed
  }

  public var path: String
  public var arguments: [String]
  public var environment: [String: String] = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
  public var directory = "/"
  public var input = Input.nothing
  public var output = Output.captured
  public var error = Output.captured
  /// After this the program is killed, and has failed the test.
  public var limit = Duration.seconds(90)
  public var measuresMemory = false
  /// A limit for the size of files that it writes.
  public var fileSizeLimit: Int?

  public init(_ path: String, _ arguments: [String]) {
    self.path = path
    self.arguments = arguments
  }

  public func start() throws -> RunningProgram { try RunningProgram(self) }

  public func run() async throws -> Finished { try await start().finish() }

  /// A program that was built beside the tests.
  public static func built(_ name: String) -> String {
    let bundle = (CommandLine.arguments[0] as NSString).deletingLastPathComponent
    let candidates = [ProcessInfo.processInfo.environment["SLUICE_BUILT"], bundle, bundle + "/..", bundle + "/../../.."].compactMap { $0 }
    return candidates.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 } ?? "\(bundle)/\(name)"
  }

  /// A program of the system; nil if it is not installed.
  public static func installed(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }
}

/// How a program ended, and what it said.
public struct Finished: Sendable {
  /// Its exit status; nil if a signal ended it.
  public var exit: Int32?
  public var signal: Int32?
  public var output: [UInt8]
  public var error: [UInt8]
  public var duration: Duration
  /// The most memory it held, in KiB; only if it was asked for.
  public var peakKiB: Int
  public var wasTooSlow: Bool
  /// True if a child that it left behind held one of its streams open.
  public var leftChild: Bool

  public var outputText: String { String(decoding: output, as: UTF8.self) }
  public var errorText: String { String(decoding: error, as: UTF8.self) }
}

public final class RunningProgram: Sendable {
  private struct State {
    var output: [UInt8] = []
    var error: [UInt8] = []
    var openStreams = 0
    var isReaped = false
    var wasTooSlow = false
    var peakKiB = 0
    var input: Int32 = -1
    var finished: Finished?
    var waiting: [CheckedContinuation<Finished, Never>] = []
  }

  public let pid: Int32
  private let start = ContinuousClock.now
  private let state = Mutex(State())

  fileprivate init(_ program: Program) throws {
    _ = ignoredBrokenPipes
    var ends = Ends()
    defer { ends.closeChildEnds() }
    let input = try ends.input(program.input)
    let output = try ends.output(program.output)
    let error = try ends.output(program.error)
    pid = try Self.spawn(program, input, output.child, error.child)
    if program.measuresMemory { thread { self.sampleMemory() } }
    var streams: [(descriptor: Int32, isError: Bool)] = []
    if let read = output.read { streams.append((read, false)) }
    if let read = error.read { streams.append((read, true)) }
    state.withLock { $0.openStreams = streams.count }
    for (descriptor, isError) in streams { thread { self.collect(descriptor, isError: isError) } }
    if let write = ends.inputWriter {
      switch program.input {
      case .bytes(let bytes):
        thread {
          writeAll(bytes, to: write)
          close(write)
        }
      case .endless:
        thread {
          while writeAll(endlessBlock, to: write) {}
          close(write)
        }
      default: state.withLock { $0.input = write }
      }
    }
    thread { self.awaitEnd() }
    let limit = program.limit
    DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(limit / .milliseconds(1)))) { [weak self] in
      self?.killAsTooSlow()
    }
  }

  /// What it has written to standard output so far.
  public var outputSoFar: [UInt8] { state.withLock { $0.output } }
  public var errorSoFar: String { String(decoding: state.withLock { $0.error }, as: UTF8.self) }
  public var hasEnded: Bool { state.withLock { $0.isReaped } }

  /// Sends a signal, unless it has ended.
  public func signal(_ number: Int32) {
    state.withLock { state in
      if !state.isReaped { _ = kill(pid, number) }
    }
  }

  /// Writes to the pipe of `.pipe`. Returns false if nobody reads it any more.
  @discardableResult
  public func write(_ bytes: [UInt8]) async -> Bool {
    let descriptor = state.withLock { $0.input }
    return await onThread { writeAll(bytes, to: descriptor) }
  }

  /// Ends the input of `.pipe`.
  public func closeInput() {
    let descriptor = state.withLock { state in
      defer { state.input = -1 }
      return state.input
    }
    if descriptor >= 0 { close(descriptor) }
  }

  /// Waits until it has ended and all that it wrote is here.
  public func finish() async -> Finished {
    await withCheckedContinuation { continuation in
      let finished = state.withLock { state -> Finished? in
        if state.finished == nil { state.waiting.append(continuation) }
        return state.finished
      }
      if let finished { continuation.resume(returning: finished) }
    }
  }

  /// Ends it, with all that it started.
  public func stop() async {
    signal(SIGKILL)
    closeInput()
    _ = await finish()
  }

  private func killAsTooSlow() {
    state.withLock { state in
      guard !state.isReaped else { return }
      state.wasTooSlow = true
      kill(-pid, SIGKILL)
    }
  }

  private func awaitEnd() {
    var info = siginfo_t()
    while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
    let duration = ContinuousClock.now - start
    var status: Int32 = 0
    state.withLock { state in
      _ = waitpid(pid, &status, 0)
      state.isReaped = true
    }
    // A child that was left behind could hold the pipes open for ever.
    let patience = ContinuousClock.now + .seconds(5)
    var leftChild = false
    while !leftChild, state.withLock({ $0.openStreams }) > 0 {
      usleep(1000)
      leftChild = ContinuousClock.now > patience
    }
    kill(-pid, SIGKILL)
    closeInput()
    let signal = status & 0x7f
    let (finished, waiting) = state.withLock { state in
      let finished = Finished(
        exit: signal == 0 ? (status >> 8) & 0xff : nil, signal: signal == 0 ? nil : signal, output: state.output, error: state.error,
        duration: duration, peakKiB: state.peakKiB, wasTooSlow: state.wasTooSlow, leftChild: leftChild)
      state.finished = finished
      defer { state.waiting = [] }
      return (finished, state.waiting)
    }
    for continuation in waiting { continuation.resume(returning: finished) }
  }

  private func collect(_ descriptor: Int32, isError: Bool) {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      let more = buffer[..<count]
      state.withLock { state in
        if isError { state.error += more } else { state.output += more }
      }
    }
    close(descriptor)
    state.withLock { $0.openStreams -= 1 }
  }

  /// `VmHWM`, as the usage that `wait4` gives counts the test's own memory at the time of the fork.
  private func sampleMemory() {
    while !hasEnded {
      if let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
        let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
        let peak = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) ?? Int(line.filter(\.isNumber))
      {
        state.withLock { $0.peakKiB = max($0.peakKiB, peak) }
      }
      usleep(5000)
    }
  }

  private static func spawn(_ program: Program, _ input: Int32?, _ output: Int32?, _ error: Int32?) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, source) in [(0, input), (1, output), (2, error)] as [(Int32, Int32?)] {
      if let source {
        posix_spawn_file_actions_adddup2(&actions, source, target)
      } else {
        posix_spawn_file_actions_addclose(&actions, target)
      }
    }
    #if os(Linux)
      _ = Libc.addCloseFrom(&actions, 3)
    #endif
    _ = Libc.addChangeDirectory(&actions, program.directory)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP
    #if !os(Linux)
      flags |= POSIX_SPAWN_CLOEXEC_DEFAULT
    #endif
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var signals = sigset_t()
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)

    var words = [program.path] + program.arguments
    if let limit = program.fileSizeLimit {
      words = ["/bin/sh", "-c", "ulimit -f \(limit / 512); exec \"$0\" \"$@\""] + words
    }
    let argv = words.map { strdup($0) } + [nil]
    let envp = program.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var pid: Int32 = 0
    let result = posix_spawn(&pid, words[0], &actions, &attributes, argv, envp)
    guard result == 0 else { throw ProgramError(description: "cannot start \(words[0]): \(String(cString: strerror(result)))") }
    return pid
  }
}

/// A program that could not be started.
public struct ProgramError: Error, CustomStringConvertible {
  public let description: String

  public init(description: String) {
    self.description = description
  }
}

/// The descriptors of a start: those that the child gets, closed here afterwards, and the other ends.
private struct Ends {
  private var childEnds: [Int32] = []
  private(set) var inputWriter: Int32?

  mutating func input(_ input: Program.Input) throws -> Int32? {
    switch input {
    case .nothing: return try opened("/dev/null", O_RDONLY)
    case .file(let path): return try opened(path, O_RDONLY)
    case .descriptor(let descriptor): return descriptor
    case .closed: return nil
    case .bytes, .pipe, .endless:
      let pipe = try PipeEnds()
      childEnds.append(pipe.read)
      inputWriter = pipe.write
      return pipe.read
    }
  }

  mutating func output(_ output: Program.Output) throws -> (child: Int32?, read: Int32?) {
    switch output {
    case .closed: return (nil, nil)
    case .descriptor(let descriptor): return (descriptor, nil)
    case .captured:
      let pipe = try PipeEnds()
      childEnds.append(pipe.write)
      return (pipe.write, pipe.read)
    }
  }

  func closeChildEnds() {
    for descriptor in childEnds { close(descriptor) }
  }

  private mutating func opened(_ path: String, _ flags: Int32) throws -> Int32 {
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw ProgramError(description: "cannot open \(path): \(String(cString: strerror(errno)))") }
    childEnds.append(descriptor)
    return descriptor
  }
}

/// Both ends of a pipe; whoever makes it closes them.
public struct PipeEnds: Sendable {
  public let read: Int32
  public let write: Int32

  public init() throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw ProgramError(description: "no pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (read, write) = (ends[0], ends[1])
  }
}

/// Runs blocking work on a thread of its own, so that the few threads of Swift's tasks stay free.
public func onThread<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in
    thread { continuation.resume(returning: work()) }
  }
}

func thread(_ work: @escaping @Sendable () -> Void) {
  let thread = Thread(block: work)
  thread.stackSize = 512 * 1024
  thread.start()
}

/// Returns false if nobody reads any more. Blocks.
@discardableResult
func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
  bytes.withUnsafeBytes { bytes in
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        return false
      }
      rest = rest.dropFirst(count)
    }
    return true
  }
}

/// Writes until nobody reads any more, but for a bound.
private func writeEndlessly(to descriptor: Int32) {
  for _ in 0..<endlessBlocks {
    guard writeAll(endlessBlock, to: descriptor) else { break }
  }
  close(descriptor)
}

/// 2 GiB seem without end to a test that expects them to be refused, and do not fill the disk if they are not.
private let endlessBlocks = 1 << 15
private let endlessBlock = [UInt8](repeating: UInt8(ascii: "y"), count: 1 << 16)
/// A program under test may go while it is written to.
private let ignoredBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

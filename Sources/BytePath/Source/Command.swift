import Subprocess

// swift-subprocess speaks in the system's own types where there are some.
#if canImport(System)
  import System
#else
  import SystemPackage
#endif

/// A child process of a run: the command that makes the input or reads the object, a `--through` filter or a `--check` guard.
public struct Command: Sendable {
  private static let hasTerminal = (try? Descriptor.open("/dev/tty", O_RDONLY | O_NOCTTY)) != nil

  /// What the user wrote, for messages: `the command pg_dump`, `the filter zstd -9`.
  public let description: String
  /// The program or line as the user wrote it.
  private let line: String
  /// Nil if there is no such program.
  private let executable: Executable?
  private let arguments: [String]

  /// A program, looked up in PATH, with its arguments.
  public init(program words: [String]) {
    description = "the command \(words[0])"
    line = words[0]
    executable = (words[0].contains("/") ? words[0] : ProgramSearch.path(of: words[0])).map { .path(FilePath($0)) }
    arguments = Array(words.dropFirst())
  }

  /// Asks whether there is such a program.
  ///
  /// - Throws: `input` if not.
  public func checkFound() throws(Failure) { if executable == nil { throw notFound } }

  /// A line for `sh -c`.
  init(shell line: String, role: String) {
    description = "the \(role) \(line)"
    self.line = line
    executable = .path("/bin/sh")
    arguments = ["-c", line]
  }

  /// Runs the command to its end. Its standard error is the program's own. The descriptors are closed in this process once it has
  /// started. A cancelled task sends it, and where it can its children, SIGTERM and, two seconds later, SIGKILL.
  ///
  /// - Parameter started: told its process ID.
  /// - Returns: nil for success, otherwise how it ended: `exited with status 3`.
  /// - Throws: a failure of kind `input` if it could not be started.
  public func run(
    input: Descriptor?, output: Descriptor?, started: @escaping @Sendable (Int32) -> Void = { _ in }
  ) async throws(Failure) -> String? {
    var options = PlatformOptions()
    // With a terminal the child must stay in the foreground group: it may ask for a password, and Ctrl-C reaches it and its children there.
    // Without one (cron, systemd, CI) it leads a group of its own, so that all of its children can be ended.
    if !Command.hasTerminal { options.processGroupID = 0 }
    options.teardownSequence = [.gracefulShutDown(toProcessGroup: !Command.hasTerminal, allowedDurationToNextStep: .seconds(2))]
    let status: TerminationStatus
    guard let executable else { throw notFound }
    do {
      status = try await run(executable, options, input: input, output: output, started)
    } catch let error as SubprocessError where error.code == .executableNotFound {
      throw notFound
    } catch {
      if !Task.isCancelled, let problem = ScriptHead.problem(of: line) { throw Failure(.input, "cannot start \(description): \(problem)") }
      throw Task.isCancelled ? .interrupted : Failure(.input, "cannot start \(description): \(error)")
    }
    switch status {
    case .exited(0): return nil
    case .exited(let code):
      return "exited with status \(code)" + (ScriptHead.problem(of: line, exitStatus: code).map { ": \($0)" } ?? "")
    case .signaled(let signal): return "was ended by signal \(signal)"
    }
  }

  private var notFound: Failure {
    if let problem = ScriptHead.problem(of: line) { return Failure(.input, "cannot start \(description): \(problem)") }
    return Failure(.input, "\(description) was not found", hint: "check its name and PATH")
  }

  private func run(
    _ executable: Executable, _ options: PlatformOptions, input: Descriptor?, output: Descriptor?, _ started: @Sendable (pid_t) -> Void
  ) async throws -> TerminationStatus {
    // Without a descriptor of its own a child gets ours: a command may ask a question, a guard may print.
    let source: FileDescriptorInput =
      input.map { .fileDescriptor(FileDescriptor(rawValue: $0.raw), closeAfterSpawningProcess: false) } ?? .currentStandardInput
    let target: FileDescriptorOutput =
      output.map { .fileDescriptor(FileDescriptor(rawValue: $0.raw), closeAfterSpawningProcess: false) } ?? .currentStandardError
    return try await Subprocess.run(
      executable, arguments: Arguments(arguments), environment: ChildEnvironment.inherited(), platformOptions: options, input: source,
      output: target, error: .currentStandardError
    ) { execution in
      started(execution.processIdentifier.value)
      try? input?.close()
      try? output?.close()
    }.terminationStatus
  }
}

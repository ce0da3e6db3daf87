import Subprocess

// swift-subprocess speaks in the system's own types where there are some.
#if canImport(System)
  import System
#else
  import SystemPackage
#endif

/// A child process of a run: the command that makes the input, a `--through` filter or a `--check` guard.
struct Command: Sendable {
  private static let hasTerminal = (try? Descriptor.open("/dev/tty", O_RDONLY | O_NOCTTY)) != nil

  /// What the user wrote, for messages: `the command pg_dump`, `the filter zstd -9`.
  let description: String
  private let executable: Executable
  private let arguments: [String]

  /// A program, looked up in PATH, with its arguments.
  init(program words: [String]) {
    description = "the command \(words[0])"
    executable = words[0].contains("/") ? .path(FilePath(words[0])) : .name(words[0])
    arguments = Array(words.dropFirst())
  }

  /// A line for `sh -c`.
  init(shell line: String, role: String) {
    description = "the \(role) \(line)"
    executable = .path("/bin/sh")
    arguments = ["-c", line]
  }

  /// Runs the command to its end. Its standard error is the program's own. The descriptors are closed in this process once it has
  /// started. A cancelled task sends it, and where it can its children, SIGTERM and, two seconds later, SIGKILL.
  ///
  /// - Returns: nil for success, otherwise how it ended: `exited with status 3`.
  /// - Throws: a failure of kind `input` if it could not be started.
  func run(input: Descriptor?, output: Descriptor?) async throws(Failure) -> String? {
    var options = PlatformOptions()
    // With a terminal the child must stay in the foreground group: it may ask for a password, and Ctrl-C reaches it and its children there.
    // Without one (cron, systemd, CI) it leads a group of its own, so that all of its children can be ended.
    if !Command.hasTerminal { options.processGroupID = 0 }
    options.teardownSequence = [.gracefulShutDown(toProcessGroup: !Command.hasTerminal, allowedDurationToNextStep: .seconds(2))]
    let status: TerminationStatus
    do {
      status = try await run(options, input: input, output: output)
    } catch let error as SubprocessError where error.code == .executableNotFound {
      throw Failure(.input, "\(description) was not found", hint: "check its name and PATH")
    } catch {
      throw Task.isCancelled ? .interrupted : Failure(.input, "cannot start \(description): \(error)")
    }
    switch status {
    case .exited(0): return nil
    case .exited(let code): return "exited with status \(code)"
    case .signaled(let signal): return "was ended by signal \(signal)"
    }
  }

  private func run(_ options: PlatformOptions, input: Descriptor?, output: Descriptor?) async throws -> TerminationStatus {
    // Without a descriptor of its own a child gets ours: a command may ask a question, a guard may print.
    let source: FileDescriptorInput =
      input.map { .fileDescriptor(FileDescriptor(rawValue: $0.raw), closeAfterSpawningProcess: false) } ?? .currentStandardInput
    let target: FileDescriptorOutput =
      output.map { .fileDescriptor(FileDescriptor(rawValue: $0.raw), closeAfterSpawningProcess: false) } ?? .currentStandardError
    return try await Subprocess.run(
      executable, arguments: Arguments(arguments), environment: ChildEnvironment.inherited(), platformOptions: options, input: source,
      output: target, error: .currentStandardError
    ) { _ in
      try? input?.close()
      try? output?.close()
    }.terminationStatus
  }
}

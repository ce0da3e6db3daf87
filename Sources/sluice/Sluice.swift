import ArgumentParser
import BytePath
import Endpoints

/// The version, in one place.
let version = "0.1.0"

/// The commands. `put` is the default.
struct Sluice: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "Get a stream into storage, whole or not at all.",
    discussion: """
      Reads standard input, a named pipe or a command's output, spools it, uploads it with an exact Content-Length, and prints one JSON result \
      per destination.

      pg_dump db | sluice -z dav+http://nas/backup/db.sql.gz
      sluice -z nas:/backup/db.sql.gz -- pg_dump db
      """,
    subcommands: [
      Put.self, Get.self, Verify.self, ListDirectories.self, MakeDirectory.self, Check.self, Held.self, ListEndpoints.self,
    ],
    defaultSubcommand: Put.self)
}

/// A command that ends with an exit status of its own rather than by throwing.
protocol RunnableCommand: AsyncParsableCommand {
  func execute(_ console: Console) async -> Int32
  var verbosity: Messages.Verbosity { get }
  /// Whether a command may stand after `--`.
  static var takesCommand: Bool { get }
}

extension RunnableCommand {
  static var takesCommand: Bool { false }
}

@main
enum Main {
  /// Not async: the main thread is the one that waits for signals.
  static func main() {
    let words = CommandLine.arguments.dropFirst()
    let arguments = Array(words.prefix { $0 != "--" })
    let command = words.count > arguments.count ? Array(words.dropFirst(arguments.count + 1)) : nil
    openMissingDescriptors()
    ChildEnvironment.hide(builtInEndpoints.compactMap { $0.kind.tokenVariable })
    hidePasswords()
    let signals = Signals()
    signals.install()
    if arguments.contains(where: { $0 == "--version" || $0 == "-V" }) { exit(print("sluice \(version)", Messages())) }
    do throws(Failure) { try OpenFiles().reserve() } catch {
      Messages().failure(error)
      exit(error.kind.exitStatus(signal: nil))
    }
    Task.detached { exit(await run(arguments, command: command, signals)) }
    signals.waitForever()
  }

  /// The words after `--` are taken off before the parser, which has no room for them behind a list of destinations.
  private static func run(_ arguments: [String], command words: [String]?, _ signals: Signals) async -> Int32 {
    let messages = Messages()
    let command: any RunnableCommand
    do {
      try checkEncoding()
      // What most people look for are the options of the default command.
      if ["-h", "--help", "help"].contains(arguments.first), arguments.count == 1 { throw CleanExit.helpRequest(Put.self) }
      // Parsing for the one command takes a third less time than finding it among all, and a small upload takes little more.
      let isNamed = Sluice.configuration.subcommands.contains { $0._commandName == arguments.first }
      var parsed: any ParsableCommand =
        try isNamed || arguments.first == "help" ? Sluice.parseAsRoot(arguments) : Put.parseAsRoot(arguments)
      guard let runnable = parsed as? any RunnableCommand else {
        // The parser's own help command, whose run throws the text.
        try parsed.run()
        return 0
      }
      guard words == nil || type(of: runnable).takesCommand else { throw ValidationError("only put and get take a command after --") }
      guard words?.isEmpty != true else { throw ValidationError("there is no command after --") }
      command = runnable
    } catch {
      return report(error, messages)
    }
    messages.verbosity = command.verbosity
    let console = Console(messages: messages, signals: signals, command: words ?? [])
    let task = Task { await command.execute(console) }
    signals.onFirst {
      task.cancel()
      messages.stopWaiting()
    }
    return await task.value
  }

  /// Help goes to standard output; what is wrong with the arguments is said in one line, with what to do next in another.
  private static func report(_ error: any Error, _ messages: Messages) -> Int32 {
    if let failure = error as? Failure {
      messages.failure(failure)
      return failure.kind.exitStatus(signal: nil)
    }
    let code = Sluice.exitCode(for: error)
    if code.isSuccess {
      return print(Sluice.fullMessage(for: error), messages)
    }
    let text = Sluice.message(for: error).split(whereSeparator: \.isNewline).joined(separator: "; ")
    messages.failure(Failure(.usage, text.prefix(1).lowercased() + text.dropFirst(), hint: "sluice --help shows the options"))
    return Failure.Kind.usage.exitStatus(signal: nil)
  }

  /// Prints what was asked for, and returns the exit status.
  private static func print(_ text: String, _ messages: Messages) -> Int32 {
    guard let report = try? Report(path: nil, messages) else { return 0 }
    report.line(text)
    return report.endOfList(0)
  }

  /// A path that is not UTF-8 would be changed on its way into a `String`.
  private static func checkEncoding() throws(Failure) {
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { continue }
      guard String(validatingCString: argument) != nil else {
        throw Failure(.usage, "argument \(index) is not UTF-8", hint: "give names in UTF-8")
      }
    }
  }

  /// Replaces the passwords of URLs where `ps` reads the arguments; `CommandLine.arguments` has them still.
  private static func hidePasswords() {
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index], let text = String(validatingCString: argument) else { continue }
      let shown = Array(URLText.redactedWhole(text).utf8)
      guard shown.count <= strlen(argument) else { continue }
      for (offset, byte) in shown.enumerated() { argument[offset] = CChar(bitPattern: byte) }
      memset(argument + shown.count, 0, strlen(argument) - shown.count)
    }
  }

  /// With 0, 1 or 2 closed, the next file opened would get that number, and be read or written as the stream it is not.
  private static func openMissingDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}

/// What every command is given besides its options: the way to the user, what signals came, and the command that makes the input or reads the
/// object.
struct Console: Sendable {
  let messages: Messages
  let signals: Signals
  /// What stands after `--`.
  let command: [String]

  /// What is told of a run that a signal has ended.
  var interruption: Failure {
    let name = [SIGINT: "SIGINT", SIGTERM: "SIGTERM", SIGHUP: "SIGHUP"][signals.first ?? SIGINT] ?? "a signal"
    return Failure(.interrupted, "interrupted by \(name)")
  }
}

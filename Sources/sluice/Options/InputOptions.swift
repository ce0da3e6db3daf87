import ArgumentParser
import BytePath
import Endpoints

/// Where the stream comes from and what becomes of it before it is sent.
struct InputOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Read a named pipe or a regular file instead of standard input.", valueName: "path"))
  var input: String?
  @Flag(name: [.customShort("z"), .long], help: "Compress with gzip.")
  var gzip = false
  @Option(
    help: ArgumentHelp("Of gzip, 1 (fast) to 9 (small), or auto, as the input's pace allows; 6 by default.", valueName: "n"),
    transform: gzipLevel)
  var level: GzipLevel?
  @Option(help: ArgumentHelp("That compress; all cores by default.", valueName: "n"))
  var threads: Int?
  @Option(parsing: .singleValue, help: ArgumentHelp("A filter for sh -c, after gzip (repeatable).", valueName: "command"))
  var through: [String] = []
  @Option(
    parsing: .singleValue,
    help: ArgumentHelp("Must accept the input as it came, or nothing is uploaded (repeatable).", valueName: "command"))
  var check: [String] = []
  @Option(help: ArgumentHelp("How long a check may take no bytes, or go on after the last (10m).", valueName: "duration"))
  var checkTimeout: TimeSpan?
  @Option(help: ArgumentHelp("A shorter input is not uploaded.", valueName: "size"))
  var minSize: Size?
  @Flag(help: "Copy the input to standard output; needs --result.")
  var tee = false

  func validate() throws {
    if !gzip {
      if level != nil { throw ValidationError("--level has no effect without --gzip") }
      if threads != nil { throw ValidationError("--threads has no effect without --gzip") }
    }
    if checkTimeout != nil, check.isEmpty { throw ValidationError("--check-timeout has no effect without --check") }
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads takes a number from 1 to 1024") }
  }

  /// - Parameters:
  ///   - destinations: as they were written: one may have been meant as the input.
  ///   - isRead: false if the input is only described, so that a terminal is no obstacle.
  /// - Throws: `usage` if there is not exactly one input.
  func plan(
    command: [String], destinations: [String], isRead: Bool, copyEnded: @escaping @Sendable (SystemError) -> Void
  ) throws(Failure) -> FillPlan {
    let hint = destinations.lazy.compactMap(Destination.existingFile).first.map(Destination.inputHint)
    var plan = FillPlan(input: try source(command, isRead: isRead, hint: hint))
    if let hint { plan.hintIfEmpty = hint }
    if gzip { plan.gzip = GzipOptions(level: level ?? .fixed(6), threads: threads ?? processorCount()) }
    plan.filters = through
    plan.guards = check
    if let checkTimeout { plan.guardPatience = checkTimeout.duration }
    plan.minimumBytes = minSize?.bytes
    if tee { plan.tee = Descriptor(adopting: STDOUT_FILENO) }
    plan.copyEnded = copyEnded
    return plan
  }

  private func source(_ command: [String], isRead: Bool, hint: String?) throws(Failure) -> Input {
    if let input {
      guard command.isEmpty else { throw Failure(.usage, "--input and a command are two inputs", hint: "leave out one of them") }
      return .path(input)
    }
    guard command.isEmpty else { return .command(command) }
    guard !isRead || isatty(STDIN_FILENO) == 0 else {
      throw Failure(
        .usage, "standard input is a terminal",
        hint: hint ?? "pipe something into sluice, name a file with --input, or a command after --")
    }
    return .standardInput
  }

  private func processorCount() -> Int {
    max(1, Int(sysconf(CInt(_SC_NPROCESSORS_ONLN))))
  }
}

private func gzipLevel(_ text: String) throws -> GzipLevel {
  if text == "auto" { return .automatic }
  guard text.count == 1, let level = Int(text), level > 0 else { throw ValidationError("--level takes a number from 1 to 9, or auto") }
  return .fixed(level)
}

import ArgumentParser
import BytePath
import Endpoints

/// `sluice held drop`: discard what is held.
struct HeldDrop: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "drop", abstract: "Discard them.")

  @OptionGroup var selection: HeldSelection
  @Option(help: ArgumentHelp("Those whose input ended longer ago, such as 30d.", valueName: "duration"))
  var olderThan: TimeSpan?
  @Flag(name: .shortAndLong, help: "Do not ask.")
  var yes = false

  var verbosity: Messages.Verbosity { .normal }

  func validate() throws {
    guard (selection.all || olderThan != nil) != !selection.ids.isEmpty else {
      throw ValidationError("give one or more IDs, --older-than or --all")
    }
  }

  func execute(_ console: Console) async -> Int32 {
    var status: Int32 = 0
    do throws(Failure) {
      let selected = try selection.open().filter { isOld($0.id) }
      guard try await confirms(selected) else { return 0 }
      for (directory, id) in selected {
        do throws(Failure) {
          guard let spool = try selection.spool(id, in: directory, console.messages) else { continue }
          let job = try? HeldJob(reading: id, in: directory)
          if directory.isTransient, let index = try? SpoolPlace.index.get() { index.forget(id) }
          spool.remove()
          guard let job else { continue }
          for index in job.destinations.indices { RunOrder.forget(id, job, index, in: SpoolPlace(option: selection.spoolDir)) }
        } catch {
          console.messages.failure(error)
          if status == 0 { status = error.kind.exitStatus(signal: nil) }
        }
      }
    } catch {
      console.messages.failure(error)
      status = error.kind.exitStatus(signal: console.signals.first)
    }
    return status
  }

  private func isOld(_ id: String) -> Bool {
    guard let olderThan, selection.ids.isEmpty else { return true }
    guard let made = Spool.milliseconds(of: id) else { return false }
    return millisecondsNow() - made > Int64(olderThan.duration / .milliseconds(1))
  }

  /// A person at the terminal is asked there, and nobody else: standard input may be the list of something. What a script says is meant.
  ///
  /// - Throws: `interrupted`.
  private func confirms(_ selected: [(directory: SpoolDirectory, id: String)]) async throws(Failure) -> Bool {
    guard !yes, !selected.isEmpty, isatty(STDERR_FILENO) == 1,
      let terminal = try? Descriptor.open("/dev/tty", O_RDWR)
    else { return true }
    let jobs = selected.map { try? HeldJob(reading: $0.id, in: $0.directory) }
    let bytes = jobs.reduce(Int64(0)) { $0.addingSaturated($1?.bytes ?? 0) }
    var what = "\(selected.count) objects of \(ProgressLine.size(bytes))"
    if selected.count == 1 {
      let job = jobs[0].map { "\(ProgressLine.size($0.bytes)) for \($0.destinations.map(\.text).joined(separator: " "))" }
      what = "\(selected[0].id) (\(job ?? "its job can't be read"))"
    }
    let question = Question("sluice: discard \(Messages.printable(what))? [y/N] ", on: terminal)
    let answer = try await onThread { (isCancelled) throws(Failure) in try question.answer(unless: isCancelled) }
    return answer.lowercased().hasPrefix("y")
  }
}

/// A question on the terminal that the process belongs to.
private final class Question: Sendable {
  private let text: String
  private let terminal: Descriptor

  init(_ text: String, on terminal: Descriptor) {
    self.text = text
    self.terminal = terminal
  }

  /// The line that was typed; an empty one if none can be. Blocks.
  ///
  /// - Throws: `interrupted` after a signal.
  func answer(unless isCancelled: CancelFlag) throws(Failure) -> String {
    guard (try? terminal.writeAll(text)) != nil else { return "" }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 1)
    defer { buffer.deallocate() }
    while !isCancelled.isSet {
      var wanted = pollfd(fd: terminal.raw, events: Int16(POLLIN), revents: 0)
      guard poll(&wanted, 1, 200) > 0 else { continue }
      guard let count = try? terminal.read(into: buffer) else { return "" }
      return String(decoding: buffer[..<count], as: UTF8.self)
    }
    throw .interrupted
  }
}

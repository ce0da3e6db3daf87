import ArgumentParser
import BytePath
import Endpoints

/// `sluice held`: spools kept after an upload that did not succeed.
struct Held: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List, send or discard what was kept after a failed upload.",
    subcommands: [HeldList.self, HeldPush.self, HeldDrop.self], defaultSubcommand: HeldList.self)
}

/// Which spools a command is about.
struct HeldSelection: ParsableArguments {
  @Flag(help: "All of them.")
  var all = false
  @Option(help: ArgumentHelp("Where they are kept.", valueName: "dir"))
  var spoolDir: String?
  @Argument(help: ArgumentHelp("As in the list.", valueName: "id"))
  var ids: [String] = []

  func validate() throws {
    guard all != !ids.isEmpty else { throw ValidationError("give one or more IDs, or --all") }
  }

  /// The selected spools: each ID with the folder that it is in, or would be.
  ///
  /// - Throws: `spool` if the folder can't be used.
  func open() throws(Failure) -> [(directory: SpoolDirectory, id: String)] {
    let all = try HeldSelection.all(in: spoolDir)
    if self.all { return all }
    let directory = try SpoolPlace(option: spoolDir).open()
    return ids.map { id in all.first { $0.id == id.uppercased() } ?? (directory, id.uppercased()) }
  }

  /// What is held in the folder, or, if none is named, in the usual one and beside files.
  ///
  /// - Throws: `spool` if the folder can't be used.
  static func all(in option: String?) throws(Failure) -> [(directory: SpoolDirectory, id: String)] {
    let directory = try SpoolPlace(option: option).open()
    let here = try directory.completeIDs().map { (directory, $0) }
    guard option == nil else { return here }
    let elsewhere = try directory.idsElsewhere().compactMap { id in directory.other(having: id).map { ($0, id) } }
    return (here + elsewhere).sorted { $0.1 < $1.1 }
  }

  /// Opens one of them. Of all there are, one that another process is sending, or has sent since they were listed, is left to it: nil.
  ///
  /// - Throws: `usage` if there is none of this ID, `spool` if it is in use or can't be opened.
  func spool(_ id: String, in directory: SpoolDirectory, _ messages: Messages) throws(Failure) -> Spool? {
    do throws(Failure) {
      if let spool = try Spool.open(id, in: directory) { return spool }
    } catch {
      guard all, error.isRetryable else { throw error }
      messages.note("\(error.message), and is left to it")
      return nil
    }
    guard all else { throw Failure(.usage, "there is no held spool \(id)", hint: "sluice held lists them") }
    return nil
  }
}

struct HeldList: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List them; JSON lines if not on a terminal.")

  @Option(help: ArgumentHelp("Where they are kept.", valueName: "dir"))
  var spoolDir: String?

  var verbosity: Messages.Verbosity { .normal }

  func execute(_ console: Console) async -> Int32 {
    do throws(Failure) {
      let report = try Report(path: nil, console.messages)
      for (directory, id) in try HeldSelection.all(in: spoolDir) {
        do throws(Failure) {
          guard let spool = try Spool.open(id, in: directory) else { continue }
          report.line(isatty(STDOUT_FILENO) == 1 ? row(id, try HeldJob(reading: spool)) : json(id, try HeldJob(reading: spool)))
        } catch {
          console.messages.warning(error.message)
        }
      }
      return report.endOfList(0)
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: nil)
    }
  }

  private func row(_ id: String, _ job: HeldJob) -> String {
    let waiting = job.destinations.filter { !$0.isDone }.map { Messages.printable($0.text) }
    return "\(id)  \(ProgressLine.size(job.bytes))  \(waiting.joined(separator: " "))"
  }

  private func json(_ id: String, _ job: HeldJob) -> String {
    var text = JSONText()
    text.add("id", id)
    text.add("created", job.created)
    text.add("bytes", job.bytes)
    text.add("sha256", job.sha256)
    let destinations = job.destinations.filter { !$0.isDone }.map { destination in
      var text = JSONText()
      text.add("destination", destination.text)
      text.add("error", destination.error)
      return text.text
    }
    text.add("destinations", json: "[\(destinations.joined(separator: ","))]")
    return text.text
  }
}

struct HeldDrop: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "drop", abstract: "Discard them.")

  @OptionGroup var selection: HeldSelection

  var verbosity: Messages.Verbosity { .normal }

  func execute(_ console: Console) async -> Int32 {
    var status: Int32 = 0
    do throws(Failure) {
      for (directory, id) in try selection.open() {
        do throws(Failure) {
          guard let spool = try selection.spool(id, in: directory, console.messages) else { continue }
          guard confirms(id, try? HeldJob(reading: spool)) else { continue }
          if directory.isTransient, let index = try? SpoolPlace.index.get() { index.forget(id) }
          spool.remove()
        } catch {
          console.messages.failure(error)
          if status == 0 { status = error.kind.exitStatus(signal: nil) }
        }
      }
    } catch {
      console.messages.failure(error)
      status = error.kind.exitStatus(signal: nil)
    }
    return status
  }

  /// On a terminal a person is asked; what a script says is meant.
  private func confirms(_ id: String, _ job: HeldJob?) -> Bool {
    guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else { return true }
    let what = job.map { "\(ProgressLine.size($0.bytes)) for \($0.destinations.map(\.text).joined(separator: " "))" } ?? "a damaged job"
    try? Descriptor.standardError.writeAll("sluice: discard \(id) (\(Messages.printable(what)))? [y/N] ")
    return readLine()?.lowercased().hasPrefix("y") ?? false
  }
}

extension Descriptor {
  /// For a question, which is no message: it waits on its line for the answer.
  fileprivate static let standardError = Descriptor(adopting: STDERR_FILENO)
}

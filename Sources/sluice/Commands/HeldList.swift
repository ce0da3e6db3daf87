import ArgumentParser
import BytePath
import Endpoints

/// `sluice held list`: what is held, for whom and why. It takes no lock, so that nobody who sends one meanwhile is told that it is in use.
struct HeldList: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List them; JSON lines if not on a terminal.")

  @Option(help: ArgumentHelp("Where they are kept.", valueName: "dir"))
  var spoolDir: String?

  var verbosity: Messages.Verbosity { .normal }

  func execute(_ console: Console) async -> Int32 {
    do throws(Failure) {
      let report = try Report(path: nil, console.messages)
      let isTable = isatty(STDOUT_FILENO) == 1
      var rows: [[String]] = []
      for (directory, id) in try HeldSelection.all(in: spoolDir) {
        do throws(Failure) {
          guard let job = try HeldJob(reading: id, in: directory) else { continue }
          if isTable { rows += HeldList.rows(id, job) } else { report.line(HeldList.json(id, job).text) }
        } catch {
          console.messages.warning(error.message + (error.hint.map { "; \($0)" } ?? ""))
        }
      }
      let header = ["ID", "AGE", "SIZE", "DESTINATION", "REASON"]
      for line in rows.isEmpty ? [] : Table.lines([header] + rows, endingTogether: [1, 2]) { report.line(line) }
      return report.endOfList(0)
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: nil)
    }
  }

  /// A row for each destination that still misses the object.
  private static func rows(_ id: String, _ job: HeldJob) -> [[String]] {
    job.destinations.filter { !$0.isDone }.map { destination in
      [id, age(of: job), ProgressLine.size(job.bytes), destination.text, reason(destination)].map(Messages.printable)
    }
  }

  private static func reason(_ destination: HeldJob.Destination) -> String {
    if destination.isSuperseded == true { return "superseded: a newer object was stored there" }
    guard let error = destination.error else { return "was not sent to its end" }
    return destination.isRefused == true ? "refused: \(error)" : error
  }

  /// In the unit that says enough.
  private static func age(of job: HeldJob) -> String {
    let seconds = max(0, millisecondsNow().subtractingSaturated(job.created) / 1000)
    let units: [(Int64, String)] = [(86400, "d"), (3600, "h"), (60, "min")]
    guard let (size, name) = units.first(where: { seconds >= $0.0 }) else { return "\(seconds) s" }
    return "\(seconds / size) \(name)"
  }

  private static func json(_ id: String, _ job: HeldJob) -> JSONValue {
    let destinations = job.destinations.filter { !$0.isDone }.map { destination -> JSONValue in
      [
        "destination": .string(destination.text), "error": JSONValue(destination.error), "kind": JSONValue(destination.errorKind),
        "refused": destination.isRefused == true ? true : nil, "superseded": destination.isSuperseded == true ? true : nil,
      ]
    }
    return [
      "id": .string(id), "created": JSONValue(job.created), "bytes": JSONValue(job.bytes), "sha256": JSONValue(job.sha256?.hex),
      "destinations": .array(destinations),
    ]
  }
}

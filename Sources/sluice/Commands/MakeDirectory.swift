import ArgumentParser
import BytePath
import Endpoints

/// `sluice mkdir`: make a directory and its parents.
struct MakeDirectory: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "mkdir", abstract: "Make a directory, and its parents.")

  @Option(help: ArgumentHelp("The time of last change, as for put; \(MakeDirectory.kindsWithTime) alone.", valueName: "time"))
  var mtime: Timestamp?
  @OptionGroup var transfer: TransferOptions
  @Argument(help: ArgumentHelp("The directory.", valueName: "dest"))
  var destinations: [String]

  private static var kindsWithTime: String {
    builtInEndpoints.map { $0.kind }.filter(\.takesDirectoryTime).map(\.title).joined(separator: ", ")
  }

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func execute(_ console: Console) async -> Int32 {
    let modified = mtime?.milliseconds
    let run = SimpleRun(destinations: destinations, options: transfer, purpose: .directory, console: console) { (target) throws(Failure) in
      // The resolver has refused all others.
      guard let store = target.store as? any DirectoryStore else {
        throw Failure(.usage, "\(target.kind.title) has no directories to make")
      }
      return try await store.makeDirectory(target.path, modified: modified)
    }
    return await run.run { (target) throws(Failure) in
      guard modified == nil || target.kind.takesDirectoryTime else {
        throw Failure(
          .usage, "\(target.text): --mtime has no effect with mkdir there",
          hint: "\(MakeDirectory.kindsWithTime) alone makes a directory with a time")
      }
    }
  }
}

import ArgumentParser
import BytePath
import Endpoints

/// `sluice mkdir`: make a directory and its parents.
struct MakeDirectory: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "mkdir", abstract: "Make a directory, and its parents.")

  @OptionGroup var transfer: TransferOptions
  @Argument(help: ArgumentHelp("The directory.", valueName: "dest"))
  var destinations: [String]

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func execute(_ console: Console) async -> Int32 {
    await SimpleRun(destinations: destinations, options: transfer, purpose: .directory, console: console) { (target) throws(Failure) in
      try await target.endpoint.makeDirectory(target.path)
    }.run()
  }
}

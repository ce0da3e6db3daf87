import ArgumentParser
import BytePath
import Endpoints

/// `sluice ls`: what is in directories.
struct ListDirectories: RunnableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List what is in a directory; JSON lines if not on a terminal.")

  @Flag(name: .shortAndLong, help: "List uploads that are not whole yet, too.")
  var all = false
  @Flag(name: .shortAndLong, help: "On a terminal, show size and time as well.")
  var long = false
  @OptionGroup var transfer: TransferOptions
  @Argument(help: ArgumentHelp("The directory.", valueName: "dir"))
  var directories: [String]

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func validate() throws { try transfer.checkForReading() }

  func execute(_ console: Console) async -> Int32 {
    await ListRun(directories: directories, options: transfer, isLong: long, listsAll: all, console: console).run()
  }
}

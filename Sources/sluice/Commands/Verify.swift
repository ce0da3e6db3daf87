import ArgumentParser
import BytePath
import Endpoints

/// `sluice verify`: read objects and prove them, and keep nothing.
struct Verify: RunnableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read objects and prove that they are what was stored.",
    discussion: "The exit status is 0 only if all of them are there, whole and proven.")

  @OptionGroup var fetch: FetchOptions
  @OptionGroup var transfer: TransferOptions
  @Argument(help: ArgumentHelp("The objects to read.", valueName: "src"))
  var sources: [String]

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func validate() throws {
    try transfer.checkForReading()
    if fetch.sha256 != nil, sources.count > 1 { throw ValidationError("--sha256 is for one object, and there are several") }
  }

  func execute(_ console: Console) async -> Int32 {
    do throws(Failure) {
      return await (try VerifyRun(self, console)).run()
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
    }
  }
}

import ArgumentParser
import BytePath
import Endpoints

/// `sluice check`: the preflight alone.
struct Check: RunnableCommand {
  static let configuration = CommandConfiguration(abstract: "Ask whether an upload would be taken; upload nothing.")

  @OptionGroup var transfer: TransferOptions
  @Flag(help: "Fail if there is an object already.")
  var noClobber = false
  @Argument(help: ArgumentHelp("Where an upload would go to.", valueName: "dest"))
  var destinations: [String]

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func execute(_ console: Console) async -> Int32 {
    let attributes = Attributes(existing: noClobber ? .refuse : .overwrite, options: transfer.optionValues)
    return await SimpleRun(destinations: destinations, options: transfer, purpose: .object, console: console) { (target) throws(Failure) in
      try await target.publisher.check(target.path, target.attributes(attributes))
      return Receipt()
    }.run { (target) throws(Failure) in try target.checkUse(attributes) }
  }
}

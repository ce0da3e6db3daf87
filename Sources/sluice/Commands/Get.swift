import ArgumentParser
import BytePath
import Endpoints

/// `sluice get`: read an object back, whole and proven, or not at all.
struct Get: RunnableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read an object back, whole and proven, or not at all.",
    usage: "sluice get [options] SRC [FILE]\n       sluice get [options] SRC -- COMMAND [ARG...]",
    discussion: """
      Write SRC as you would a DEST of put. Without FILE and COMMAND the object goes to standard output. Nothing is handed on before all of it has \
      come and is proven.
      """)

  static let takesCommand = true

  @OptionGroup var fetch: FetchOptions
  @Flag(help: "Refuse to replace FILE.")
  var noClobber = false
  @Flag(help: "Hand the bytes to COMMAND as they come; end it by a signal if they prove wrong.")
  var stream = false
  @Option(help: ArgumentHelp("Keep the object in DIR until it is proven.", valueName: "dir"))
  var spoolDir: String?
  @OptionGroup var transfer: TransferOptions
  @Argument(help: ArgumentHelp("The object to read.", valueName: "src"))
  var source: String
  @Argument(help: ArgumentHelp("The file to write; - is standard output.", valueName: "file"))
  var file: String?

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func validate() throws { try transfer.checkForReading() }

  func execute(_ console: Console) async -> Int32 {
    do throws(Failure) {
      try checkUse(console.command)
      return await (try GetRun(self, console)).run()
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
    }
  }

  private func checkUse(_ command: [String]) throws(Failure) {
    if !command.isEmpty, let file { throw Failure(.usage, "\(file) and a command are two readers", hint: "leave out one of them") }
    if stream, command.isEmpty {
      throw Failure(.usage, "--stream is for a command after --", hint: "sluice get --stream \(source) -- COMMAND")
    }
    if stream, spoolDir != nil { throw Failure(.usage, "--spool-dir has no effect with --stream") }
    if noClobber, file == nil || file == "-" { throw Failure(.usage, "--no-clobber is for a FILE") }
  }
}

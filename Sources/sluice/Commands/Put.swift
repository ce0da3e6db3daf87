import ArgumentParser
import BytePath
import Endpoints

/// `sluice [put]`: upload one stream to one or more destinations.
struct Put: RunnableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Upload one stream to one or more destinations.",
    usage: "sluice [put] [options] DEST... [-- COMMAND [ARG...]]",
    discussion: """
      DEST is \(builtInEndpoints.map { $0.kind.example }.joined(separator: ", ")), or NAME:PATH of a remote in the config file or of a plugin \
      on PATH.
      A command's output is uploaded only when the command exits 0.

      Other commands: sluice get, verify, ls, mkdir, check, held, endpoints; each has a --help of its own.
      """)

  static let takesCommand = true

  @OptionGroup var input: InputOptions
  @Option(help: ArgumentHelp("The MIME type of the object.", valueName: "type"))
  var contentType: String?
  @Option(help: ArgumentHelp("RFC 3339 or milliseconds since 1970; a regular file's own, else now.", valueName: "time"))
  var mtime: Timestamp?
  @Flag(help: "Refuse to replace an object.")
  var noClobber = false
  @Flag(help: "Of a regular file that is sent from where it lies, leave the SHA-256 out of the result.")
  var noSha256 = false
  @Flag(help: "Write NAME.sha256 beside the object, in the format of sha256sum.")
  var sum = false
  @Flag(help: "Ask the server afterwards for the size, and the hash where it has one.")
  var verify = false
  @Option(help: ArgumentHelp("Bytes a second, such as 2M.", valueName: "rate"))
  var limitRate: Size?
  @Flag(help: "Upload without asking first whether it may succeed.")
  var noPreflight = false
  @Option(help: ArgumentHelp("auto, always, never or json.", valueName: "when"))
  var progress: ProgressMode = .auto
  @Option(help: ArgumentHelp("Where the object is kept until it is uploaded.", valueName: "dir"))
  var spoolDir: String?
  @Option(help: ArgumentHelp("A longer object is not uploaded; the spool grows no further.", valueName: "size"))
  var maxSpool: Size?
  @Option(help: ArgumentHelp("Cut the object into parts, sent while the next ones are read; needs room for two.", valueName: "size"))
  var partSize: Size?
  @Flag(help: "Do not keep the object when its upload fails.")
  var noHold = false
  @Flag(name: [.customShort("n"), .long], help: "Check the destinations and print what would be done.")
  var dryRun = false
  @OptionGroup var transfer: TransferOptions
  @Argument(help: ArgumentHelp("Where to upload to.", valueName: "dest"))
  var destinations: [String]

  var verbosity: Messages.Verbosity { transfer.verbosity }

  func validate() throws {
    if input.tee, transfer.result == nil { throw ValidationError("--tee takes standard output, so the results need --result FILE") }
    if noSha256, partSize != nil || input.input == nil || input.gzip || !input.through.isEmpty || input.tee {
      throw ValidationError("--no-sha256 is for a regular file that is sent as it is, with --input: a spool always has its hash")
    }
    if sum {
      if noSha256 { throw ValidationError("--sum needs the SHA-256 that --no-sha256 leaves out") }
      if partSize != nil { throw ValidationError("--sum has no effect with --part-size: the manifest of the parts has their hashes") }
    }
    if let partSize {
      guard partSize.bytes > 0 else { throw ValidationError("--part-size takes a size of 1 or more bytes") }
      if let maxSpool, maxSpool.bytes < partSize.bytes { throw ValidationError("--max-spool is too small for a part of --part-size") }
    }
    if dryRun, noPreflight { throw ValidationError("--dry-run is the preflight; --no-preflight leaves nothing of it") }
    if let limitRate, limitRate.bytes < 1 { throw ValidationError("--limit-rate takes a rate of 1 or more bytes a second") }
    if let contentType, contentType.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value > 0x7e }) {
      throw ValidationError("--content-type takes a MIME type, such as application/gzip")
    }
  }

  func execute(_ console: Console) async -> Int32 {
    do throws(Failure) {
      return try await PutRun(self, console).run()
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
    }
  }
}

import ArgumentParser
import BytePath
import Endpoints

/// What is done to an object that is read back, and by what it is proven; the options of `get` and `verify`.
struct FetchOptions: ParsableArguments {
  @Option(
    parsing: .singleValue, help: ArgumentHelp("Filter the object through COMMAND, before --gunzip (repeatable).", valueName: "command"))
  var through: [String] = []
  @Flag(name: [.customShort("d"), .long], help: "Decompress with gzip.")
  var gunzip = false
  @Option(help: ArgumentHelp("Require this SHA-256 of the stored object.", valueName: "hex"), transform: sha256Argument)
  var sha256: Checksum?
  @Option(help: ArgumentHelp("Require what this result of put says.", valueName: "file"))
  var receipt: String?
  @Flag(help: "Fail if only the size of the object is known.")
  var requireHash = false
  @Option(help: ArgumentHelp("Show progress: auto, always, never or json.", valueName: "when"))
  var progress: ProgressMode = .auto

  /// Whether what comes out is another thing than the object.
  var unpacks: Bool { gunzip || !through.isEmpty }

  var plan: UnpackPlan {
    var plan = UnpackPlan()
    plan.filters = through
    plan.gunzips = gunzip
    return plan
  }
}

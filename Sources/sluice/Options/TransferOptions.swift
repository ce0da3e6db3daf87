import ArgumentParser
import BytePath
import Endpoints

/// How to talk and what to say; the options that all commands with destinations have.
struct TransferOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Tries after the first that fails for a passing reason.", valueName: "n"))
  var retries = 5
  @Option(help: ArgumentHelp("Begin no try later than this after the first one.", valueName: "duration"))
  var retryMaxTime: TimeSpan?
  @Option(help: ArgumentHelp("For one whole request; without it only silence ends one.", valueName: "duration"))
  var timeout: TimeSpan?
  @Option(help: ArgumentHelp("For a connection (30s).", valueName: "duration"))
  var connectTimeout: TimeSpan?
  @Option(help: ArgumentHelp("How long nothing may move while sending or reading (60s).", valueName: "duration"))
  var idleTimeout: TimeSpan?
  @Option(help: ArgumentHelp("For the answer after an upload's last byte (10m).", valueName: "duration"))
  var answerTimeout: TimeSpan?
  @Option(help: ArgumentHelp("A file that holds the token.", valueName: "file"))
  var tokenFile: String?
  @Option(help: ArgumentHelp("Trust the certificates in this PEM file instead of the system's.", valueName: "file"))
  var cacert: String?
  @Flag(help: "Take any certificate.")
  var insecure = false
  @Option(name: .customShort("o"), help: ArgumentHelp("What one endpoint alone knows (repeatable).", valueName: "key[=value]"))
  var endpointOptions: [EndpointOption] = []
  @Option(help: ArgumentHelp("Write the results there instead of to standard output.", valueName: "file"))
  var result: String?
  @Flag(name: .shortAndLong, help: "Say nothing but errors.")
  var quiet = false
  @Flag(name: .shortAndLong, help: "Say more.")
  var verbose = false

  func validate() throws {
    guard retries >= 0 else { throw ValidationError("--retries takes a number of 0 or more") }
    if retryMaxTime != nil, retries == 0 { throw ValidationError("--retry-max-time has no effect with --retries 0") }
    guard !(insecure && cacert != nil) else { throw ValidationError("--cacert has no effect with --insecure") }
    guard !(quiet && verbose) else { throw ValidationError("--quiet and --verbose contradict each other") }
  }

  /// For the commands that upload nothing.
  func checkForReading() throws {
    if answerTimeout != nil { throw ValidationError("--answer-timeout has no effect with this command, which uploads nothing") }
  }

  var verbosity: Messages.Verbosity { quiet ? .quiet : verbose ? .verbose : .normal }

  /// The values of `-o`; the last one of a key counts.
  var optionValues: [String: String] {
    Dictionary(endpointOptions.map { ($0.key, $0.value) }) { $1 }
  }

  /// One try less than can be counted, as the first one comes on top.
  var retryPolicy: RetryPolicy { RetryPolicy(limit: min(retries, .max - 1), longest: retryMaxTime?.duration) }

  func httpSettings() throws(Failure) -> HTTPSettings {
    var settings = HTTPSettings()
    settings.totalTimeout = timeout?.duration
    if let connectTimeout { settings.connectTimeout = connectTimeout.duration }
    if let idleTimeout { settings.idleTimeout = idleTimeout.duration }
    if let answerTimeout { settings.answerTimeout = answerTimeout.duration }
    settings.certificateFile = cacert
    settings.isInsecure = insecure
    return settings
  }
}

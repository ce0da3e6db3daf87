import ArgumentParser

/// What goes wrong, where and how often.
struct FaultOptions: ParsableArguments, Sendable {
  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "Requests below this path misbehave. May be given again. (default: /api/fs/put and /api/file/putFile)", valueName: "path"))
  var on: [String] = []

  @Option(help: ArgumentHelp("So many matching requests misbehave, then it behaves. (default: all)", valueName: "n"))
  var times: Int?

  @Option(help: ArgumentHelp("So many matching requests are served well before the first that misbehaves.", valueName: "n"))
  var skip = 0

  @Option(help: ArgumentHelp("Answer with this status before the body is read, then close with it unread.", valueName: "status"))
  var refuseEarly: Int?

  @Option(help: ArgumentHelp("Reset the connection when so many body bytes are in; 0: as soon as the head is.", valueName: "bytes"))
  var cutAfter: Int?

  @Option(help: ArgumentHelp("Wait before answering, after the whole body.", valueName: "ms"))
  var delay: Int?

  @Flag(help: "Read the body, store nothing, never answer.")
  var hang = false

  @Option(help: ArgumentHelp("Stop reading after so many body bytes, keep the connection open.", valueName: "bytes"))
  var stallAfter: Int?

  @Option(help: ArgumentHelp("Read the body, store nothing, answer this status with an HTML page as a proxy does.", valueName: "n"))
  var status: Int?

  @Option(help: ArgumentHelp("Add a Retry-After header to --status or --refuse-early.", valueName: "s"))
  var retryAfter: String?

  @Option(help: ArgumentHelp("Read the body, store nothing, answer 200 with this code in the API's envelope.", valueName: "n"))
  var code: Int?

  @Option(help: ArgumentHelp("The message for --code.", valueName: "text"))
  var message = "refused by sluice-loopback"

  @Flag(help: "Read the body, store nothing, answer 200 with an HTML login page.")
  var html = false

  @Flag(help: "Work, but send only half of the JSON answer.")
  var cutJson = false

  @Flag(help: "Read the body, store nothing, answer 200 with a body that never ends.")
  var endless = false

  @Flag(help: "Read the body, store nothing, answer with headers that never end.")
  var endlessHeaders = false

  @Option(help: ArgumentHelp("Read the body, store nothing, redirect with this status to --location.", valueName: "status"))
  var redirect: Int?

  @Option(help: ArgumentHelp("Where --redirect leads; the request's path is appended.", valueName: "url"))
  var location: String?

  @Flag(help: "Store the object whole, then reset the connection without an answer.")
  var storeThenCut = false

  @Option(help: ArgumentHelp("Answer success but store only so many bytes.", valueName: "n"))
  var truncateStored: Int?

  func validate() throws {
    if (redirect == nil) != (location == nil) { throw ValidationError("--redirect and --location go together") }
    for status in [refuseEarly, status, redirect].compactMap({ $0 }) where !(200...599).contains(status) {
      throw ValidationError("\(status) is no status that ends a request")
    }
    for number in [times, skip, cutAfter, delay, stallAfter, truncateStored].compactMap({ $0 }) where number < 0 {
      throw ValidationError("\(number) is negative")
    }
  }

  /// Whether anything is to go wrong at all.
  var isAny: Bool {
    refuseEarly != nil || cutAfter != nil || delay != nil || hang || stallAfter != nil || status != nil || code != nil || html
      || cutJson || endless || endlessHeaders || redirect != nil || storeThenCut || truncateStored != nil
  }
}

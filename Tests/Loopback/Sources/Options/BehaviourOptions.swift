import ArgumentParser

/// The two servers with AList's API, which differ in detail.
enum Flavor: String, ExpressibleByArgument, Sendable {
  case openlist, alist
}

/// How the well-behaved server behaves.
struct BehaviourOptions: ParsableArguments, Sendable {
  @Option(help: "Behave as OpenList 4.2.5 or as AList 3.63.0: openlist or alist.")
  var flavor = Flavor.openlist

  @Option(help: ArgumentHelp("The driver that AList's fs/get and fs/list name; OpenList's fs/list names none.", valueName: "name"))
  var provider = "Local"

  @Flag(help: "AList's fs/get reports md5, sha1 and sha256.")
  var hashes = false

  @Option(help: ArgumentHelp("AList's disk is full when so many bytes of an object are in.", valueName: "bytes"))
  var fullAfter: Int?

  @Flag(help: "OpenList offers chunked uploads.")
  var multipart = false

  @Flag(help: "OpenList's chunked uploads need no chunk if a file of the folder /known has the hash.")
  var knownByHash = false

  @Option(help: ArgumentHelp("An upload task of AList runs so long.", valueName: "ms"))
  var taskDelay = 0

  @Option(help: ArgumentHelp("Upload tasks of AList fail with this error.", valueName: "text"))
  var failTask: String?

  @Flag(help: "Plain uploads need the user name and password as Basic, or the token as Bearer.")
  var plainLogin = false

  @Flag(help: "Plain uploads ignore If-None-Match, as nginx does.")
  var plainIgnoresConditions = false

  @Flag(help: "AList's fs/get tells the state before an upload until fs/list refreshes the folder.")
  var staleGet = false
}

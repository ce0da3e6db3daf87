import BytePath
import Endpoints
import Synchronization

/// What a destination is for: the rules for its path differ.
enum Purpose {
  /// An object to be put.
  case object
  /// A directory to be made.
  case directory
  /// An object to be read.
  case source
  /// A directory to be listed.
  case listing
}

/// Makes destinations out of what the user wrote: finds the remote or the plugin, and opens one store for each, however many destinations are
/// there.
final class Resolver: Sendable {
  let options: TransferOptions
  private let settings: HTTPSettings
  private let messages: Messages
  /// By the remote.
  private let stores = Mutex<[String: Publisher]>([:])

  init(options: TransferOptions, settings: HTTPSettings, messages: Messages) {
    self.options = options
    self.settings = settings
    self.messages = messages
  }

  /// Lets go of all connections.
  func close() async {
    for publisher in stores.withLock({ $0.values.map { $0 } }) { await publisher.store.close() }
  }

  /// The store of a remote, opened if it is not yet.
  private func publisher(for place: Place, _ options: [String: String]) throws(Failure) -> Publisher {
    let key = "\(place.kind.name)\n\(place.key)\n\(place.remote.key)"
    if let known = stores.withLock({ $0[key] }) { return known }
    let messages = messages
    let context = EndpointContext(http: settings, options: options, warn: { messages.warning($0) }, detail: { messages.detail($0) })
    let publisher = Publisher(try place.open(place.remote, context), context)
    stores.withLock { $0[key] = publisher }
    return publisher
  }

  /// Opens every destination, connecting to none.
  ///
  /// - Parameter given: the `-o` options of an upload that another run has begun; nil for those of the command line.
  /// - Throws: `usage` for what can't be a destination or an option without effect; other kinds with the destination they are about.
  func open(
    _ texts: [String], for purpose: Purpose, given: [String: String]? = nil
  ) throws(Failure) -> [Result<Target, DestinationFailure>] {
    let values = given ?? options.optionValues
    var parsed: [(text: String, destination: Destination)] = []
    for text in texts { parsed.append((text, try Destination(text))) }
    var results: [Result<Target, DestinationFailure>] = []
    var config: ConfigFile?
    for (text, destination) in parsed {
      var refused = DestinationFailure(text: URLText.redacted(text), failure: .interrupted)
      do throws(Failure) {
        if config == nil, case .named = destination { config = try ConfigFile.load(messages) }
        let (place, path) = try place(of: destination, text, config, values)
        (refused.endpoint, refused.path) = (place.kind.name, path)
        var target = try target(refused.text, place, path, purpose, values)
        if case .url(_, let remote, let path) = destination { target.likely = likely(remote, path, target.kind) }
        if case .named = destination, let file = config?.file { target.reads.append(file) }
        results.append(.success(target))
      } catch {
        if error.kind == .usage { throw error }
        refused.failure = error
        results.append(.failure(refused))
      }
    }
    try checkEffect(on: results.compactMap { try? $0.get() }, for: purpose)
    return results
  }

  /// The address of a server's web pages is pasted for that of its API.
  private func likely(_ remote: Remote, _ path: String, _ kind: EndpointKind) -> String? {
    guard let base = remote.base, kind.schemes.contains(where: { $0.name == "http" }) else { return nil }
    let others = builtInEndpoints.lazy.map { $0.kind }.compactMap { other in other.destination(base, path).map { (other.title, $0) } }
    return others.first.map { "if this is \($0), write \($1)" }
  }

  private func place(
    of destination: Destination, _ text: String, _ config: ConfigFile?, _ values: [String: String]
  ) throws(Failure) -> (Place, path: String) {
    switch destination {
    case .file(let path): return (Place(type: LocalFile.self, remote: Remote()), path)
    case .url(let type, let remote, let path): return (Place(type: type, remote: remote), path)
    case .named(let name, let path):
      let reader = RemoteReader(name: name, keys: config?.keys(of: name) ?? [:], flags: values)
      if !reader.keys.isEmpty { return (try reader.read(), path) }
      if let program = PluginProgram(named: name) { return (try reader.place(of: program), path) }
      throw Failure(
        .config, "there is no remote \(name), and no plugin sluice-endpoint-\(name) on PATH",
        hint: "add the remote to \(config?.place ?? "the config file"); for a file write ./\(text)")
    }
  }

  private func target(
    _ text: String, _ place: Place, _ pathText: String, _ purpose: Purpose, _ values: [String: String]
  ) throws(Failure) -> Target {
    var place = place
    if let tokenFile = options.tokenFile, place.kind.takesToken {
      place.remote.token = .file(tokenFile)
      place.remote.username = nil
    }
    let publisher = try publisher(for: place, place.defaults.merging(values) { $1 })
    let store = publisher.store
    let check = { (values: [String: String]) throws(Failure) in
      try store.kind.check(values)
      try store.checkOptions(values)
    }
    do throws(Failure) { try check(place.defaults.merging(values) { $1 }) } catch {
      // Without the flags it would be no better.
      if (try? check(place.defaults)) == nil { throw Failure(.config, "\(text): \(error.message)", hint: error.hint) }
      throw error
    }
    if purpose == .directory, !(store is any DirectoryStore) {
      throw Failure(.usage, "\(store.kind.title) has no directories to make")
    }
    let path =
      switch purpose {
      case .object: try store.objectPath(pathText)
      case .source: try store.sourcePath(pathText)
      case .directory, .listing: try store.directoryPath(pathText)
      }
    var server = ""
    if let base = place.remote.base, place.kind.hasServerInURL {
      // Below a sub-path another server may live.
      server = "\(base.identity)\n\(place.remote.username ?? "")\n\(store.identity(of: path) == nil ? base.path : "")"
    }
    var target = Target(text: text, publisher: publisher, path: path, server: server, defaults: place.defaults)
    target.reads = [place.remote.token, place.remote.password].compactMap { $0?.path } + target.kind.sharedFiles
    return target
  }

  /// A flag that would do nothing is a mistake of the person or the script that wrote it.
  private func checkEffect(on targets: [Target], for purpose: Purpose) throws(Failure) {
    guard !targets.isEmpty else { return }
    try checkKeys(on: targets)
    for option in options.endpointOptions where !targets.contains(where: { $0.kind.takes(option.key, for: purpose) }) {
      let known = Set(builtInEndpoints.flatMap { $0.kind.options.map(\.key) }).sorted()
      throw known.contains(option.key) && purpose != .object
        ? Failure(.usage, "-o \(option.key) has no effect with this command")
        : Failure(.usage, "no destination here knows -o \(option.key)", hint: "there are: \(known.joined(separator: ", "))")
    }
    for (option, need) in targets.flatMap({ $0.kind.options }).compactMap({ option in option.needs.map { (option.key, $0) } }) {
      let takes = { (target: Target) in target.kind.isPlugin || target.defaults[need] != nil }
      if options.optionValues[option] != nil, options.optionValues[need] == nil, !targets.contains(where: takes) {
        throw Failure(.usage, "-o \(option) has no effect without -o \(need)")
      }
    }
    let takers = targets.filter { $0.kind.takesToken }
    if options.tokenFile != nil, takers.count != 1 {
      throw Failure(
        .usage,
        takers.isEmpty ? "no destination here takes the token of --token-file" : "--token-file is for one server, and there are several",
        hint: takers.isEmpty ? nil : "make remotes in the config file, each with its own token-file")
    }
  }

  /// A plugin gets each key as the name of a variable, in which a credential would be seen by every user of the machine, stand in place of
  /// the remote's own, and be written to a held spool.
  private func checkKeys(on targets: [Target]) throws(Failure) {
    guard targets.contains(where: { $0.kind.isPlugin }) else { return }
    var spellings: [String: String] = [:]
    for option in options.endpointOptions {
      guard PluginProgram.isWord(option.key) else {
        throw Failure(.usage, "-o \(option.key) is no key that a plugin can be given", hint: "use letters, digits, - and _")
      }
      let variable = PluginProgram.variable(of: option.key)
      if let credential = ["token", "username", "password"].first(where: { PluginProgram.variable(of: $0) == variable }) {
        throw Failure(
          .usage, "-o \(option.key) would show a credential to every user of the machine",
          hint: "make a remote in the config file, with \(credential == "username" ? credential : "\(credential)-file")")
      }
      if let other = spellings.updateValue(option.key, forKey: variable), other != option.key {
        throw Failure(.usage, "-o \(other) and -o \(option.key) are the same to a plugin: \(variable)", hint: "leave one out")
      }
    }
  }
}

extension EndpointKind {
  /// With `mkdir` the built-in ones have no options.
  fileprivate func takes(_ option: String, for purpose: Purpose) -> Bool {
    isPlugin
      || options.contains { known in
        switch purpose {
        case .object: known.key == option && known.isForWriting
        case .source: known.key == option && known.isForReading
        case .directory, .listing: false
        }
      }
  }
}

/// A failure and the destination it is about.
struct DestinationFailure: Error {
  let text: String
  var endpoint: String?
  var path: String?
  var failure: Failure
}

/// A kind of endpoint and a server of it.
struct Place {
  let kind: EndpointKind
  var remote: Remote
  /// `-o` options that the config file sets for it.
  var defaults: [String: String] = [:]
  /// Tells it from other places of the same remote.
  var key = ""
  /// Makes the store of the remote.
  let open: (Remote, EndpointContext) throws(Failure) -> any Store

  init(type: any BuiltInStore.Type, remote: Remote, defaults: [String: String] = [:]) {
    kind = type.kind
    self.remote = remote
    self.defaults = defaults
    open = { (remote, context) throws(Failure) in try type.init(remote, context) }
  }

  /// - Parameter options: what the plugin is told besides the object.
  init(plugin program: PluginProgram, remote: Remote, options: [String: String]) {
    kind = Plugin.kind(of: program)
    self.remote = remote
    key = options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "\n")
    open = { (remote, context) throws(Failure) in
      Plugin(program, remote, options: options, context)
    }
  }
}

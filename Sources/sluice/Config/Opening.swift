import BytePath
import Endpoints

/// A destination of a run: its endpoint, opened, and the path there.
struct Target: Sendable {
  /// As the user wrote it, less a password.
  let text: String
  let endpoint: any Endpoint
  let path: String
  /// `-o` options that the remote of the config file sets.
  let defaults: [String: String]

  var kind: EndpointKind { endpoint.kind }
}

/// What a destination is for: the rules for its path differ.
enum Purpose {
  case object, directory
}

/// Opens the destinations of a command.
struct Opening {
  let options: TransferOptions
  let settings: HTTPSettings
  let messages: Messages

  /// Opens every destination, connecting to none.
  ///
  /// - Throws: `usage` for what can't be a destination or an option without effect; other kinds with the destination they are about.
  func open(_ texts: [String], for purpose: Purpose) throws(Failure) -> [Result<Target, DestinationFailure>] {
    var parsed: [(text: String, destination: Destination)] = []
    for text in texts { parsed.append((text, try Destination(text))) }
    var results: [Result<Target, DestinationFailure>] = []
    var config: ConfigFile?
    for (text, destination) in parsed {
      var refused = DestinationFailure(text: URLText.redacted(text), failure: .interrupted)
      do throws(Failure) {
        if config == nil, case .named = destination { config = try ConfigFile.load(messages) }
        let (place, path) = try place(of: destination, text, config)
        (refused.endpoint, refused.path) = (place.type.kind.name, path)
        results.append(.success(try target(refused.text, place, path, purpose)))
      } catch {
        if error.kind == .usage { throw error }
        refused.failure = error
        results.append(.failure(refused))
      }
    }
    try checkEffect(of: results.compactMap { try? $0.get() })
    return results
  }

  private func place(of destination: Destination, _ text: String, _ config: ConfigFile?) throws(Failure) -> (Place, path: String) {
    switch destination {
    case .file(let path): return (Place(type: LocalFile.self, remote: Remote()), path)
    case .url(let type, let remote, let path): return (Place(type: type, remote: remote), path)
    case .named(let name, let path):
      guard let keys = config?.keys(of: name) else {
        throw Failure(
          .config, "there is no remote \(name)", hint: "add it to \(config?.place ?? "the config file"); for a file write ./\(text)")
      }
      return (try RemoteReader(name: name, keys: keys).read(), path)
    }
  }

  private func target(_ text: String, _ place: Place, _ pathText: String, _ purpose: Purpose) throws(Failure) -> Target {
    var place = place
    if let tokenFile = options.tokenFile, place.type.kind.takesToken {
      place.remote.token = .file(tokenFile)
      place.remote.username = nil
    }
    let messages = messages
    let endpoint = try place.type.init(
      place.remote, EndpointContext(http: settings, warn: { messages.warning($0) }, detail: { messages.detail($0) }))
    try endpoint.checkOptions(place.defaults.merging(options.optionValues) { $1 })
    let path = try purpose == .object ? endpoint.objectPath(pathText) : endpoint.directoryPath(pathText)
    return Target(text: text, endpoint: endpoint, path: path, defaults: place.defaults)
  }

  /// A flag that would do nothing is a mistake of the person or the script that wrote it.
  private func checkEffect(of targets: [Target]) throws(Failure) {
    for option in options.endpointOptions where !targets.isEmpty && !targets.contains(where: { $0.kind.options.contains(option.key) }) {
      let known = Set(builtInEndpoints.flatMap { $0.kind.options }).sorted().joined(separator: ", ")
      throw Failure(.usage, "no destination here knows -o \(option.key)", hint: "there are: \(known)")
    }
    let takers = targets.filter { $0.kind.takesToken }
    if options.tokenFile != nil, !targets.isEmpty, takers.count != 1 {
      throw Failure(
        .usage,
        takers.isEmpty ? "no destination here takes the token of --token-file" : "--token-file is for one server, and there are several",
        hint: takers.isEmpty ? nil : "make remotes in the config file, each with its own token-file")
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
  var type: any Endpoint.Type
  var remote: Remote
  /// `-o` options that the config file sets for it.
  var defaults: [String: String] = [:]
}

/// Makes a `Remote` of the keys that the config file and the environment have for it.
struct RemoteReader {
  let name: String
  let keys: [String: String]

  /// - Throws: `config` for a missing or wrong key.
  func read() throws(Failure) -> Place {
    guard let typeName = self[.type] else { throw Failure(.config, "the remote \(name) has no type") }
    guard let type = builtInEndpoints.first(where: { $0.kind.name == typeName && !$0.kind.schemes.isEmpty }) else {
      let known = builtInEndpoints.map { $0.kind }.filter { !$0.schemes.isEmpty }.map(\.name).joined(separator: ", ")
      throw Failure(.config, "the remote \(name) has the unknown type \(typeName)", hint: "there are: \(known)")
    }
    let url = self[.url]
    guard url != nil || !type.kind.hasServerInURL else { throw Failure(.config, "the remote \(name) has no url") }
    let (options, further) = (type.kind.options, type.kind.remoteKeys)
    if let unknown = keys.keys.filter({ RemoteKey(rawValue: $0) == nil && !options.contains($0) && !further.contains($0) }).min() {
      throw Failure(.config, "the remote \(name) has the unknown key \(unknown)")
    }
    var remote = Remote(base: try url.map { (url) throws(Failure) in try BaseURL(url) })
    remote.settings = keys.filter { further.contains($0.key) }
    remote.token = try secret(value: .token, file: .tokenFile, command: .tokenCommand)
    remote.username = self[.username]
    remote.password = try secret(value: .password, file: .passwordFile, command: .passwordCommand)
    return Place(type: type, remote: remote, defaults: keys.filter { options.contains($0.key) })
  }

  private subscript(key: RemoteKey) -> String? { keys[key.rawValue] }

  private func secret(value: RemoteKey, file: RemoteKey, command: RemoteKey) throws(Failure) -> SecretSource? {
    guard [value, file, command].filter({ self[$0] != nil }).count < 2 else {
      throw Failure(.config, "the remote \(name) has more than one of \(value.rawValue), \(file.rawValue) and \(command.rawValue)")
    }
    if let text = self[value] { return .value(text, origin: "\(value.rawValue) of the remote \(name)") }
    if let path = self[file] { return .file(path) }
    return self[command].map { .command($0) }
  }
}

import BytePath
import Endpoints

/// Makes a `Remote` of the keys that the config file and the environment have for it.
struct RemoteReader {
  let name: String
  /// None if the name is a plugin's.
  let keys: [String: String]
  /// The `-o` options of the command line.
  let flags: [String: String]

  /// - Throws: `config` for a missing or wrong key.
  func read() throws(Failure) -> Place {
    guard let typeName = self[.type] else {
      if let program = PluginProgram(named: name) { return try place(of: program) }
      throw Failure(.config, "the remote \(name) has no type")
    }
    guard let type = builtInEndpoints.first(where: { $0.kind.name == typeName && !$0.kind.schemes.isEmpty }) else {
      if let program = PluginProgram(named: typeName) { return try place(of: program) }
      let known = builtInEndpoints.map { $0.kind }.filter { !$0.schemes.isEmpty }.map(\.name).joined(separator: ", ")
      throw Failure(
        .config, "the remote \(name) has the unknown type \(typeName), and there is no plugin sluice-endpoint-\(typeName) on PATH",
        hint: "there are: \(known)")
    }
    let url = self[.url]
    guard url != nil || !type.kind.hasServerInURL else { throw Failure(.config, "the remote \(name) has no url") }
    let (options, further) = (type.kind.options.map(\.key), type.kind.remoteKeys)
    if let unknown = keys.keys.filter({ RemoteKey(rawValue: $0) == nil && !options.contains($0) && !further.contains($0) }).min() {
      throw Failure(.config, "the remote \(name) has the unknown key \(unknown)")
    }
    var remote = try remote(try url.map { (url) throws(Failure) in try BaseURL(url) })
    try checkCredentials(remote, type.kind)
    remote.settings = keys.filter { further.contains($0.key) }
    return Place(type: type, remote: remote, defaults: keys.filter { options.contains($0.key) })
  }

  /// - Throws: `config` for credentials that would do nothing.
  private func checkCredentials(_ remote: Remote, _ kind: EndpointKind) throws(Failure) {
    if remote.token != nil, !kind.takesToken {
      throw Failure(.config, "the remote \(name) has a token, which \(kind.name) does not take", hint: "use username and password-file")
    }
    if remote.password != nil, remote.username == nil {
      throw Failure(.config, "the remote \(name) has a password without a username")
    }
  }

  /// All keys are the plugin's to understand; only the secrets are fetched for it.
  ///
  /// - Throws: `config` for a key that can't be a part of a variable's name, or a secret that is there twice; `config` or `usage` for two keys of one variable.
  func place(of program: PluginProgram) throws(Failure) -> Place {
    if let wrong = keys.keys.filter({ !PluginProgram.isWord($0) }).min() {
      throw Failure(.config, "the remote \(name) has the key \(wrong), which a plugin can't be given", hint: "use letters, digits, - and _")
    }
    try checkSpelling()
    let options = keys.filter { key, _ in RemoteKey(rawValue: key).map { $0 == .url } ?? true }
    return Place(plugin: program, remote: try remote(nil), options: options.merging(flags) { $1 })
  }

  /// A plugin is given keys as variables, where capitals and `_` make no difference.
  private func checkSpelling() throws(Failure) {
    let known = RemoteKey.allCases.map(\.rawValue)
    var spellings: [String: String] = [:]
    for key in known + keys.keys.sorted() {
      if let other = spellings.updateValue(key, forKey: PluginProgram.variable(of: key)), other != key {
        throw Failure(.config, "the remote \(name) has the key \(key), which is \(other) to a plugin", hint: "write \(other) alone")
      }
    }
    for flag in flags.keys.sorted() {
      if let key = spellings[PluginProgram.variable(of: flag)], key != flag, keys[key] != nil {
        throw Failure(.usage, "-o \(flag) is the key \(key) of the remote \(name) to a plugin", hint: "write -o \(key)")
      }
    }
  }

  private func remote(_ base: BaseURL?) throws(Failure) -> Remote {
    Remote(
      base: base, token: try secret(value: .token, file: .tokenFile, command: .tokenCommand), username: self[.username],
      password: try secret(value: .password, file: .passwordFile, command: .passwordCommand))
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

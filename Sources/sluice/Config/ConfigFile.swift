import BytePath
import Endpoints

/// The remotes of the config file, with the environment over them.
struct ConfigFile {
  private static let sizeLimit = 1 << 20

  private let path: String?
  private let remotes: [String: [String: String]]

  /// Reads `SLUICE_CONFIG`, else `sluice/config.yaml` in `XDG_CONFIG_HOME` or `~/.config`. Only a file that was named must be there.
  ///
  /// - Throws: `config` if it can't be read or is not valid.
  static func load(_ messages: Messages) throws(Failure) -> ConfigFile {
    if let named = variable("SLUICE_CONFIG") { return try ConfigFile(path: expandingHome(named), messages) }
    guard let folder = variable("XDG_CONFIG_HOME") ?? variable("HOME").map({ "\($0)/.config" }) else {
      return ConfigFile(path: nil, remotes: [:])
    }
    let path = "\(folder)/sluice/config.yaml"
    return access(path, F_OK) == 0 ? try ConfigFile(path: path, messages) : ConfigFile(path: path, remotes: [:])
  }

  private init(path: String?, remotes: [String: [String: String]]) {
    self.path = path
    self.remotes = remotes
  }

  private init(path: String, _ messages: Messages) throws(Failure) {
    let bytes: [UInt8]
    let status: stat
    do throws(SystemError) {
      let file = try Descriptor.open(path, O_RDONLY)
      status = try file.status()
      if status.st_mode & 0o022 != 0 { messages.warning("others can change \(path); chmod 600 \(path)") }
      bytes = try file.contents(limit: ConfigFile.sizeLimit)
    } catch {
      throw Failure(.config, "cannot read the config file \(path): \(error.words)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure(.config, "the config file \(path) is not UTF-8") }
    do throws(Failure) {
      self.init(path: path, remotes: try ConfigFile.remotes(of: try YAML.parse(text.withoutByteOrderMark)))
    } catch {
      throw Failure(.config, "the config file \(path) is not valid: \(error.message)", hint: error.hint)
    }
    try checkOwner(FileOwner(status.st_uid), path, messages)
    let hasSecret = remotes.values.contains { $0[RemoteKey.token.rawValue] != nil || $0[RemoteKey.password.rawValue] != nil }
    if hasSecret, status.st_mode & 0o044 != 0 { messages.warning("others can read the secret in \(path); chmod 600 \(path)") }
  }

  /// - Throws: `config` if somebody else says which command to run.
  private func checkOwner(_ owner: FileOwner, _ path: String, _ messages: Messages) throws(Failure) {
    guard !owner.mayNameCommands else { return }
    let commands = [RemoteKey.tokenCommand.rawValue, RemoteKey.passwordCommand.rawValue]
    let naming = remotes.filter { remote in commands.contains { remote.value[$0] != nil } }.keys.min()
    guard let naming else { return messages.warning("\(path) belongs to another user (uid \(owner.id))") }
    throw Failure(
      .config, "the config file \(path) belongs to another user (uid \(owner.id)) and names a command, for the remote \(naming)",
      hint: "look at it, and make it yours: chown \(geteuid()) \(path)")
  }

  private static func remotes(of root: YAML.Node) throws(Failure) -> [String: [String: String]] {
    guard case .mapping(let members) = root else { return [:] }
    if let unknown = members.keys.filter({ $0 != "remotes" }).min() {
      throw Failure(.config, "\(unknown) is no section", hint: "the one section is remotes")
    }
    guard case .mapping(let remotes)? = members["remotes"] else { return [:] }
    var result: [String: [String: String]] = [:]
    for (name, node) in remotes {
      guard case .mapping(let keys) = node else { throw Failure(.config, "the remote \(name) has no keys") }
      result[name] = [:]
      for (key, node) in keys {
        guard case .scalar(let value) = node else { throw Failure(.config, "the key \(key) of the remote \(name) has no value") }
        result[name]?[key] = value
      }
    }
    return result
  }

  /// The keys of a remote: those of the file, and over them `SLUICE_REMOTE_<NAME>_<KEY>`, which can also add one that every remote can
  /// have; nil if neither knows it.
  func keys(of name: String) -> [String: String]? {
    var keys = remotes[name] ?? [:]
    let prefix = "SLUICE_REMOTE_\(ConfigFile.variableName(name))_"
    let general = RemoteKey.allCases.map(\.rawValue) + builtInEndpoints.flatMap { $0.kind.remoteKeys }
    for key in Set(general).union(keys.keys) {
      if let value = ConfigFile.variable(prefix + ConfigFile.variableName(key)) { keys[key] = value }
    }
    return keys.isEmpty ? nil : keys
  }

  /// Nil if none is known.
  var file: String? { path }

  /// Where a remote would be looked for.
  var place: String { path ?? "the environment" }

  private static func variableName(_ text: String) -> String {
    text.uppercased().replacing("-", with: "_")
  }

  private static func variable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }
}

/// The keys that every remote can have.
enum RemoteKey: String, CaseIterable {
  case type, url, token, username, password
  case tokenFile = "token-file"
  case tokenCommand = "token-command"
  case passwordFile = "password-file"
  case passwordCommand = "password-command"
}

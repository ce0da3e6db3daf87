import FoundationEssentials
public import Subprocess

/// What the programs that a run starts may see of its environment: commands, filters, guards, plugins and those that print a secret.
public enum ChildEnvironment {
  /// All that this program inherited but the credentials that it alone reads. Those of AWS stay, which other programs read too.
  ///
  /// - Parameters:
  ///   - prefix: of names that are left out as well.
  ///   - changes: stand over all else; nil takes a variable away.
  public static func inherited(without prefix: String? = nil, changes: [String: String?] = [:]) -> Environment {
    var updates: [Environment.Key: String?] = [:]
    for name in ProcessInfo.processInfo.environment.keys where isSecret(name) || prefix.map(name.hasPrefix) == true {
      updates[Environment.Key(stringLiteral: name)] = .some(nil)
    }
    for (name, value) in changes { updates[Environment.Key(stringLiteral: name)] = .some(value) }
    return .inherit.updating(updates)
  }

  /// The tokens of the endpoints' URLs, and the keys of remotes, of which any may be a password.
  private static func isSecret(_ name: String) -> Bool {
    ["ALIST_TOKEN", "SIYUAN_TOKEN"].contains(name) || name.hasPrefix("SLUICE_REMOTE_")
  }
}

public import Subprocess
import Synchronization

/// What the programs that a run starts may see of its environment: commands, filters, guards, plugins and those that print a secret.
public enum ChildEnvironment {
  private static let hidden = Mutex<Set<String>>([])

  /// Keeps variables from the programs that are started from now on.
  public static func hide(_ names: [String]) { hidden.withLock { $0.formUnion(names) } }

  /// All that this program inherited but the credentials that it alone reads. Those of AWS stay, which other programs read too.
  ///
  /// Values are bytes: a password in Latin-1 is no UTF-8, and would be another one after a way through `String`. What has no name, or one that
  /// begins with a digit, swift-subprocess takes for a mistake; no shell could read it either.
  ///
  /// - Parameters:
  ///   - prefix: of names that are left out as well.
  ///   - changes: stand over all else; nil takes a variable away.
  public static func inherited(without prefix: String? = nil, changes: [String: String?] = [:]) -> Environment {
    var rows = variables().filter { row in
      guard let end = row.firstIndex(of: UInt8(ascii: "=")), end > 0, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(row[0]) else {
        return false
      }
      let name = String(decoding: row[..<end], as: UTF8.self)
      return !isSecret(name) && prefix.map(name.hasPrefix) != true && !changes.keys.contains(name)
    }
    for (name, value) in changes.sorted(by: { $0.key < $1.key }) {
      if let value { rows.append(Array("\(name)=\(value)".utf8)) }
    }
    // As C strings, which swift-subprocess copies.
    return .custom(rows.map { $0 + [0] })
  }

  /// `NAME=value` of each, without the zero at its end.
  private static func variables() -> [[UInt8]] {
    var rows: [[UInt8]] = []
    var next = processEnvironment
    while let row = next.pointee {
      rows.append(Array(UnsafeRawBufferPointer(start: row, count: strlen(row))))
      next += 1
    }
    return rows
  }

  /// What was hidden, and the keys of remotes, of which any may be a password.
  private static func isSecret(_ name: String) -> Bool {
    name.hasPrefix("SLUICE_REMOTE_") || hidden.withLock { $0.contains(name) }
  }
}

public import BytePath

/// A token or password. It has no description, so that it can't be printed by accident.
public struct Secret: Sendable, CustomStringConvertible, CustomReflectable {
  /// For the request that needs it, and for nothing else.
  public let exposed: String

  /// - Throws: `config` if the value could not stand in a header: it is empty or has a control character.
  public init(_ text: String, origin: String) throws(Failure) {
    let trimmed = text.withoutByteOrderMark.trimmingNewlines
    guard !trimmed.isEmpty else { throw Failure(.config, "\(origin) is empty") }
    guard trimmed.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
      throw Failure(.config, "\(origin) has a control character or more than one line", hint: "it must hold the secret alone")
    }
    exposed = trimmed
  }

  public var description: String { "(secret)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Where a secret is to be had.
public enum SecretSource: Sendable {
  /// The value itself and where it came from, for messages.
  case value(String, origin: String)
  case file(String)
  /// A line for `sh -c` that prints the secret.
  case command(String)

  /// Of the file that holds it, if it is in one.
  public var path: String? { if case .file(let path) = self { path } else { nil } }

  /// A command may ask its user, and a file that others can read is warned of once.
  private static let read = SingleFlight<Secret>()

  /// Tells sources apart. It may have the secret in it.
  var key: String {
    switch self {
    case .value(let text, _): "value \(text)"
    case .file(let path): "file \(path)"
    case .command(let line): "command \(line)"
    }
  }

  /// Reads the file or runs the command, once in a run.
  ///
  /// - Throws: `config` if it can't be had. A file that others can read is only warned of.
  public func read(warn: @escaping @Sendable (String) -> Void) async throws(Failure) -> Secret {
    switch self {
    case .value(let text, let origin):
      return try Secret(text, origin: origin)
    case .file(let path):
      return try await SecretSource.read.value(of: key) { () throws(Failure) in
        try Secret(try SecretSource.contents(of: path, warn: warn), origin: "the file \(path)")
      }
    case .command(let line):
      return try await SecretSource.read.value(of: key) { () throws(Failure) in
        try Secret(try await CapturedCommand.run(line), origin: "what the command \(line) printed")
      }
    }
  }

  private static func contents(of path: String, warn: @Sendable (String) -> Void) throws(Failure) -> String {
    let expanded = expandingHome(path)
    do throws(SystemError) {
      let file = try Descriptor.open(expanded, O_RDONLY)
      if let status = try? file.status(), status.isRegularFile, status.st_mode & 0o077 != 0 {
        warn("others can read the secret in \(path); chmod 600 \(path)")
      }
      return String(decoding: try file.contents(limit: 65536), as: UTF8.self)
    } catch {
      throw Failure(.config, "cannot read the secret in \(path): \(error.words)")
    }
  }
}

extension String {
  /// Without the mark that editors of Windows write at the head of a file.
  public var withoutByteOrderMark: String {
    unicodeScalars.first == "\u{feff}" ? String(unicodeScalars.dropFirst()) : self
  }

  var trimmingNewlines: String {
    var text = Substring(self)
    while let last = text.last, last.isNewline { text.removeLast() }
    return String(text)
  }
}

/// `~/x` as a path below `HOME`; other paths as they are.
public func expandingHome(_ path: String) -> String {
  guard path.hasPrefix("~/"), let home = getenv("HOME") else { return path }
  return String(cString: home) + path.dropFirst(1)
}

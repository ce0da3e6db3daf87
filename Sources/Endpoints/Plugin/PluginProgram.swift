import BytePath

/// An executable `sluice-endpoint-NAME` on PATH.
public struct PluginProgram: Sendable, Equatable {
  private static let prefix = "sluice-endpoint-"
  static let optionPrefix = "SLUICE_OPTION_"

  public let name: String
  /// Has a slash in it.
  public let path: String

  /// - Parameter path: with a slash in it.
  public init(named name: String, at path: String) {
    self.name = name
    self.path = path
  }

  /// The first one of this name on PATH, as a shell would find it; nil if there is none.
  public init?(named name: String) {
    guard PluginProgram.isName(name) else { return nil }
    let candidates = PluginProgram.folders.lazy.map { "\($0)/\(PluginProgram.prefix)\(name)" }
    guard let path = candidates.first(where: ProgramSearch.isProgram) else { return nil }
    self.name = name
    self.path = path
  }

  /// All of them, by name.
  public static func all() -> [PluginProgram] {
    let files = folders.flatMap { (try? namesInDirectory($0)) ?? [] }
    let names = Set(files.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
    return names.sorted().compactMap { PluginProgram(named: $0) }
  }

  /// What is no name can't be a path to somewhere else either.
  public static func isName(_ text: some StringProtocol) -> Bool {
    guard let first = text.first, first != "-", first != "_" else { return false }
    return isWord(text)
  }

  /// ASCII letters, digits, `-` and `_`: what can be a part of a variable's name when it is in capitals.
  public static func isWord(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
  }

  /// The variable in which a plugin finds the value of the option, or the key of a remote.
  public static func variable(of key: String) -> String { optionPrefix + key.uppercased().replacing("-", with: "_") }

  private static var folders: [String] {
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    return path.split(separator: ":", omittingEmptySubsequences: false).map { $0.isEmpty ? "." : String($0) }
  }
}

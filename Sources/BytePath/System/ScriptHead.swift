/// Why a script can't be run although it is there: what systems and shells call `not found` then is its interpreter.
public enum ScriptHead {
  /// Exit statuses of shells and env(1) for what can't be run or is not found.
  private static let notRun: Set<Int32> = [126, 127]

  /// - Parameters:
  ///   - line: a path, a name in PATH, or a line for `sh -c` that begins with one.
  ///   - exitStatus: how its run ended; nil if it could not be started.
  /// - Returns: what is wrong with its first line; nil if that can't be the reason.
  public static func problem(of line: String, exitStatus: Int32? = nil) -> String? {
    guard exitStatus.map(notRun.contains) ?? true, let word = line.split(separator: " ").first.map(String.init) else { return nil }
    guard let path = word.contains("/") ? word : ProgramSearch.path(of: word), let head = head(of: path) else { return nil }
    guard head.starts(with: Array("#!".utf8)) else { return nil }
    let first = head.prefix { $0 != UInt8(ascii: "\n") }
    if first.last == UInt8(ascii: "\r") {
      return "the first line of \(path) ends in a carriage return, as files from Windows do: give it Unix line ends"
    }
    let blanks = Set(" \t".utf8)
    let interpreter = first.dropFirst(2).drop { blanks.contains($0) }.prefix { !blanks.contains($0) }
    let name = String(decoding: interpreter, as: UTF8.self)
    guard !name.isEmpty, access(name, X_OK) != 0 else { return nil }
    return "the first line of \(path) names \(name), which can't be run"
  }

  private static func head(of path: String) -> [UInt8]? {
    // A named pipe would be waited for.
    guard let file = try? Descriptor.open(path, O_RDONLY | O_NONBLOCK), (try? file.status().isRegularFile) == true else { return nil }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 1)
    defer { buffer.deallocate() }
    guard let count = try? file.read(into: buffer) else { return nil }
    return Array(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
  }
}

/// Looks a program up as a shell does, but for folders that are not absolute. (swift-subprocess finds no PATH in an environment of bytes.)
public enum ProgramSearch {
  /// The first program of that name in the folders of PATH.
  public static func path(of name: String) -> String? {
    let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    return folders.split(separator: ":").lazy.filter { $0.hasPrefix("/") }.map { "\($0)/\(name)" }.first(where: isProgram)
  }

  public static func isProgram(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.isRegularFile && access(path, X_OK) == 0
  }
}

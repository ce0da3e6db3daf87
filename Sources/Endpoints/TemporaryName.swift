import Synchronization

/// Names for objects that are not whole yet.
public enum TemporaryName {
  /// Is in every such name, and so tells what this program may remove.
  static let mark = ".sluice-"
  private static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz")
  private static let digitCount = 8

  /// A name beside `path`: `.NAME.sluice-`, of a NAME with a dot at its start without another, and eight random characters, at most 255 bytes,
  /// which is what most file systems allow. The dot hides it from listings and from the patterns of shells.
  ///
  /// - Parameter isHidden: false for a name without the dot.
  static func beside(_ path: String, isHidden: Bool = true) -> String {
    let ending = mark + String((0..<digitCount).map { _ in digits[Int.random(in: digits.indices)] })
    let folder = folder(of: path)
    let last = path.dropFirst(folder.count)
    // Two dots at its start would be taken for a relative path by some servers.
    var name = last.hasPrefix(".") || !isHidden ? "" : "."
    for character in last {
      guard name.utf8.count + String(character).utf8.count + ending.utf8.count <= 255 else { break }
      name.append(character)
    }
    return folder + name + ending
  }

  /// Whether a path is a temporary name, and not that of the object itself.
  public static func isOne(_ path: String, beside object: String) -> Bool {
    path != object && path.dropFirst(folder(of: path).count).contains(mark)
  }

  /// Whether the last part of a path ends as a temporary name does.
  public static func isOne(_ name: String) -> Bool {
    let ending = name.suffix(digitCount)
    return ending.count == digitCount && ending.allSatisfy(digits.contains) && name.dropLast(digitCount).hasSuffix(mark)
  }

  /// Whether a temporary name has a dot at its start that the name of the object has not.
  static func isHidden(_ temporary: String, beside path: String) -> Bool {
    let dot = folder(of: path) + "."
    return temporary.hasPrefix(dot) && !path.hasPrefix(dot)
  }

  /// What stands before the last part of a path, with its slash; empty if there is nothing.
  static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
  }
}

/// How temporary names begin at one server: with a dot, until it refuses that, as many sites do whose files are the server's own business.
final class TemporaryNames: Sendable {
  private let areHidden = Mutex(true)

  func beside(_ path: String) -> String { TemporaryName.beside(path, isHidden: areHidden.withLock { $0 }) }

  /// Notes that they need to be without the dot.
  func show() { areHidden.withLock { $0 = false } }
}

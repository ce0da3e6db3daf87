import Foundation

/// Calls of the C library that Swift's Glibc module does not show, found by name.
enum Libc {
  typealias FileActions = UnsafeMutablePointer<posix_spawn_file_actions_t>

  static let addChangeDirectory = find(
    "posix_spawn_file_actions_addchdir_np", as: (@convention(c) (FileActions, UnsafePointer<CChar>) -> Int32).self)
  static let addCloseFrom = find("posix_spawn_file_actions_addclosefrom_np", as: (@convention(c) (FileActions, Int32) -> Int32).self)
  static let openTerminal = find("posix_openpt", as: (@convention(c) (Int32) -> Int32).self)
  static let grantTerminal = find("grantpt", as: (@convention(c) (Int32) -> Int32).self)
  static let unlockTerminal = find("unlockpt", as: (@convention(c) (Int32) -> Int32).self)
  static let terminalName = find("ptsname_r", as: (@convention(c) (Int32, UnsafeMutablePointer<CChar>, Int) -> Int32).self)

  private static func find<Function>(_ name: String, as type: Function.Type) -> Function {
    guard let address = dlsym(UnsafeMutableRawPointer(bitPattern: 0), name) else { preconditionFailure("the C library has no \(name)") }
    return unsafeBitCast(address, to: type)
  }
}

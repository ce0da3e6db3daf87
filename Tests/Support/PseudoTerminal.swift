import Foundation
import Synchronization

/// A terminal for a program under test: what it writes to `child` is collected here.
public final class PseudoTerminal: Sendable {
  private let parent: Int32
  /// To be given to the program.
  public let child: Int32
  private let collected = Mutex<[UInt8]>([])

  /// - Parameter columns: how wide it says it is.
  public init(columns: Int = 80) throws {
    parent = Libc.openTerminal(O_RDWR | O_NOCTTY)
    var name = [CChar](repeating: 0, count: 128)
    guard parent >= 0, Libc.grantTerminal(parent) == 0, Libc.unlockTerminal(parent) == 0, Libc.terminalName(parent, &name, name.count) == 0
    else {
      throw ProgramError(description: "no pseudo terminal: \(String(cString: strerror(errno)))")
    }
    _ = fcntl(parent, F_SETFD, FD_CLOEXEC)
    child = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
    guard child >= 0 else { throw ProgramError(description: "no pseudo terminal: \(String(cString: strerror(errno)))") }
    var size = winsize(ws_row: 24, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(child, UInt(TIOCSWINSZ), &size)
    let parent = parent
    thread { [weak self] in
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = read(parent, &buffer, buffer.count)
        // EIO: all programs have closed it.
        guard count > 0, let self else { break }
        self.collected.withLock { $0 += buffer[..<count] }
      }
      close(parent)
    }
  }

  deinit { close(child) }

  /// What a person types.
  public func type(_ text: String) { writeAll(Array(text.utf8), to: parent) }

  /// All that was written to it so far.
  public var text: String { String(decoding: collected.withLock { $0 }, as: UTF8.self) }
}

import BytePath
import Synchronization

/// SIGINT, SIGTERM and SIGHUP. The first one ends the run in order; a second one ends the process at once.
///
/// They come through a handler and a pipe, because blocking them and waiting for them does not hold: a thread that a library makes may open
/// all signals, as that of swift-subprocess does while it waits for children, and the first one that it meets would end the process.
final class Signals: Sendable {
  private struct State {
    var first: Int32?
    var action: (@Sendable () -> Void)?
    var lastAction: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())

  /// Takes the signals from here on. A broken pipe becomes an error of the call that meets it.
  func install() {
    signal(SIGPIPE, SIG_IGN)
    guard Signals.pipe != nil else { return }
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let before = signal(number) { Signals.pass($0) }
      // A signal that was ignored at the start stays ignored: that is how `nohup` works.
      if Signals.isIgnoring(before) { signal(number, SIG_IGN) }
    }
  }

  /// Handles the signals as they come. Blocks until the process ends.
  func waitForever() -> Never {
    let byte = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    while true {
      if let count = try? Signals.pipe?.read.read(into: byte), count == 1 { received(Int32(byte[0])) } else { pause() }
    }
  }

  /// The first signal that came.
  var first: Int32? { state.withLock { $0.first } }

  /// Calls `action` at the first signal; at once if it has come already.
  func onFirst(_ action: @escaping @Sendable () -> Void) {
    let hasCome = state.withLock { state in
      state.action = action
      return state.first != nil
    }
    if hasCome { action() }
  }

  /// Calls `action` when a second signal ends the process at once.
  func beforeExit(_ action: @escaping @Sendable () -> Void) { state.withLock { $0.lastAction = action } }

  private func received(_ number: Int32) {
    let action = state.withLock { state -> (@Sendable () -> Void)? in
      guard state.first == nil else {
        state.lastAction?()
        _exit(128 + number)
      }
      state.first = number
      return state.action
    }
    action?()
  }

  /// Made before the handler that writes to it is installed. Nil if the process was started without room for descriptors.
  private static let pipe = try? Descriptor.pipe()

  /// The handler: only what is safe in one (signal-safety(7)).
  private static func pass(_ number: Int32) {
    guard let pipe else { return }
    let before = errno
    var byte = UInt8(truncatingIfNeeded: number)
    _ = write(pipe.write.raw, &byte, 1)
    errno = before
  }

  private static func isIgnoring(_ handler: (@convention(c) (Int32) -> Void)?) -> Bool {
    guard let handler else { return false }
    return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }
}

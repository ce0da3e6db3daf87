import BytePath
import Synchronization

/// SIGINT, SIGTERM and SIGHUP. The first one ends the run in order; a second one ends the process at once.
final class Signals: Sendable {
  private struct State {
    var first: Int32?
    var action: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())

  /// Blocks the signals in this thread and all later ones. To be called before any other thread is made: a signal would otherwise find one
  /// that does not block it. A broken pipe becomes an error of the call that meets it.
  func block() {
    signal(SIGPIPE, SIG_IGN)
    var set = Signals.waited
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Takes the signals as they come. Blocks until the process ends.
  func waitForever() -> Never {
    var set = Signals.waited
    while true {
      var number: Int32 = 0
      if sigwait(&set, &number) == 0 { received(number) }
    }
  }

  private static let waited = {
    var set = sigset_t()
    sigemptyset(&set)
    for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) { sigaddset(&set, number) }
    return set
  }()

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

  private func received(_ number: Int32) {
    let action = state.withLock { state -> (@Sendable () -> Void)? in
      guard state.first == nil else { _exit(128 + number) }
      state.first = number
      return state.action
    }
    action?()
  }

  /// A signal that was ignored at the start stays ignored: that is how `nohup` works.
  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    #if canImport(Darwin)
      return unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    #else
      return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    #endif
  }
}

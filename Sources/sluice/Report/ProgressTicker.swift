import BytePath
import Synchronization

/// Has progress shown again and again: ten times a second on a terminal, twice for programs, never where nobody looks.
final class ProgressTicker: Sendable {
  let isJSON: Bool
  private let isShown: Bool
  private let task = Mutex<Task<Void, Never>?>(nil)

  init(_ mode: ProgressMode, _ messages: Messages) {
    isJSON = mode == .json
    isShown =
      switch mode {
      case .auto: isatty(STDERR_FILENO) == 1 && messages.verbosity >= .normal && getenv("TERM").map { String(cString: $0) } != "dumb"
      case .always, .json: true
      case .never: false
      }
  }

  func start(_ show: @escaping @Sendable () -> Void) {
    guard isShown else { return }
    let interval = isJSON ? Duration.milliseconds(500) : .milliseconds(100)
    task.withLock { $0 = Task { while (try? await Task.sleep(for: interval)) != nil { show() } } }
  }

  /// - Returns: whether something was being shown.
  func end() async -> Bool {
    let running = task.withLock { task in
      defer { task = nil }
      return task
    }
    guard let running else { return false }
    running.cancel()
    await running.value
    return true
  }
}

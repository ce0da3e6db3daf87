import Synchronization

/// One at a time, first come, first served.
final class AsyncLock: Sendable {
  private struct State {
    var isHeld = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  func acquire() async {
    await withCheckedContinuation { turn in
      let isMine = state.withLock {
        if $0.isHeld {
          $0.waiting.append(turn)
          return false
        }
        $0.isHeld = true
        return true
      }
      if isMine { turn.resume() }
    }
  }

  func release() {
    let next: CheckedContinuation<Void, Never>? = state.withLock {
      guard $0.waiting.isEmpty else { return $0.waiting.removeFirst() }
      $0.isHeld = false
      return nil
    }
    next?.resume()
  }
}

/// State that threads share, a mutex that guards it and condition variables that tell of its changes, known by their numbers from 0 on.
///
/// `@unchecked Sendable` holds because `state` is touched only by closures that run between lock and unlock of `mutex`, and the pointers
/// never change. (`Synchronization.Mutex` has no condition variable.)
final class Monitor<State>: @unchecked Sendable {
  private var state: State
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let conditions: UnsafeMutableBufferPointer<pthread_cond_t>

  init(_ state: sending State, conditions count: Int) {
    self.state = state
    conditions = .allocate(capacity: count)
    pthread_mutex_init(mutex, nil)
    for index in conditions.indices { pthread_cond_init(&conditions[index], nil) }
  }

  deinit {
    for index in conditions.indices { pthread_cond_destroy(&conditions[index]) }
    pthread_mutex_destroy(mutex)
    conditions.deallocate()
    mutex.deallocate()
  }

  /// Changes the state.
  func update<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&state)
  }

  /// Wakes one thread that waits for the condition.
  func wakeOne(_ condition: Int) {
    pthread_cond_signal(&conditions[condition])
  }

  /// Wakes every thread that waits.
  func wakeAll() {
    for index in conditions.indices { pthread_cond_broadcast(&conditions[index]) }
  }

  /// Calls `body` now, and again each time when the thread is woken for the condition, until it returns a value. Blocks.
  func wait<Result>(for condition: Int, _ body: (inout State) -> Result?) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&state) { return result }
      pthread_cond_wait(&conditions[condition], mutex)
    }
  }
}

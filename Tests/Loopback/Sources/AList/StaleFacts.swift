import Synchronization

/// What fs/get goes on telling after an upload, until a fresh listing of the folder (`--stale-get`).
final class StaleFacts: Sendable {
  private let isOn: Bool
  private let before = Mutex<[String: FileFacts?]>([:])

  init(isOn: Bool) {
    self.isOn = isOn
  }

  /// Notes what was there before an upload; the oldest state stays.
  func remember(_ path: String, _ facts: FileFacts?) {
    guard isOn else { return }
    before.withLock { if $0[path] == nil { $0[path] = .some(facts) } }
  }

  /// What fs/get tells: the outer nil means the truth.
  func facts(_ path: String) -> FileFacts?? { before.withLock { $0[path] } }

  func refresh(_ folder: String) {
    before.withLock { $0 = $0.filter { AListPath.parent($0.key) != folder } }
  }
}

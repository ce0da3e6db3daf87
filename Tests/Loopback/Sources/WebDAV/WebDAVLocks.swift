import Synchronization

/// The locks that every change takes for as long as it runs (server/webdav/lock.go): an upload whose connection was cut has its own until the
/// server has noticed.
final class WebDAVLocks: Sendable {
  private let held = Mutex<Set<String>>([])

  /// Answers 423 if one of the paths is taken.
  func holding(_ paths: [String], _ work: () async throws -> Answer) async throws -> Answer {
    let isFree = held.withLock { held in
      guard held.isDisjoint(with: paths) else { return false }
      held.formUnion(paths)
      return true
    }
    guard isFree else { return WebDAV.status(423) }
    defer { held.withLock { $0.subtract(paths) } }
    return try await work()
  }
}

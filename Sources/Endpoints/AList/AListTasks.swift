import BytePath
import Synchronization

/// Uploads that AList goes on with by itself after it has the bytes.
final class AListTasks: Sendable {
  /// States of xhofe/tache and OpenListTeam/tache, state.go.
  private enum State {
    static let succeeded: Int64 = 2
    static let canceled: Int64 = 4
    static let failed: Int64 = 7
    /// Cancelling, cancelled, errored, failing, failed.
    static let ended: ClosedRange<Int64> = 3...7
  }

  private let api: AListAPI
  /// Of a name, by their IDs, before the first attempt to put the object that is put to it now.
  private let before = Mutex<[String: (meter: Meter, tasks: Set<String>)]>([:])

  init(_ api: AListAPI) { self.api = api }

  /// The task that an earlier attempt to put the same object has left at the server, if its answer was lost and the server goes on all the same: a
  /// second upload would be a second writer of the same name.
  ///
  /// - Parameter meter: the same for all attempts to put one object. Before the first the tasks that are there are of others, also of this run.
  func begunEarlier(_ path: String, _ meter: Meter) async throws(Failure) -> JSONValue? {
    var present: [String: JSONValue] = [:]
    for list in ["undone", "done"] {
      let reply = try await api.reply(to: HTTPRequest(method: .get, url: api.url("/api/task/upload/\(list)")))
      try AListCode.check(reply, path)
      for task in reply.data?.array ?? [] {
        guard let id = task["id"]?.string, let name = task["name"]?.string, AListTasks.isName(name, of: path) else { continue }
        present[id] = task
      }
    }
    let earlier = before.withLock { before -> Set<String>? in
      if let known = before[path], known.meter === meter { return known.tasks }
      before[path] = (meter, Set(present.keys))
      return nil
    }
    guard let earlier else { return nil }
    return present.first { !earlier.contains($0.key) && !State.ended.contains($0.value["state"]?.integer ?? State.failed) }?.value
  }

  /// Whether a task is of this path: `upload NAME to [MOUNT](FOLDER)` (internal/fs/put.go).
  private static func isName(_ text: String, of path: String) -> Bool {
    let start = "upload \(AList.name(of: path)) to ["
    guard text.hasPrefix(start), text.hasSuffix(")"), let border = text.firstRange(of: "](") else { return false }
    let mount = text[..<border.lowerBound].dropFirst(start.count)
    let folder = text[border.upperBound...].dropLast()
    return "\(mount)/\(folder)/".split(separator: "/") == AList.parent(of: path).split(separator: "/")
  }

  /// Returns the task: at once, or when it has succeeded.
  ///
  /// - Throws: `server` with the server's error if the task fails.
  func follow(_ task: JSONValue, of path: String, untilEnd: Bool, _ meter: Meter) async throws(Failure) -> JSONValue {
    guard untilEnd, let id = task["id"]?.string else { return task }
    // A growing interval: short uploads are reported at once, long ones cost the server little.
    var interval = Duration.milliseconds(100)
    var last = task
    while true {
      if let progress = last["progress"]?.number { meter.setServerPercent(Int(min(max(progress, 0), 100))) }
      if let state = last["state"]?.integer {
        if state == State.succeeded { return last }
        // A running task passes through 4 on its way to 7; as long as nobody cancels a pending one the end is 7.
        if state == State.failed || (state == State.canceled && last["progress"]?.number == 0) { throw failure(last, path) }
      }
      do { try await Task.sleep(for: interval) } catch { throw .interrupted }
      interval = min(interval * 1.5, .seconds(5))
      last = try await poll(id, of: path, last)
    }
  }

  private func poll(_ id: String, of path: String, _ last: JSONValue) async throws(Failure) -> JSONValue {
    let reply = try await api.reply(to: HTTPRequest(method: .post, url: api.url("/api/task/upload/info?tid=\(URLText.encoded(id))")))
    if reply.code == 404 {
      // Tasks live in the server's memory alone; one that is gone says nothing of its end.
      var failure = Failure(.server, "the server no longer knows the task of \(path)", hint: "it may have been restarted", retryable: true)
      failure.isOutcomeUnknown = true
      failure.task = last
      throw failure
    }
    try AListCode.check(reply, path)
    guard let data = reply.data, data.isObject else {
      throw reply.answer.withEvidence(Failure(.protocol, "the server says nothing of the task \(id)"))
    }
    return data
  }

  private func failure(_ task: JSONValue, _ path: String) -> Failure {
    let error = task["error"]?.string ?? ""
    let wasCancelled = error.contains("context canceled")
    let words = "the server's task for \(path) \(wasCancelled ? "was cancelled" : "failed"): \(error.isEmpty ? "no reason given" : error)"
    var failure = AListCode.storageFailure(error, path)
    failure.message = words
    if wasCancelled { failure.isRetryable = false }
    failure.task = task
    return failure
  }
}

import BytePath

/// An upload that AList goes on with by itself after it has the bytes.
struct AListTask {
  /// States of xhofe/tache and OpenListTeam/tache, state.go.
  private enum State {
    static let succeeded: Int64 = 2
    static let canceled: Int64 = 4
    static let failed: Int64 = 7
    /// Cancelling, cancelled, errored, failing, failed.
    static let ended: ClosedRange<Int64> = 3...7
  }

  private let api: AListAPI
  private let path: String
  private let meter: Meter

  init(_ api: AListAPI, _ path: String, _ meter: Meter) {
    self.api = api
    self.path = path
    self.meter = meter
  }

  /// The task that an earlier attempt of this run has left at the server, if its answer was lost and the server goes on all the same: a
  /// second upload would be a second writer of the same name.
  func begunEarlier() async throws(Failure) -> JSONValue? {
    var present: [String: JSONValue] = [:]
    for list in ["undone", "done"] {
      let reply = try await api.reply(to: HTTPRequest(method: .get, url: api.url("/api/task/upload/\(list)")))
      try AListCode.check(reply, path)
      for task in reply.data?.array ?? [] {
        guard let id = task["id"]?.string, let name = task["name"]?.string, isName(name) else { continue }
        present[id] = task
      }
    }
    guard let before = api.tasksBefore(path, current: Set(present.keys)) else { return nil }
    return present.first { !before.contains($0.key) && !State.ended.contains($0.value["state"]?.integer ?? State.failed) }?.value
  }

  /// Whether a task is of this path: `upload NAME to [MOUNT](FOLDER)` (internal/fs/put.go).
  private func isName(_ text: String) -> Bool {
    let slash = path.lastIndex(of: "/") ?? path.startIndex
    let start = "upload \(path[path.index(after: slash)...]) to ["
    guard text.hasPrefix(start), text.hasSuffix(")"), let border = text.firstRange(of: "](") else { return false }
    let mount = text[..<border.lowerBound].dropFirst(start.count)
    let folder = text[border.upperBound...].dropLast()
    return "\(mount)/\(folder)/".split(separator: "/") == path[..<slash].split(separator: "/")
  }

  /// Returns the task: at once, or when it has succeeded.
  ///
  /// - Throws: `server` with the server's error if the task fails.
  func follow(_ task: JSONValue, untilEnd: Bool) async throws(Failure) -> JSONValue {
    guard untilEnd, let id = task["id"]?.string else { return task }
    // A growing interval: short uploads are reported at once, long ones cost the server little.
    var interval = Duration.milliseconds(100)
    var last = task
    while true {
      if let progress = last["progress"]?.number { meter.setServerPercent(Int(min(max(progress, 0), 100))) }
      if let state = last["state"]?.integer {
        if state == State.succeeded { return last }
        // A running task passes through 4 on its way to 7; as long as nobody cancels a pending one the end is 7.
        if state == State.failed || (state == State.canceled && last["progress"]?.number == 0) { throw failure(last) }
      }
      do { try await Task.sleep(for: interval) } catch { throw .interrupted }
      interval = min(interval * 1.5, .seconds(5))
      last = try await poll(id, last)
    }
  }

  private func poll(_ id: String, _ last: JSONValue) async throws(Failure) -> JSONValue {
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

  private func failure(_ task: JSONValue) -> Failure {
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

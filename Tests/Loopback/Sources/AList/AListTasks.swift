import Synchronization

/// All upload tasks, running and done. Kept in memory, as the real servers do.
final class AListTasks: Sendable {
  /// The calls and their methods; any other method gets the start page.
  static let routes = [
    "info": "POST", "cancel": "POST", "delete": "POST", "retry": "POST", "undone": "GET", "done": "GET",
  ]

  private let behaviour: BehaviourOptions
  private let storage: AListStorage
  private let tasks = Mutex<[AListTask]>([])

  init(_ behaviour: BehaviourOptions, storage: AListStorage) {
    self.behaviour = behaviour
    self.storage = storage
  }

  func start(_ task: AListTask) {
    tasks.withLock { $0.append(task) }
    Task.detached { await self.run(task) }
  }

  func answer(_ call: String, id: String) -> Answer {
    let all = tasks.withLock { $0 }
    switch call {
    case "undone": return AList.success(.array(all.filter { !$0.state.isFinal }.map { $0.json(behaviour.flavor) }))
    case "done": return AList.success(.array(all.filter(\.state.isFinal).map { $0.json(behaviour.flavor) }))
    default: break
    }
    guard let task = all.first(where: { $0.id == id }) else { return AList.envelope(404, "task not found") }
    switch call {
    case "info": return AList.success(task.json(behaviour.flavor))
    case "cancel": change(id) { $0.isCancelled = true }
    // A running task is only forgotten: it goes on.
    case "delete": tasks.withLock { $0.removeAll { $0.id == id } }
    // The body is gone after the first run, so that a second one fails as the first did.
    default: change(id) { if $0.state == .failed { ($0.started, $0.ended) = (.now, .now) } }
    }
    return AList.success()
  }

  private func run(_ task: AListTask) async {
    change(task.id) {
      $0.state = .running
      $0.started = .now
    }
    let isWhole = await waitForDelay(task.id)
    let failure = isWhole ? deliver(task) : "context canceled"
    // The body has been moved to its place, or is of no use any more.
    if failure != nil { try? Folder(task.spool).remove("") }
    change(task.id) { $0.end(failure == nil ? .succeeded : .failed, error: failure ?? "") }
  }

  /// Lets `--task-delay` go by, with rising progress. False if the task was cancelled meanwhile.
  private func waitForDelay(_ id: String) async -> Bool {
    let step = 20
    for passed in stride(from: 0, to: behaviour.taskDelay, by: step) {
      change(id) { $0.progress = 100 * Double(passed) / Double(max(1, self.behaviour.taskDelay)) }
      if isCancelled(id) { return false }
      try? await Task.sleep(for: .milliseconds(min(step, behaviour.taskDelay - passed)))
    }
    return !isCancelled(id)
  }

  /// Puts the object into its place. Gives the error's text, or nil.
  private func deliver(_ task: AListTask) -> String? {
    if let text = behaviour.failTask { return text }
    do {
      // OpenList cannot upload an empty body as a task; what was at its place goes.
      if behaviour.flavor == .openlist, task.total == 0 {
        try storage.makeRoom(for: task.path)
        try storage.told { () throws(FileError) in try storage.folder.remove(task.path) }
        return "context canceled"
      }
      try storage.put(task.spool, at: task.path, modified: task.modified)
      return nil
    } catch let refusal as Refusal {
      guard case .bytes(let bytes) = refusal.answer.body else { return "unknown" }
      return JSON.parse(bytes)?["message"]?.string ?? "unknown"
    } catch {
      return "\(error)"
    }
  }

  private func isCancelled(_ id: String) -> Bool {
    tasks.withLock { $0.first { $0.id == id }?.isCancelled ?? false }
  }

  private func change(_ id: String, _ edit: (inout AListTask) -> Void) {
    tasks.withLock {
      guard let index = $0.firstIndex(where: { $0.id == id }) else { return }
      edit(&$0[index])
    }
  }
}

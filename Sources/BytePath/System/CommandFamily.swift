import Synchronization

/// A command and what it has started itself, as far as the system tells. On a terminal a signal to the command alone does not reach the
/// others.
public final class CommandFamily: Sendable {
  private let state = Mutex<(root: Int32?, seen: [SeenProcess])>((nil, []))

  public init() {}

  /// - Parameter id: of the command.
  public func begin(with id: Int32) { state.withLock { $0.root = id } }

  /// Asks the command and all that it has started to end: at once where it leads a group, so that nothing can be started in between, else each
  /// before its children. A shell would go on with the next command of its line when one has ended.
  public func terminate() {
    state.withLock { state in
      guard let root = state.root else { return }
      state.seen = SeenProcess.process(root) + SeenProcess.descendants(of: root)
      guard !SeenProcess.signal(groupOf: root, SIGTERM) else { return }
      for process in state.seen { process.send(SIGTERM) }
    }
  }

  /// Ends those that were asked, the command and whatever it has started since.
  public func kill() {
    state.withLock { state in
      let now = state.root.map { SeenProcess.process($0) + SeenProcess.descendants(of: $0) } ?? []
      for process in state.seen + now { process.send(SIGKILL) }
    }
  }

  /// The command has ended, and its number may be another one's.
  public func end() { state.withLock { $0.root = nil } }
}

/// A process that was seen, and is not taken for a later one of the same number.
private struct SeenProcess: Sendable {
  private let id: pid_t
  /// When it was started, as the system counts.
  private let start: Substring

  /// The process of a number, if there is one.
  static func process(_ id: pid_t) -> [SeenProcess] { fields(of: id).map { [SeenProcess(id: id, start: $0.start)] } ?? [] }

  /// The children of a process, theirs, and so on; none where the system has no /proc (proc(5), `/proc/pid/stat`).
  static func descendants(of root: Int32) -> [SeenProcess] {
    var children: [pid_t: [SeenProcess]] = [:]
    for id in ((try? namesInDirectory("/proc")) ?? []).compactMap({ pid_t($0) }) {
      guard let fields = fields(of: id), let parent = pid_t(fields.parent) else { continue }
      children[parent, default: []].append(SeenProcess(id: id, start: fields.start))
    }
    var all: [SeenProcess] = []
    var next = [root]
    while let parent = next.popLast() {
      let found = children.removeValue(forKey: parent) ?? []
      all += found
      next += found.map(\.id)
    }
    return all
  }

  /// What stands behind the name, which may have blanks and brackets in it: the state, the parent, …, and as the 20th the time of the start.
  private static func fields(of id: pid_t) -> (parent: Substring, start: Substring)? {
    guard let bytes = try? Descriptor.open("/proc/\(id)/stat", O_RDONLY).contents(limit: 4096),
      let end = bytes.lastIndex(of: UInt8(ascii: ")"))
    else { return nil }
    let fields = String(decoding: bytes[(end + 1)...], as: UTF8.self).split(separator: " ")
    return fields.count >= 20 ? (fields[1], fields[19]) : nil
  }

  /// - Returns: false if the process leads no group.
  static func signal(groupOf leader: Int32, _ signal: CInt) -> Bool { getpgid(leader) == leader && kill(-leader, signal) == 0 }

  /// Sends it a signal, unless it has ended.
  func send(_ signal: CInt) {
    guard SeenProcess.fields(of: id)?.start == start else { return }
    kill(id, signal)
  }
}

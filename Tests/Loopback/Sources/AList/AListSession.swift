import Synchronization

/// A session of OpenList's chunked uploads, as its snapshot tells of it.
struct AListSession: Sendable {
  let id: String
  let path: String
  let user: String
  let size: Int
  let chunkSize: Int
  let hashes: [String: String]
  let modified: Moment?
  var state = "receiving"
  /// Why the storage did not take it.
  var error: String?
  var attempt = 0
  var received: Set<Int> = []
  /// Chunks that a request is sending just now.
  var running: Set<Int> = []

  var chunks: Int { (max(size, 1) - 1) / chunkSize + 1 }
  var receivedBytes: Int { received.reduce(0) { $0 + range(of: $1).count } }
  /// The first chunk that is missing.
  var frontier: Int { (0..<chunks).first { !received.contains($0) } ?? chunks }

  /// Whether the hashes of an `init` prove that it is for the same file: one at least is in both, and all that are agree.
  func isProved(by others: [String: String]) -> Bool {
    let shared = hashes.filter { others[$0.key] != nil }
    return !shared.isEmpty && shared.allSatisfy { others[$0.key] == $0.value }
  }

  /// The storage has failed; of what came nothing counts any more.
  mutating func fail(_ reason: String) {
    state = "failed_retriable"
    error = reason
    attempt += 1
    received = []
  }

  /// - Parameter index: below `chunks`.
  func range(of index: Int) -> Range<Int> {
    let start = index * chunkSize
    return start..<start + min(chunkSize, size - start)
  }

  /// - Parameter resumed: nil where the answer does not say.
  func json(resumed: Bool?) -> JSON {
    var spans: [[Int]] = []
    for index in received.sorted() {
      if spans.last?[1] == index - 1 { spans[spans.count - 1][1] = index } else { spans.append([index, index]) }
    }
    let ranges = spans.map { JSON.array($0.map { .int(Int64($0)) }) }
    let bytes = receivedBytes
    var members: [(String, JSON)] = [
      ("upload_id", .string(id)), ("state", .string(state)), ("attempt", .int(Int64(attempt))), ("path", .string(path)),
      ("size", .int(Int64(size))),
      ("chunk_size", .int(Int64(chunkSize))), ("total_chunks", .int(Int64(chunks))), ("received", ranges.isEmpty ? .null : .array(ranges)),
      ("received_bytes", .int(Int64(bytes))), ("frontier", .int(Int64(frontier))),
      ("storage_progress", .double(state == "completed" ? 100 : size == 0 ? 0 : 50 * Double(bytes) / Double(size))),
    ]
    if let error { members.append(("error", .string(error))) }
    if let resumed { members.append(("resumed", .bool(resumed))) }
    return .object(members)
  }
}

/// All sessions. Kept in memory, as the real server does.
final class AListSessions: Sendable {
  private let sessions = Mutex<[String: AListSession]>([:])

  func find(_ id: String) -> AListSession? { sessions.withLock { $0[id] } }

  func find(_ path: String, size: Int, user: String) -> AListSession? {
    sessions.withLock { $0.values.first { $0.path == path && $0.size == size && $0.user == user } }
  }

  func keep(_ session: AListSession) { sessions.withLock { $0[session.id] = session } }

  func forget(_ id: String) { _ = sessions.withLock { $0.removeValue(forKey: id) } }

  /// Changes a session and gives what it is then; nil if there is none.
  @discardableResult
  func change(_ id: String, _ edit: (inout AListSession) -> Void) -> AListSession? {
    sessions.withLock { sessions in
      guard var session = sessions[id] else { return nil }
      edit(&session)
      sessions[id] = session
      return session
    }
  }
}

/// An upload task: the body is on disk, the object is not yet in its place.
struct AListTask: Sendable {
  /// The numbers of the real servers.
  enum State: Int64, Sendable {
    case pending = 0
    case running = 1
    case succeeded = 2
    case failed = 7

    var isFinal: Bool { self == .succeeded || self == .failed }
  }

  let id = RandomText.make(21)
  let path: String
  let creator: String
  let creatorRole: Int64
  let spool: String
  let total: Int64
  let modified: Moment?
  var state = State.pending
  var progress = 0.0
  var started: Moment?
  var ended: Moment?
  var error = ""
  var isCancelled = false

  func json(_ flavor: Flavor) -> JSON {
    .object([
      ("id", .string(id)), ("name", .string("upload \(AListPath.name(path)) to [/](\(AListPath.parent(path)))")),
      ("creator", .string(creator)), ("creator_role", flavor == .openlist ? .int(creatorRole) : .array([.int(creatorRole)])),
      ("state", .int(state.rawValue)), ("status", .string("uploading")), ("progress", .double(progress)),
      ("start_time", started.map { .string($0.rfc3339) } ?? .null), ("end_time", ended.map { .string($0.rfc3339) } ?? .null),
      ("total_bytes", .int(total)), ("error", .string(error)),
    ])
  }

  mutating func end(_ final: State, error: String = "") {
    state = final
    ended = .now
    self.error = error
    // The real servers count in steps, and so a task of a few bytes ends with 0.
    if final == .succeeded, total >= 100 || progress > 0 { progress = 100 }
  }
}

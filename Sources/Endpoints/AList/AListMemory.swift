import BytePath

/// What the checkpoint of an upload to AList says: the name that the object has at the server for now, and how far it has come there.
struct AListMemory: Sendable {
  enum Stage: String {
    /// A put to the name has begun.
    case sending
    /// A session for the name has begun.
    case chunking
    /// The server has all chunks, and was asked to finish.
    case completing
    /// The object is whole, and lacks its final name.
    case renaming
    /// The same, and an older object of the same size has that name.
    case replacing
    /// The same, and the older object is moved aside first.
    case swapping
  }

  struct Noted: Sendable {
    let stage: Stage
    let name: String
    /// The name to which an older object was moved, or was about to be.
    var aside: String?
    /// The ID of the session, once the server has given one.
    var session: String?
  }

  let checkpoint: Checkpoint
  /// The final path of the object.
  let path: String

  /// - Parameters:
  ///   - aside: the name to which an older object is moved.
  ///   - session: the ID of the session.
  func note(_ stage: Stage, _ name: String, aside: String? = nil, session: String? = nil) {
    // No path has a tab in it, and each begins with a slash, which an ID has none of.
    let id = session.flatMap { AListMemory.isID($0) ? $0 : nil }
    checkpoint.set((["\(stage.rawValue) \(name)"] + [aside, id].compactMap { $0 }).joined(separator: "\t"))
  }

  func clear() {
    checkpoint.set(nil)
  }

  /// Nil if there is nothing, or nothing that this upload can have written: a job that somebody has changed must not make us touch anything
  /// else.
  var noted: Noted? {
    guard let words = checkpoint.text?.split(separator: " ", maxSplits: 1), words.count == 2, let stage = Stage(rawValue: String(words[0]))
    else { return nil }
    let fields = words[1].split(separator: "\t").map(String.init)
    let aside = fields.dropFirst().first { $0.hasPrefix("/") }
    guard let name = fields.first, name == path || isTemporary(name), aside.map(isTemporary) ?? true else { return nil }
    return Noted(stage: stage, name: name, aside: aside, session: fields.dropFirst().first(where: AListMemory.isID))
  }

  /// Full paths of what may be at the server now that is not the object under its name.
  var left: [String] {
    guard let noted else { return [] }
    // A session by the object's own name is for drives that show it when it is whole.
    let isShown = noted.name != path || noted.stage == .sending
    return (isShown ? [noted.name] : []) + (noted.aside.map { [$0] } ?? [])
  }

  private func isTemporary(_ name: String) -> Bool {
    AList.parent(of: name) == AList.parent(of: path) && AList.name(of: name).contains(".sluice-")
  }

  private static func isID(_ text: String) -> Bool {
    !text.isEmpty && !text.hasPrefix("/") && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
  }

  /// Removes what the server has of an upload that will not go on. What is not there any more needs nothing.
  ///
  /// - Parameter length: of the object, in bytes.
  func discard(length: Int64, with api: AListAPI) async throws(Failure) {
    guard let noted else { return }
    if noted.stage == .chunking || noted.stage == .completing { try await AListSession.abort(noted, length: length, path, api) }
    if noted.name != path || noted.aside != nil { try await api.refresh(AList.parent(of: path)) }
    if let aside = noted.aside, try await api.entry(aside) != nil {
      // Where something has the name, the older object was replaced.
      if try await api.entry(path) == nil {
        try AListCode.check(try await api.rename(aside, to: AList.name(of: path), overwriting: false), path)
      } else {
        try await api.remove(aside)
      }
    }
    if noted.name != path { try await api.remove(noted.name) }
    clear()
  }
}

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

  let checkpoint: Checkpoint
  /// The final path of the object.
  let path: String

  /// - Parameter aside: the name to which an older object is moved.
  func note(_ stage: Stage, _ name: String, aside: String? = nil) {
    // No path has a tab in it.
    checkpoint.set("\(stage.rawValue) \(name)" + (aside.map { "\t\($0)" } ?? ""))
  }

  func clear() {
    checkpoint.set(nil)
  }

  /// Nil if there is nothing, or nothing that this upload can have written: a job that somebody has changed must not make us touch anything
  /// else.
  var noted: (stage: Stage, name: String, aside: String?)? {
    guard let words = checkpoint.text?.split(separator: " ", maxSplits: 1), words.count == 2, let stage = Stage(rawValue: String(words[0]))
    else { return nil }
    let names = words[1].split(separator: "\t").map(String.init)
    guard let name = names.first, name == path || isTemporary(name), names.dropFirst().allSatisfy(isTemporary) else { return nil }
    return (stage, name, names.count > 1 ? names[1] : nil)
  }

  private func isTemporary(_ name: String) -> Bool {
    AList.parent(of: name) == AList.parent(of: path) && AList.name(of: name).contains(".sluice-")
  }

  /// Removes what the server has of an upload that will not go on.
  ///
  /// - Parameter length: of the object, in bytes.
  func discard(length: Int64, with api: AListAPI) async throws(Failure) {
    guard let noted else { return }
    if noted.stage == .chunking || noted.stage == .completing {
      let status = try await AListSession.status(of: noted.name, length: length, api)
      if let id = status.data?["upload_id"]?.string { _ = try await api.reply(to: AListSession.request("abort", id: id, api)) }
    }
    if let aside = noted.aside, try await api.entry(aside) != nil, try await api.entry(path) == nil {
      try AListCode.check(try await api.rename(aside, to: AList.name(of: path), overwriting: false), path)
    }
    if noted.name != path { try await api.remove(noted.name) }
    clear()
  }
}

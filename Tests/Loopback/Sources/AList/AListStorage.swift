/// The Local driver, with what `op.Put` does around it. Its refusals carry code 500.
struct AListStorage: Sendable {
  let folder: Folder
  let flavor: Flavor
  /// How many bytes of an object the disk takes; nil for all.
  let room: Int?

  /// Makes the parents of an upload's target and clears its place, as far as the real server does.
  func makeRoom(for path: String) throws {
    guard path != "/" else { throw refusal(rootMessage) }
    guard !path.contains("\0") else { throw refusal("open \(folder.real(path)): invalid argument") }
    try makeParents(of: path)
    guard folder.facts(path)?.isDirectory == true else { return }
    // AList's Local driver reports folders with size 0, and whatever has size 0 is removed first: recursively.
    guard flavor == .alist else { throw refusal("open \(folder.real(path)): is a directory") }
    try told { () throws(FileError) in try folder.remove(path) }
  }

  func put(_ sourceFile: String, at path: String, modified: Moment?) throws {
    try makeRoom(for: path)
    try told { () throws(FileError) in try Folder.move(sourceFile, folder.real(path)) }
    if let room, let size = folder.facts(path)?.size, size > Int64(room) {
      // What the real driver has copied by then stays.
      try told { () throws(FileError) in try folder.truncate(path, to: room) }
      throw refusal(FileError("write", folder.real(path), ENOSPC).description)
    }
    try setModified(path, modified)
  }

  func setModified(_ path: String, _ moment: Moment?) throws {
    guard let moment else { return }
    try told { () throws(FileError) in try folder.setModified(path, to: moment) }
  }

  /// Turns a failed system call into the answer 500 with its text.
  func told<T>(_ work: () throws(FileError) -> T) throws -> T {
    do throws(FileError) { return try work() } catch { throw refusal(error.description) }
  }

  func refusal(_ message: String) -> Refusal { Refusal(AList.envelope(500, message)) }

  private func makeParents(of path: String) throws {
    let parent = AListPath.parent(path)
    var walked = ""
    for part in parent.split(separator: "/") {
      walked += "/" + part
      guard let facts = folder.facts(walked), !facts.isDirectory else { continue }
      if walked == parent { throw refusal("failed to make dir [\(parent)]: file exists") }
      let check =
        flavor == .openlist ? "failed to get obj: stat \(folder.real(parent)): not a directory" : "failed get parent list: not a folder"
      throw refusal("failed to make dir [\(parent)]: failed to check if dir exists: \(check)")
    }
    do throws(FileError) { try folder.makeDirectories(parent) } catch {
      throw refusal("failed to make dir [\(parent)]: \(error)")
    }
  }

  private var rootMessage: String {
    let hint = flavor == .openlist ? "" : ", please goto the manage page to delete the storage instead"
    return "while uploading, failed remove existing file which size = 0: delete root folder is not allowed" + hint
  }
}

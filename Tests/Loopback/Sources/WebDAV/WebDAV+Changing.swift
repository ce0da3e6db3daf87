import NIOCore

/// PUT, MKCOL, MOVE and DELETE.
extension WebDAV {
  func put(_ exchange: Exchange, _ path: String) async throws -> Answer {
    do {
      guard exchange.path != WebDAV.prefix else { throw Refusal(WebDAV.status(405)) }
      try demand(.write, on: path)
      let modified = exchange.header("X-OC-Mtime").flatMap { Int64($0) }.map { Moment(seconds: $0) }
      do {
        try await alist.store(exchange, at: path, modified: modified)
        if !alist.isOpenList, !exchange.hasBody { try storeLineBreak(path) }
      } catch is Refusal { throw Refusal(WebDAV.status(405)) }
      return WebDAV.status(201)
    } catch let refusal as Refusal {
      throw Refusal(refusal.answer.leaving(alist.isOpenList ? .drained(sendingContinue: false) : .left))
    }
  }

  /// AList's handler takes an upload of no bytes for one of a line break.
  private func storeLineBreak(_ path: String) throws {
    try alist.storage.told { () throws(FileError) in
      var sink = try FileSink(folder.real(path))
      try sink.append(ByteBuffer(string: "\n"))
    }
  }

  func makeFolder(_ exchange: Exchange, _ path: String) throws -> Answer {
    guard !exchange.hasBody else { return WebDAV.status(415) }
    guard folder.facts(path) == nil else { return WebDAV.status(405) }
    let parent = AListPath.parent(path)
    guard let above = folder.facts(parent) else { return WebDAV.status(isBelowFile(parent) ? 405 : 409) }
    try demand(.write, on: path)
    guard above.isDirectory else { return WebDAV.status(405) }
    do throws(FileError) { try folder.makeDirectories(path) } catch { return WebDAV.status(405) }
    return WebDAV.status(201)
  }

  /// Whether one of the parents is a file: then it is no "not found" to the real servers.
  private func isBelowFile(_ path: String) -> Bool {
    var above = AListPath.parent(path)
    while folder.facts(above) == nil { above = AListPath.parent(above) }
    return folder.facts(above)?.isDirectory == false
  }

  func delete(_ path: String) throws -> Answer {
    try demand(.remove, on: path)
    guard folder.facts(path) != nil else { return WebDAV.status(404) }
    guard path != "/" else { return WebDAV.status(405) }
    do throws(FileError) { try folder.remove(path) } catch { return WebDAV.status(405) }
    return Answer(status: 204)
  }

  func move(_ path: String, to target: String, isReplacing: Bool) throws -> Answer {
    let (old, new) = (AListPath.parent(path), AListPath.parent(target))
    if old != new { try demand(.move, on: path) }
    if AListPath.name(path) != AListPath.name(target) { try demand(.rename, on: path) }
    var isThere = false
    // AList looks at neither `Overwrite` nor the target. OpenList removes what is there, a folder with all that is in it.
    if alist.isOpenList {
      guard folder.facts(new)?.isDirectory == true else { return WebDAV.status(409) }
      isThere = folder.facts(target) != nil
      guard isReplacing || !isThere else { return WebDAV.status(412) }
      guard target != "/" else { return WebDAV.status(500) }
      do throws(FileError) { try folder.remove(target) } catch { return WebDAV.status(500) }
    }
    do throws(FileError) { try folder.rename(path, to: target) } catch { return WebDAV.status(500) }
    return isThere ? Answer(status: 204) : WebDAV.status(201)
  }
}

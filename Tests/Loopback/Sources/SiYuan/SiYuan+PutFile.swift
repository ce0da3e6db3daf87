import NIOCore

/// POST /api/file/putFile.
extension SiYuan {
  func putFile(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    try demandWritable()
    let spool = incoming.real("/" + RandomText.make(16))
    // Moved to its place, or of no use.
    defer { try? Folder(spool).remove("") }
    let form: UploadForm
    do {
      form = try await UploadForm.read(exchange, to: spool)
    } catch is MalformedForm {
      try await exchange.drain(sendingContinue: true)
      return Self.emptyPath
    } catch is BodyCut {
      return Self.emptyPath
    } catch let error as FileError {
      return Self.envelope(-1, error.description).leaving(.drained(sendingContinue: true))
    }
    do throws(FileError) { return try store(form, spool: spool) } catch { return Self.envelope(-1, error.description) }
  }

  /// Also the answer to a body that is no form, or only a part of one.
  private static var emptyPath: Answer { envelope(400, "path must not be empty") }

  private func store(_ form: UploadForm, spool: String) throws(FileError) -> Answer {
    let path = form.value("path").trimmed
    guard !path.isEmpty else { return Self.emptyPath }
    guard let entry = SiYuanPath.inWorkspace(path) else { return Self.envelope(403, "permission denied") }
    let there = workspace.facts(entry)
    let slash = entry.lastIndex(of: "/") ?? entry.startIndex
    if there == nil, !SiYuanPath.isAllowed(String(entry[entry.index(after: slash)...])) {
      let page = "https://github.com/siyuan-note/siyuan/issues/14658"
      return Self.envelope(400, "invalid file path. For details, please check \(page)")
    }
    if ["1", "t", "T", "TRUE", "true", "True"].contains(form.value("isDir")) {
      try workspace.makeDirectories(entry)
    } else {
      if there?.isDirectory == true { return Self.envelope(400, "path is a directory") }
      guard form.fileName != nil else { return Self.envelope(400, "Field [file] must not be empty") }
      try workspace.makeDirectories(String(entry[..<slash]))
      try Folder.move(spool, workspace.real(entry))
    }
    return try setModified(entry, form.value("modTime"))
  }

  /// After the file is in its place: a time that is no number is an error, and yet the file stays.
  private func setModified(_ entry: String, _ text: String) throws(FileError) -> Answer {
    if !text.isEmpty {
      guard let milliseconds = Int64(text) else {
        return Self.envelope(500, "strconv.ParseInt: parsing \(JSON.string(text).text): invalid syntax")
      }
      // Go counts the nanoseconds since 1970 in 64 bits, and what has no room in them becomes another time.
      let nanoseconds = milliseconds.multipliedReportingOverflow(by: 1_000_000).partialValue
      try workspace.setModified(entry, to: Moment(milliseconds: nanoseconds / 1_000_000))
    }
    return Self.envelope(0, "")
  }
}

extension String {
  /// Without white space at the ends.
  fileprivate var trimmed: String {
    var rest = self[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }
}

/// fs/mkdir, rename, move and remove.
extension AList {
  func makeDirectory(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let path = try await request(exchange).path("path")
    try rights.demand(.write, on: path)
    if folder.facts(path)?.isDirectory == false { throw storage.refusal("file exists") }
    try storage.told { () throws(FileError) in try folder.makeDirectories(path) }
    return Self.success()
  }

  func rename(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let request = try await request(exchange)
    let old = try request.path("path")
    let name = request.text("name")
    try rights.demand(.rename, on: old)
    try checkName(name)
    let new = AListPath.joined(AListPath.parent(old), name)
    if request.json["overwrite"]?.bool != true, folder.facts(new) != nil {
      return Self.envelope(403, "file [\(name)] exists")
    }
    guard folder.facts(old) != nil else { throw storage.refusal("failed to get src object: " + missing(old)) }
    stale.remember(new, folder.facts(new))
    try storage.told { () throws(FileError) in try folder.rename(old, to: new) }
    return Self.success()
  }

  func move(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let request = try await request(exchange)
    let source = try request.path("src_dir")
    let target = try request.path("dst_dir")
    let names = request.json["names"]?.strings ?? []
    guard !names.isEmpty else { return Self.envelope(400, "Empty file names") }
    try rights.demand(.move, on: source)
    try rights.demand(.move, on: target)
    for name in names {
      try checkName(name)
      if request.json["overwrite"]?.bool != true, folder.facts(AListPath.joined(target, name)) != nil {
        return Self.envelope(403, "file [\(name)] exists")
      }
    }
    for name in names {
      let old = AListPath.joined(source, name)
      guard folder.facts(old) != nil else { throw storage.refusal("failed to get src object: " + missing(old)) }
      try storage.told { () throws(FileError) in try folder.rename(old, to: AListPath.joined(target, name)) }
    }
    return Self.success()
  }

  func remove(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let request = try await request(exchange)
    let path = try request.path("dir")
    let names = request.json["names"]?.strings ?? []
    guard !names.isEmpty else { return Self.envelope(400, "Empty file names") }
    try rights.demand(.remove, on: path)
    for name in names {
      // OpenList takes "" and "." for the folder itself; AList refuses them.
      let isFolderItself = name.isEmpty || name == "."
      if isFolderItself, !isOpenList { return Self.envelope(400, "invalid file name") }
      if !isFolderItself { try checkName(name) }
      let entry = isFolderItself ? path : AListPath.joined(path, name)
      guard entry != "/" else { throw storage.refusal("delete root folder is not allowed") }
      try storage.told { () throws(FileError) in try folder.remove(entry) }
    }
    return Self.success()
  }

  /// A bare name: AList refuses any "..", even inside a word; OpenList what path cleaning would remove.
  private func checkName(_ name: String) throws {
    let isPath = name.contains("/") || name.contains("\\") || name.contains("\0")
    if isOpenList {
      guard !isPath, !name.isEmpty, name != ".", name != ".." else {
        throw Refusal(Self.envelope(403, "using relative path is not allowed"))
      }
    } else {
      guard !isPath, !name.isEmpty, name != ".", !name.contains("..") else {
        throw Refusal(Self.envelope(400, "invalid file name"))
      }
    }
  }
}

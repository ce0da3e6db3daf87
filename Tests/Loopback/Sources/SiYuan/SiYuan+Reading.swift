/// getFile, readDir, renameFile, removeFile, statAsset and the assets as a browser gets them.
extension SiYuan {
  func getFile(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    // Errors of this call alone come with status 202.
    let status = 202
    let path: String
    switch try await member("path", of: exchange) {
    case .failure(let message): return Self.envelope(-1, message, status: status)
    case .success(let text): path = text
    }
    guard !path.isEmpty else { return Self.envelope(-1, "Field [path] must not be empty", status: status) }
    guard let entry = SiYuanPath.inWorkspace(path) else { return Self.envelope(403, "permission denied", status: status) }
    guard let facts = workspace.facts(entry) else { return Self.envelope(404, "file does not exist", status: status) }
    guard !facts.isDirectory else { return Self.envelope(409, "path is a directory", status: status) }
    // The kernel has the bytes in memory and sets no length; what fits into its buffer gets one.
    return Answer(
      headers: [("Content-Type", Self.contentType(entry))], body: .file(workspace.real(entry), size: facts.size),
      isChunked: facts.size > 2048)
  }

  /// GET /assets/…: with a length, whatever it is, or a part.
  func asset(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    guard let path = try? AListPath.unescaped(exchange.path), let entry = SiYuanPath.inWorkspace("data" + path), !path.contains("..") else {
      return Answer(status: 403)
    }
    guard let facts = workspace.facts(entry), !facts.isDirectory else { return Answer(status: 404) }
    var answer = exchange.file(workspace.real(entry), size: facts.size, headers: facts.headers)
    answer.headers.append(("Content-Type", Self.contentType(entry)))
    return answer
  }

  func statAsset(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    guard case .success(let path) = try await member("path", of: exchange), path.hasPrefix("assets/"),
      let entry = SiYuanPath.inWorkspace("data/" + path), let facts = workspace.facts(entry)
    else { return Self.envelope(1, "") }
    let milliseconds = JSON.int(facts.modified.milliseconds)
    return Self.envelope(0, "", .object([("created", milliseconds), ("size", .int(Int64(facts.size))), ("updated", milliseconds)]))
  }

  func readDirectory(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    let path: String
    switch try await member("path", of: exchange) {
    case .failure(let message):
      guard case .bytes(let bytes) = Self.envelope(-1, message).body else { return Answer(status: 500) }
      // The kernel writes the error about bad JSON twice.
      let isTwice = message.hasPrefix("Parses")
      return Answer(
        headers: [("Content-Type", "application/json; charset=utf-8")], body: .bytes(isTwice ? bytes + bytes : bytes))
    case .success(let text): path = text
    }
    guard let entry = SiYuanPath.inWorkspace(path) else { return Self.envelope(403, "permission denied") }
    guard let facts = workspace.facts(entry) else {
      return errno == ENOENT ? Self.envelope(404, "path does not exist") : Self.internalError
    }
    guard facts.isDirectory else { return Self.envelope(409, "path is not a directory") }
    let names: [String]
    do throws(FileError) { names = try workspace.names(entry) } catch { return Self.envelope(500, error.description) }
    // The kernel asks for the target of each link.
    guard !names.contains(where: { access(workspace.real(entry) + "/" + $0, F_OK) != 0 }) else { return Self.internalError }
    let entries = names.compactMap { name -> JSON? in
      guard let facts = workspace.facts(entry == "/" ? "/" + name : entry + "/" + name) else { return nil }
      return .object([
        ("isDir", .bool(facts.isDirectory)), ("isSymlink", .bool(facts.isSymbolicLink)), ("name", .string(name)),
        ("updated", .int(Int64(facts.modified.seconds))),
      ])
    }
    return Self.envelope(0, "", .array(entries))
  }

  func renameFile(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    try demandWritable()
    let request = JSON.parse(try await exchange.smallBody())
    guard let old = request?["path"]?.string else { return Self.envelope(-1, "Field [path] is required") }
    guard let new = request?["newPath"]?.string else { return Self.envelope(-1, "Field [newPath] is required") }
    for (name, value) in [("path", old), ("newPath", new)] where value.isEmpty {
      return Self.envelope(-1, "Field [\(name)] must not be empty")
    }
    guard let source = SiYuanPath.inWorkspace(old), let target = SiYuanPath.inWorkspace(new) else {
      return Self.envelope(403, "permission denied")
    }
    guard workspace.facts(source) != nil else { return Self.envelope(404, "Field [path]: path does not exist") }
    guard workspace.facts(target) == nil else { return Self.envelope(409, "Field [newPath]: path already exists") }
    do throws(FileError) { try workspace.rename(source, to: target) } catch { return Self.envelope(500, error.description) }
    return Self.envelope(0, "")
  }

  func removeFile(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    try demandWritable()
    switch try await member("path", of: exchange) {
    case .failure(let message): return Self.envelope(-1, message)
    case .success(let path):
      guard !path.isEmpty else { return Self.envelope(-1, "Field [path] must not be empty") }
      guard let entry = SiYuanPath.inWorkspace(path), entry != "/" else { return Self.envelope(403, "permission denied") }
      guard workspace.facts(entry) != nil else { return Self.envelope(404, "path does not exist") }
      do throws(FileError) { try workspace.remove(entry) } catch { return Self.envelope(500, error.description) }
      return Self.envelope(0, "")
    }
  }

  private static var internalError: Answer {
    envelope(500, "Internal Server Error. For details, see the SiYuan kernel log.")
  }

  private enum Member {
    case success(String)
    case failure(String)
  }

  /// A text member of the JSON body, or the kernel's words about its absence.
  private func member(_ name: String, of exchange: Exchange) async throws -> Member {
    let bytes = try await exchange.smallBody()
    if bytes.isEmpty {
      return .failure("Parses request [\(exchange.path)] failed: the request body is empty or truncated (EOF)")
    }
    guard let request = JSON.parse(bytes) else { return .failure("Parses request [\(exchange.path)] failed: unexpected EOF") }
    guard let value = request[name] else { return .failure("Field [\(name)] is required") }
    guard let text = value.string else { return .failure("Field [\(name)] should be of type [String]") }
    return .success(text)
  }

  private static func contentType(_ path: String) -> String {
    let types = [
      "png": "image/png", "jpg": "image/jpeg", "zip": "application/zip", "json": "application/json", "gz": "application/gzip",
      "txt": "text/plain; charset=utf-8", "md": "text/plain; charset=utf-8", "html": "text/html; charset=utf-8",
    ]
    let name = path.split(separator: "/").last ?? ""
    return name.split(separator: ".").last.flatMap { types[String($0)] } ?? "application/octet-stream"
  }
}

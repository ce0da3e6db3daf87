/// POST /api/asset/upload (kernel/model/upload.go), of a kernel that has been started anew: it does not know again what it stored before.
extension SiYuan {
  func uploadAsset(_ exchange: Exchange) async throws -> Answer {
    try authenticate(exchange)
    try demandWritable()
    let spool = incoming.real("/" + RandomText.make(16))
    // Moved to its place, or of no use.
    defer { try? Folder(spool).remove("") }
    let form: UploadForm
    do {
      form = try await UploadForm.read(exchange, file: "file[]", to: spool)
    } catch is MalformedForm {
      try await exchange.drain(sendingContinue: true)
      return Self.envelope(-1, "multipart: NextPart: EOF")
    } catch is BodyCut {
      return Self.envelope(-1, "unexpected EOF")
    } catch let error as FileError {
      return Self.envelope(-1, error.description).leaving(.drained(sendingContinue: true))
    }
    let folder = form.value("assetsDirPath").split(separator: "/").joined(separator: "/")
    guard let entry = SiYuanPath.inWorkspace("data/" + folder) else { return Self.envelope(-1, "Path [\(folder)] is not in workspace") }
    do throws(FileError) { try workspace.makeDirectories(entry) } catch { return Self.envelope(-1, error.description) }
    guard let name = form.fileName else { return stored([], [], "") }
    let asset = SiYuanPath.assetName(name)
    do throws(FileError) { try Folder.move(spool, workspace.real("\(entry)/\(asset)")) } catch {
      return stored([], [asset], error.description)
    }
    return stored([(name, "\(folder)/\(asset)")], [], "")
  }

  /// What could not be stored is an error in `msg` alone.
  private func stored(_ links: [(String, String)], _ failed: [String], _ message: String) -> Answer {
    let errors: JSON = failed.isEmpty ? .null : .array(failed.map { .string($0) })
    return Self.envelope(0, message, .object([("errFiles", errors), ("succMap", .object(links.map { ($0.0, .string($0.1)) }))]))
  }
}

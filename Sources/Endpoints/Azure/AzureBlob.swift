public import BytePath

/// Azure Blob Storage, and emulators of it, with a shared access signature (learn.microsoft.com/rest/api/storageservices/blob-service-rest-api).
/// An object is a block blob: it appears whole or not at all, and replaces another at once.
///
/// Paths are `/CONTAINER/BLOB`, with the account before it where the host is no name of one.
public struct AzureBlob: BuiltInStore, RemovingStore {
  public static let kind = EndpointKind(
    name: "azure", title: "Azure Blob Storage", example: "azure://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB",
    schemes: [("azure+http", false), ("azure+https", true), ("azure", true)], options: AzureOptions.known,
    tokenVariable: "AZURE_STORAGE_SAS_TOKEN",
    destination: { page, path in
      page.host.lowercased().contains(".blob.core.") ? "azure+\(page.origin)\(URLText.encoded(path))" : nil
    })

  /// Of an answer that lists blobs, in bytes: there are 5000 in a page.
  private static let listLimit = 64 << 20

  let api: AzureAPI
  let sent = AzureSentBlocks()

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) { api = try AzureAPI(remote, context) }

  public func close() async { await api.close() }

  public func objectPath(_ text: String) throws(Failure) -> String {
    let path = try HTTPSession.objectPath(text)
    guard try !api.name(path).blob.isEmpty else {
      throw Failure(.usage, "\(path) is a container", hint: "add the name of the blob: \(path)/NAME")
    }
    return path
  }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    var path = text[...]
    while path.last == "/" { path.removeLast() }
    let whole = try HTTPSession.objectPath(String(path))
    _ = try api.name(whole)
    return whole
  }

  public func identity(of path: String) -> String? { api.base.path + URLText.encoded(path) }

  public func openFiles(_ attributes: Attributes) -> Int {
    4 + ((try? AzureOptions(attributes.options))?.concurrency ?? AzureOptions.mostConcurrent)
  }

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    var traits = Traits()
    traits.publishesAtomically = true
    traits.wantedHashes = [.md5]
    return traits
  }

  /// Puts nothing where only a blob of a version is to be replaced that no blob has: who may write is told 412, who may not 403. Should a
  /// server not know the condition, it still has a hash that the nothing has not.
  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {
    var request = api.request(.put, path)
    request.headers = [
      ("x-ms-blob-type", "BlockBlob"), ("If-Match", "\"0x0\""), ("Content-MD5", Checksum(.md5, of: [0]).base64),
    ]
    let answer = try await api.send(request)
    let code = answer.azureCode
    if answer.status == 412, code == nil || code == "ConditionNotMet" || code == "TargetConditionNotMet" { return }
    if code == "Md5Mismatch" || code == "BlobNotFound" { return }
    if let failure = await api.failure(answer, "put \(path)") { throw failure }
    throw answer.withEvidence(Failure(.protocol, "\(api.server) puts what it was told not to put to \(path)"))
  }

  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    var request = api.request(.head, path)
    request.headers.append(("Accept-Encoding", "identity"))
    let answer = try await api.send(request)
    guard let failure = await api.failure(answer, "look at \(path)") else { return .stored(Stored(blob: path, answer)) }
    switch answer.status {
    case 404 where answer.azureCode != "ContainerNotFound": return .nothing
    // Who may write need not be allowed to read.
    case 401, 403: return .untold(failure)
    default: throw failure
    }
  }

  /// Put Blob. Its MD5 is compared with what arrives, and kept with the blob.
  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    var request = api.request(.put, path)
    request.headers = [("x-ms-blob-type", "BlockBlob"), ("Content-MD5", try await upload.payload.digest(.md5).base64)]
    request.headers += upload.attributes.azureHeaders
    request.body = HTTPBody(payload: upload.payload, meter: upload.meter)
    return try await publish(request, at: path, condition)
  }

  /// Sends what makes a blob be there.
  func publish(_ original: HTTPRequest, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    var request = original
    request.isUpload = true
    request.isAnsweredByStatus = true
    if condition == .absent { request.headers.append(("If-None-Match", "*")) }
    let answer = try await api.send(request)
    // The one is said where it is seen before the body is read, the other where it is seen after it.
    if condition == .absent, ["BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite"].contains(answer.azureCode) {
      throw answer.azureEvidence(.alreadyThere(path))
    }
    if let failure = await api.failure(answer, "put \(path)") { throw failure }
    var receipt = Receipt(answer)
    let response: JSONValue = [
      "etag": JSONValue(answer.headers["etag"]), "version_id": JSONValue(answer.headers["x-ms-version-id"]),
    ]
    receipt.response = response == [:] ? nil : response
    return receipt
  }

  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    let get = ObjectGet(path, range, from: api.server, into: sink)
    var request = api.request(.get, path)
    request.headers += get.headers
    if let version { request.headers.append(("If-Match", version)) }
    let fault = { @Sendable (answer: HTTPAnswer) -> Failure? in
      version.map { answer.headers["etag"] != $0 } == true ? .replaced(path) : get.fault(in: answer)
    }
    request.receiver = get
    request.isWanted = { fault($0) == nil }
    let answer = try await api.send(request)
    switch answer.status {
    case 200..<300:
      if let fault = fault(answer) { return .untold(answer.azureEvidence(fault)) }
      try get.checkEnd(of: answer)
      return .stored(Stored(blob: path, answer))
    case 404 where answer.azureCode != "ContainerNotFound": return .nothing
    case 412 where version != nil, 416 where range != nil: return .untold(answer.azureEvidence(.replaced(path)))
    default:
      let strange = Failure(.protocol, "\(api.server) answers GET of \(path) with HTTP \(answer.status)")
      return .untold(await api.failure(answer, "read \(path)") ?? answer.azureEvidence(strange))
    }
  }

  /// List Blobs. There is no directory but what names have in common.
  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    let folder = try api.name(directory)
    let prefix = folder.blob.isEmpty ? "" : "\(folder.blob)/"
    var query = [("restype", "container"), ("comp", "list"), ("delimiter", "/"), ("prefix", prefix)]
    if let page { query.append(("marker", page)) }
    var request = api.request(.get, folder.containerPath, query.filter { !$0.1.isEmpty })
    request.answerLimit = AzureBlob.listLimit
    let answer = try await api.send(request)
    if answer.status == 404, answer.azureCode != nil { return nil }
    if let failure = await api.failure(answer, "list \(directory)") { throw failure }
    guard let list = AzureList(answer.body), let entries = list.entries(of: directory, prefix) else {
      throw answer.azureEvidence(Failure(.protocol, "\(api.server) gives no list of \(directory)"))
    }
    return entries.isEmpty && list.next == nil && page == nil && !prefix.isEmpty ? nil : Listing(entries, next: list.next)
  }

  /// Delete Blob. One with snapshots stays: these are somebody's older versions.
  public func remove(_ path: String) async throws(Failure) {
    let answer = try await api.send(api.request(.delete, path))
    if answer.status != 404, let failure = await api.failure(answer, "remove \(path)") { throw failure }
  }
}

extension Attributes {
  /// What a blob keeps of them. The time stands where rclone and others look for it.
  var azureHeaders: [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    if let contentType { headers.append(("x-ms-blob-content-type", contentType)) }
    if let text = modified.flatMap({ RFC3339.text($0) }) { headers.append(("x-ms-meta-mtime", text)) }
    return headers
  }
}

public import BytePath

/// S3 and servers like it (docs.aws.amazon.com/AmazonS3/latest/API). An object appears whole or not at all, and replaces another at once.
public struct S3: BuiltInStore, RemovingStore {
  public static let kind = EndpointKind(
    name: "s3", title: "S3", example: "s3://BUCKET/KEY", schemes: [("s3", true)], options: S3Options.known,
    remoteKeys: ["region", "addressing-style", "profile"],
    ownFiles: {
      [AWSFile.configPath(nonEmptyVariable), AWSFile.secretsPath(nonEmptyVariable)] + ["AWS_CA_BUNDLE"].compactMap(nonEmptyVariable)
    },
    hasServerInURL: false)

  let api: S3API
  let context: EndpointContext
  let memory = S3Memory()

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    api = try S3API(remote, context)
    self.context = context
  }

  public func close() async { await api.close() }

  /// `BUCKET/KEY`, the key as it is written.
  public func objectPath(_ text: String) throws(Failure) -> String { try S3Object(text).path }

  /// `BUCKET/`, or with what the keys begin with up to a slash.
  public func directoryPath(_ text: String) throws(Failure) -> String { try S3Object(directory: text).path }

  public func identity(of path: String) -> String? { "\(api.serverIdentity)/\(path)" }

  public func checkOptions(_ options: [String: String]) throws(Failure) { _ = try S3Options(options) }

  public func openFiles(_ attributes: Attributes) -> Int {
    4 + ((try? S3Options(attributes.options))?.concurrency ?? S3Options.mostConcurrent)
  }

  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    var traits = Traits()
    traits.publishesAtomically = true
    return traits
  }

  /// Begins an upload in parts and aborts it, which needs the permission to put, has the options read and stores nothing.
  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let object = try S3Object(path)
    // The objects of a set lie beside each other and are checked one by one.
    guard !memory.mayPut(beside: object) else { return }
    if let id = try await begin(object, try S3Options(attributes.options).headers(with: attributes)) {
      let api = api
      let failure = await cleaningUp { () throws(Failure) in try await api.abort(id, of: object) }
      if let failure {
        context.warn("the preflight's upload \(id) stays at \(api.origin) until a rule of the bucket removes it: \(failure.message)")
      }
    } else {
      try await checkBucket(object)
    }
    memory.notePermission(beside: object)
  }

  /// What is left to be asked of a server that has no uploads in parts: whether it speaks S3, and has the bucket.
  private func checkBucket(_ object: S3Object) async throws(Failure) {
    let answer = try await api.send(S3Call(.get, object.inBucket, query: [("list-type", "2"), ("max-keys", "1")]))
    if answer.status == 404 {
      throw answer.withEvidence(Failure(.rejected, "there is no bucket \(object.bucket) at \(api.origin)", hint: "make the bucket first"))
    }
    if (200..<300).contains(answer.status), S3Listing(parsing: answer.xml) == nil {
      throw answer.strange(api.origin, "no list of \(object.bucket)")
    }
  }

  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let object = try S3Object(path)
    let options = try S3Options(upload.attributes.options)
    let payload = upload.payload
    memory.expect(nil, of: path)
    if !options.ignoresTags { payload.startHashing(.md5) }
    var call = S3Call(.put, object)
    call.bodyHash = try await payload.digest(.sha256)
    call.md5 = { () throws(Failure) in try await payload.digest(.md5) }
    call.headers = options.headers(with: upload.attributes)
    call.headers.append(("x-amz-checksum-sha256", call.bodyHash.base64))
    if condition == .absent { call.headers.append(("If-None-Match", "*")) }
    call.body = HTTPBody(payload: payload, meter: upload.meter)
    call.isUpload = true
    let answer = try await api.send(call)
    if answer.status == 412, condition == .absent { throw answer.withEvidence(.alreadyThere(path)) }
    if let failure = answer.s3Failure(api.origin, "put \(path)") { throw failure }
    let receipt = answer.s3Receipt(etag: answer.etag)
    if !receipt.isEarly { try await check(answer, of: upload, at: object, options) }
    await checkLock(of: object, options)
    return receipt
  }

  /// Looks whether an object got the lock that it was put with: Ceph 16 forgets that of an upload in parts, and says nothing. Who may lock need not
  /// be allowed to see it, so this is no failure.
  func checkLock(of object: S3Object, _ options: S3Options) async {
    guard options.locks, let answer = try? await api.send(S3Call(.head, object)), (200..<300).contains(answer.status),
      answer.headers["x-amz-object-lock-mode"] == nil
    else { return }
    context.warn("\(object.path) is stored, and \(api.origin) does not say that it is locked; look at its retention, and set it there")
  }

  /// Any web server says 200; what it has stored S3 says by the tag, or if it is asked.
  private func check(_ answer: HTTPAnswer, of upload: Upload, at object: S3Object, _ options: S3Options) async throws(Failure) {
    guard answer.etag != nil else {
      guard answer.body.isEmpty, try await stat(object.path, fresh: true).stored?.size == upload.payload.length else {
        throw answer.strange(api.origin, "no ETag to \(object.path)")
      }
      return
    }
    guard !options.ignoresTags, let tag = answer.digest(of: object) else { return }
    if try await tag == upload.payload.digest(.md5).hex { return memory.noteDigests(object.bucket) }
    try await compare(object, upload.payload, isProof: memory.hasDigests(object.bucket), answer, tag)
  }

  public func isSame(_ stored: Stored, as payload: Payload) async throws(Failure) -> Bool? {
    if let known = stored.checksums[.sha256] { return try await payload.digest(.sha256) == known }
    guard let tag = stored.version?.lowercased(), S3ETag.isDigest(tag) else { return nil }
    if tag.contains("-") { return memory.isExpected(tag, of: try S3Object(stored.path)) }
    if try await tag == payload.digest(.md5).hex { return true }
    return stored.checksums[.md5] == nil ? nil : false
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    let folder = try S3Object(directory: directory)
    var call = S3Call(.get, folder.inBucket, query: [("list-type", "2"), ("delimiter", "/"), ("encoding-type", "url")])
    if !folder.key.isEmpty { call.query.append(("prefix", folder.key)) }
    if let page { call.query.append(("continuation-token", page)) }
    call.answerLimit = S3Listing.answerLimit
    let answer = try await api.send(call)
    // Other servers have no word of why.
    if answer.status == 404, S3Error(answer) != nil { return nil }
    if let failure = answer.s3Failure(api.origin, "list \(directory)") { throw failure }
    guard let list = S3Listing(parsing: answer.xml), let entries = list.entries(in: folder, hasDigests: memory.hasDigests(folder.bucket))
    else { throw answer.strange(api.origin, "no list of \(directory)") }
    guard !list.isCut else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) says that the list of \(directory) goes on, but not where"))
    }
    // There is no directory but what keys have in common.
    if list.isEmpty, list.next == nil, page == nil, !folder.key.isEmpty { return nil }
    return Listing(entries, next: list.next)
  }

  public func remove(_ path: String) async throws(Failure) {
    let answer = try await api.send(S3Call(.delete, try S3Object(path)))
    if answer.status != 404, let failure = answer.s3Failure(api.origin, "remove \(path)") { throw failure }
  }
}

extension Attributes {
  /// What of them S3 keeps. The time stands where rclone and others look for it, in seconds.
  var s3Headers: [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    if let contentType { headers.append(("Content-Type", contentType)) }
    if let modified {
      let (seconds, rest) = modified.magnitude.quotientAndRemainder(dividingBy: 1000)
      headers.append(("x-amz-meta-mtime", "\(modified < 0 ? "-" : "")\(seconds).\(String(rest + 1000).dropFirst())"))
    }
    return headers
  }
}

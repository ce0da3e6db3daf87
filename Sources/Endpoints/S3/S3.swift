public import BytePath
import Synchronization

/// S3 and servers like it (docs.aws.amazon.com/AmazonS3/latest/API). An object appears whole or not at all, and replaces another at once.
public struct S3: BuiltInEndpoint {
  public static let kind = EndpointKind(
    name: "s3", title: "S3", example: "s3://BUCKET/KEY", schemes: [("s3", true)], options: S3Options.known,
    remoteKeys: ["region", "addressing-style", "profile"],
    ownFiles: {
      [AWSFile.configPath(nonEmptyVariable), AWSFile.secretsPath(nonEmptyVariable)] + ["AWS_CA_BUNDLE"].compactMap(nonEmptyVariable)
    },
    hasServerInURL: false)

  private let api: S3API
  private let context: EndpointContext
  private let memory = S3Memory()

  public init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    api = try S3API(remote, context)
    self.context = context
  }

  public func close() async { await api.close() }

  /// `BUCKET/KEY`, the key as it is written.
  public func objectPath(_ text: String) throws(Failure) -> String { try S3Object(text).path }

  public func identity(of path: String) -> String? { "\(api.serverIdentity)/\(path)" }

  public func directoryPath(_ text: String) throws(Failure) -> String {
    throw Failure(.usage, "S3 has no directories", hint: "a key with slashes in it needs none")
  }

  public func checkOptions(_ options: [String: String]) throws(Failure) { _ = try S3Options(options) }

  public func openFiles(_ attributes: Attributes) -> Int {
    4 + ((try? S3Options(attributes.options))?.concurrency ?? S3Options.mostConcurrent)
  }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let object = try S3Object(path)
    let answer = try await api.send(S3Call(.head, object))
    switch answer.status {
    case 200..<300:
      guard answer.etag != nil else { throw noTag(answer, object) }
      if attributes.existing == .refuse { throw alreadyThere(path) }
    // An answer to HEAD does not say why, who may write need not be allowed to look, and the server may not know HEAD.
    case 400, 401, 403, 404, 405, 501: break
    default:
      if let failure = answer.s3Failure(api.origin, "look at \(path)") { throw failure }
    }
    // The objects of a set lie beside each other and are checked one by one.
    guard !memory.mayPut(beside: object) else { return }
    try await checkPermission(object, attributes)
    memory.notePermission(beside: object)
  }

  /// Begins an upload in parts and aborts it, which needs the permission to put, has the options read and stores nothing.
  private func checkPermission(_ object: S3Object, _ attributes: Attributes) async throws(Failure) {
    var call = S3Call(.post, object, query: [("uploads", "")])
    call.headers = try S3Options(attributes.options).headers(with: attributes)
    let answer = try await api.send(call)
    guard !answer.refusesMultipart else { return try await checkBucket(object) }
    if let failure = answer.s3Failure(api.origin, "put \(object.path)") { throw failure }
    guard let id = XMLTree(parsing: answer.xml)?["UploadId"]?.text, !id.isEmpty else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) gives no ID to an upload of \(object.path)"))
    }
    let api = api
    let failure = await cleaningUp { () throws(Failure) in try await api.abort(id, of: object) }
    if let failure {
      context.warn("the preflight's upload \(id) stays at \(api.origin) until a rule of the bucket removes it: \(failure.message)")
    }
  }

  /// What is left to be asked of a server that has no uploads in parts.
  private func checkBucket(_ object: S3Object) async throws(Failure) {
    let answer = try await api.send(S3Call(.head, object.inBucket))
    guard answer.status == 404 else { return }
    throw answer.withEvidence(Failure(.rejected, "there is no bucket \(object.bucket) at \(api.origin)", hint: "make the bucket first"))
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let object = try S3Object(upload.path)
    let options = try S3Options(upload.attributes.options)
    try options.checkFits(upload.payload.length)
    if upload.checkpoint.text != nil || options.plan(for: upload.payload.length) != nil {
      let multipart = S3Multipart(api: api, object: object, upload: upload, options: options, memory: memory, detail: context.detail)
      return try await multipart.put { () throws(Failure) in try await refuseExisting(object, upload.attributes) }
    }
    try await refuseExisting(object, upload.attributes)
    return try await putWhole(object, upload, options)
  }

  /// Some servers do not know the condition and would overwrite.
  private func refuseExisting(_ object: S3Object, _ attributes: Attributes) async throws(Failure) {
    guard attributes.existing == .refuse else { return }
    if try await (200..<300).contains(api.send(S3Call(.head, object)).status) { throw alreadyThere(object.path) }
  }

  private func putWhole(_ object: S3Object, _ upload: Upload, _ options: S3Options) async throws(Failure) -> Receipt {
    let payload = upload.payload
    memory.forget(object.path)
    payload.startHashing(.md5)
    var call = S3Call(.put, object)
    call.bodyHash = try await payload.digest(.sha256)
    call.headers = options.headers(with: upload.attributes)
    call.headers.append(("x-amz-checksum-sha256", call.bodyHash.base64))
    if upload.attributes.existing == .refuse { call.headers.append(("If-None-Match", "*")) }
    call.body = HTTPBody(payload: payload, meter: upload.meter)
    call.isUpload = true
    let answer = try await api.send(call)
    if answer.status == 412, upload.attributes.existing == .refuse { throw answer.withEvidence(alreadyThere(object.path)) }
    if let failure = answer.s3Failure(api.origin, "put \(object.path)") { throw failure }
    guard answer.isAfterWholeBody else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) reports success before it had the whole object", retryable: true))
    }
    // Any web server says 200; S3 says what it has stored.
    guard answer.etag != nil else { throw noTag(answer, object) }
    if let tag = answer.digestTag, object.hasDigestTags, try await tag != payload.digest(.md5).hex {
      throw answer.withEvidence(
        Failure(.server, "\(object.path) did not arrive as it was sent: its ETag is \(tag)", retryable: true))
    }
    return answer.s3Receipt(etag: answer.etag)
  }

  public func abandon(_ upload: Upload) async throws(Failure) {
    guard let session = upload.checkpoint.text.flatMap(S3Session.init) else { return }
    let object = try S3Object(upload.path)
    try await api.abort(session.id, of: object)
    upload.checkpoint.set(nil)
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    throw Failure(.usage, "S3 has no directories")
  }

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    let object = try S3Object(path)
    let answer = try await api.look(at: object)
    if answer.status == 404 { throw answer.withEvidence(.mismatch("\(path) is not there after the upload")) }
    if let failure = answer.s3Failure(api.origin, "look at \(path)") { throw failure }
    guard let size = answer.headers["content-length"].flatMap({ Int64($0) }) else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) does not say how long \(path) is, so --verify can't tell"))
    }
    guard size == payload.length else {
      throw answer.withEvidence(.mismatch("\(path) has \(size) bytes on the server instead of \(payload.length)"))
    }
    guard let isSame = try await isSame(answer, object, payload) else { return .size }
    guard isSame else {
      throw answer.withEvidence(.mismatch("\(path) has other bytes on the server than were sent"))
    }
    return .sizeAndHash
  }

  /// Whether a hash that the server has is that of the payload; nil if it has none that can be compared.
  private func isSame(_ answer: HTTPAnswer, _ object: S3Object, _ payload: Payload) async throws(Failure) -> Bool? {
    // A checksum with a number behind it is of the checksums of parts.
    if let checksum = answer.headers["x-amz-checksum-sha256"], !checksum.contains("-") {
      return try await checksum == payload.digest(.sha256).base64
    }
    guard let tag = answer.digestTag, object.hasDigestTags else { return nil }
    if !tag.contains("-") { return try await tag == payload.digest(.md5).hex }
    return memory.expectedTag(of: object.path).map { $0 == tag }
  }

  private func noTag(_ answer: HTTPAnswer, _ object: S3Object) -> Failure {
    answer.withEvidence(
      Failure(
        .protocol, "\(api.origin) says HTTP \(answer.status) and gives no ETag to \(object.path), so it does not speak S3",
        hint: "is that the address of the API?"))
  }

  private func alreadyThere(_ path: String) -> Failure {
    Failure(.exists, "\(path) exists already", hint: "leave out --no-clobber to replace it")
  }
}

extension S3API {
  /// Asks for size and hashes of an object.
  func look(at object: S3Object) async throws(Failure) -> HTTPAnswer {
    var call = S3Call(.head, object)
    call.headers = [("x-amz-checksum-mode", "ENABLED"), ("Accept-Encoding", "identity")]
    return try await send(call)
  }

  /// Ends an upload in parts. One that is gone already is a success.
  func abort(_ id: String, of object: S3Object) async throws(Failure) {
    let answer = try await send(S3Call(.delete, object, query: [("uploadId", id)]))
    if answer.status != 404, let failure = answer.s3Failure(origin, "abort the upload \(id)") { throw failure }
  }
}

extension S3Object {
  /// Whether entity tags may be digests; in directory buckets they look like some and are none.
  var hasDigestTags: Bool { !bucket.hasSuffix("--x-s3") }
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

extension HTTPAnswer {
  func s3Receipt(etag: String?) -> Receipt {
    let response: JSONValue = ["etag": JSONValue(etag), "version_id": JSONValue(headers["x-amz-version-id"])]
    return Receipt(httpStatus: status, response: response == [:] ? nil : response, flaw: flaw)
  }
}

/// What is known of uploads of this run: of parts that were sent, of the entity tags that objects must have, and of where it may put.
final class S3Memory: Sendable {
  private let state = Mutex((parts: [String: [Int: S3Part]](), tags: [String: String](), permitted: Set<String>()))

  func parts(of id: String) -> [Int: S3Part] { state.withLock { $0.parts[id] ?? [:] } }
  func add(_ part: S3Part, _ number: Int, to id: String) { state.withLock { $0.parts[id, default: [:]][number] = part } }
  func expectedTag(of path: String) -> String? { state.withLock { $0.tags[path] } }
  func expect(_ tag: String?, of path: String) { state.withLock { $0.tags[path] = tag } }
  func mayPut(beside object: S3Object) -> Bool { state.withLock { $0.permitted.contains(object.folder) } }
  func notePermission(beside object: S3Object) { state.withLock { _ = $0.permitted.insert(object.folder) } }
  func forget(_ path: String) { expect(nil, of: path) }
}

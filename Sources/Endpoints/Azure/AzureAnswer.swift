import BytePath

/// What Azure says when it refuses: a code in a header, with a few words for it in the body, which an answer to HEAD has not
/// (learn.microsoft.com/rest/api/storageservices/status-and-error-codes2, blob-service-error-codes).
extension HTTPAnswer {
  var azureCode: String? {
    headers["x-ms-error-code"] ?? XMLTree(parsing: body).flatMap { $0.name == "Error" ? $0["Code"]?.text : nil }
  }

  /// The failure that it stands for; nil for 2xx.
  ///
  /// - Parameter what: was to be done, for the message.
  func azureFailure(_ server: String, _ what: String) -> Failure? {
    guard var failure = statusFailure(server) else { return nil }
    guard let code = azureCode else { return failure }
    failure.message = "cannot \(what): \(server) says \(azureWords.map { "\(code): \($0)" } ?? code) (HTTP \(status))"
    failure.hint = AzureHint.text(code) ?? failure.hint
    // That there is no such thing is no fault of the address.
    if failure.kind == .protocol, status == 404 || status == 405 { failure.kind = .rejected }
    switch code {
    case "PublicAccessNotPermitted", "InvalidAuthenticationInfo", "NoAuthenticationInformation": failure.kind = .auth
    // What arrived is not what was sent.
    case "Md5Mismatch": (failure.kind, failure.isRetryable) = (.server, true)
    default: break
    }
    return azureEvidence(failure)
  }

  /// As `withEvidence`. The body itself may have the terms of the signature in it, and is of the same words each time.
  func azureEvidence(_ failure: Failure) -> Failure {
    var failure = withEvidence(failure)
    failure.response = [
      "code": JSONValue(azureCode), "message": JSONValue(azureWords), "request_id": JSONValue(headers["x-ms-request-id"]),
    ]
    return failure
  }

  /// The message without what follows its first line: the ID of the request and the time.
  private var azureWords: String? {
    guard let line = XMLTree(parsing: body)?["Message"]?.text.split(whereSeparator: \.isNewline).first else { return nil }
    return String((line.last == "." ? line.dropLast() : line).prefix(1000))
  }
}

private enum AzureHint {
  static func text(_ code: String) -> String? {
    switch code {
    case "ContainerNotFound", "ContainerBeingDeleted": "make the container first"
    case "AuthenticationFailed":
      "the signature may have ended, or be for another account or container; what is held can be sent with a new one"
    case "AuthorizationPermissionMismatch", "AuthorizationResourceTypeMismatch":
      "the signature must allow create and write (sp=cw), and read (r) for --verify; one of an account also needs srt=o"
    case "UnauthorizedBlobOverwrite": "the signature allows no overwriting: it needs write (w) for that"
    case "AuthorizationSourceIPMismatch": "the signature is for another address of this machine"
    case "AuthorizationProtocolMismatch", "AccountRequiresHttps": "use azure+https://"
    case "LeaseIdMissing": "somebody has a lease on the blob"
    case "SnapshotsPresent": "remove its snapshots first"
    case "RequestBodyTooLarge", "ContentLengthLargerThanTierLimit": "-o block-size=16M sends it in smaller pieces"
    case "InvalidBlobOrBlock":
      "another program has begun to write this blob in blocks; -o block-size=4000M sends an object below that size in one piece, which ends it"
    default: nil
    }
  }
}

extension Stored {
  /// As the head of an answer to Get Blob Properties or Get Blob tells.
  init(blob path: String, _ answer: HTTPAnswer) {
    self.init(path, answer)
    // Of a part the MD5 of the whole has a name of its own.
    let md5 = answer.headers["x-ms-blob-content-md5"] ?? (answer.status == 206 ? nil : answer.headers["content-md5"])
    checksums[.md5] = md5.flatMap { Checksum(.md5, base64: $0) }
    modified = answer.headers["x-ms-meta-mtime"].flatMap { RFC3339.milliseconds($0) } ?? modified
    version = answer.headers["etag"]
    hints = [:]
    // Where an account has a hierarchical namespace, directories are blobs of this kind.
    if answer.headers["x-ms-meta-hdi_isfolder"] == "true" { isDirectory = true }
  }
}

/// An answer to List Blobs (learn.microsoft.com/rest/api/storageservices/list-blobs).
struct AzureList: Sendable {
  private let blobs: XMLTree
  /// Where the next page begins; nil if this is the last.
  let next: String?

  /// Nil if it is none.
  init?(_ body: [UInt8]) {
    guard let root = XMLTree(parsing: body), root.name == "EnumerationResults", let blobs = root["Blobs"] else { return nil }
    self.blobs = blobs
    next = (root["NextMarker"]?.text).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// - Parameter prefix: of the names, that is not in those of the entries.
  /// - Returns: nil if one has no such name.
  func entries(of directory: String, _ prefix: String) -> [Stored]? {
    guard blobs.children.allSatisfy({ $0["Name"]?.text.hasPrefix(prefix) == true }) else { return nil }
    return blobs.children.compactMap { child in
      guard let name = child["Name"]?.text else { return nil }
      let isDirectory = child.name == "BlobPrefix"
      let last = name.dropFirst(prefix.count)
      let shown = isDirectory && last.hasSuffix("/") ? last.dropLast() : last
      guard !shown.isEmpty, !shown.contains("/") else { return nil }
      var stored = Stored("\(directory)/\(shown)", isDirectory: isDirectory)
      guard !isDirectory, let properties = child["Properties"] else { return stored }
      stored.size = (properties["Content-Length"]?.text).flatMap { Int64($0) }
      stored.modified = (properties["Last-Modified"]?.text).flatMap { HTTPDate.seconds($0) }.map { $0.multipliedSaturated(by: 1000) }
      stored.checksums[.md5] = (properties["Content-MD5"]?.text).flatMap { Checksum(.md5, base64: $0) }
      // As the header has it.
      stored.version = (properties["Etag"]?.text).map { $0.hasPrefix("\"") ? $0 : "\"\($0)\"" }
      return stored
    }
  }
}

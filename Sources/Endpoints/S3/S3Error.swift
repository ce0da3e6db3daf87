import BytePath

/// What S3 says in the body of an answer that refuses (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
struct S3Error: Sendable {
  let code: String
  let message: String
  let region: String?
  let requestID: String?
  /// The header that it can't do with.
  let header: String?

  /// Nil if the answer has none, as all answers to HEAD.
  init?(_ answer: HTTPAnswer) {
    guard let root = XMLTree(parsing: answer.xml), root.name == "Error", let code = root["Code"]?.text, !code.isEmpty else { return nil }
    self.code = code
    message = root["Message"]?.text ?? ""
    region = root["Region"]?.text
    requestID = root["RequestId"]?.text
    header = root["Header"]?.text
  }

  /// For the result. The body itself may hold the request as it was signed, and the session token with it.
  var report: JSONValue {
    ["code": .string(code), "message": .string(String(message.prefix(1000))), "request_id": JSONValue(requestID)]
  }

  private static let passing: Set = [
    "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict",
    // What arrived is not what was sent.
    "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "XAmzContentChecksumMismatch",
  ]
  private static let expiry: Set = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"]
  private static let access: Set = [
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidToken",
    "NotSignedUp", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
  ]

  /// - Parameters:
  ///   - answer: the one that has it.
  ///   - what: was to be done, for the message.
  func failure(_ answer: HTTPAnswer, _ server: String, _ what: String) -> Failure {
    let words = message.isEmpty ? code : "\(code): \(message.last == "." ? String(message.dropLast()) : message)"
    let text = "cannot \(what): \(server) says \(words)"
    var failure: Failure
    if S3Error.passing.contains(code) || answer.status >= 500 && code != "NotImplemented" {
      failure = Failure(.server, text, retryable: true)
    } else if S3Error.access.contains(code) {
      failure = Failure(.auth, text, hint: hint)
    } else {
      failure = Failure(.rejected, text, hint: hint)
    }
    failure.retryAfter = answer.retryAfter
    failure.httpStatus = answer.status
    failure.response = report
    failure.isOutcomeUnknown = failure.isRetryable && answer.status >= 500 && answer.mayHaveStored
    return failure
  }

  /// Whether the credentials of the request have ended.
  var saysExpired: Bool { S3Error.expiry.contains(code) }

  private var hint: String? {
    switch code {
    case "RequestTimeTooSkewed", "RequestExpired": "is the clock of this machine right?"
    case let code where S3Error.expiry.contains(code): "get new credentials; what is held can be sent with them"
    case "NoSuchBucket": "make the bucket first"
    case "InvalidObjectState": "it is archived, and must be restored first: aws s3api restore-object"
    case "AuthorizationHeaderMalformed", "PermanentRedirect": "set AWS_REGION to the region of the bucket"
    case "SecondLevelDomainForbidden":
      "it wants the bucket in the name of the host: addressing-style: virtual in the remote, or addressing_style = virtual in the AWS config"
    default: nil
    }
  }
}

extension HTTPAnswer {
  /// The body without the blanks that keep a connection alive: before a document they are no XML.
  var xml: [UInt8] { Array(body.drop { [0x20, 0x09, 0x0a, 0x0d].contains($0) }) }

  /// The region of the bucket, if the answer says that it is another one than that of the request.
  var otherRegion: String? {
    guard [301, 307, 400, 403].contains(status) else { return nil }
    let error = S3Error(self)
    guard status != 403 || error?.code == "AuthorizationHeaderMalformed" else { return nil }
    let region = headers["x-amz-bucket-region"] ?? error?.region
    return region?.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") } == true ? region : nil
  }

  /// Whether the server says that it knows no uploads in parts.
  var refusesMultipart: Bool { status == 405 || status == 501 || S3Error(self)?.code == "NotImplemented" }

  /// The failure that it stands for; nil for 2xx.
  func s3Failure(_ server: String, _ what: String) -> Failure? {
    if (200..<300).contains(status) { return nil }
    if let error = S3Error(self) { return error.failure(self, server, what) }
    return statusFailure(server)
  }

  /// The entity tag without its quotes; nil if there is none.
  var etag: String? {
    headers["etag"].map { $0.filter { $0 != "\"" } }.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Whether the object is encrypted so that its tag is no digest.
  var isEncryptedByKeyService: Bool {
    headers["x-amz-server-side-encryption"]?.hasPrefix("aws:") == true || headers["x-amz-server-side-encryption-customer-algorithm"] != nil
  }

  /// The entity tag, if it may be the MD5 of the bytes: neither of an object in parts, nor where keys of a key service encrypt it.
  func digest(of object: S3Object) -> String? {
    guard !isEncryptedByKeyService, object.hasDigestTags else { return nil }
    return etag.flatMap { Checksum(.md5, hex: $0) }?.hex
  }

  /// Whether it asks for a checksum with an object, as buckets do whose objects are locked (API_PutObject.html).
  var asksForDigest: Bool {
    guard status == 400, let error = S3Error(self), !["BadDigest", "InvalidDigest"].contains(error.code) else { return false }
    let words = error.message.lowercased()
    let isNamed = words.contains("content-md5") || words.contains("x-amz-checksum")
    return error.code == "MissingContentMD5" || isNamed && ["required", "missing", "must"].contains { words.contains($0) }
  }

  func s3Receipt(etag: String?) -> Receipt {
    var receipt = Receipt(self)
    let response: JSONValue = ["etag": JSONValue(etag), "version_id": JSONValue(headers["x-amz-version-id"])]
    receipt.response = response == [:] ? nil : response
    return receipt
  }
}

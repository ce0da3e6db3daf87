import BytePath

/// A bucket and a key in it. The key is any text: nothing in it means a folder or the one above.
struct S3Object: Sendable, Equatable {
  /// Bytes of UTF-8 that a key may have (docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
  private static let longestKey = 1024

  let bucket: String
  /// Empty for the bucket itself.
  var key: String

  /// Reads `BUCKET/KEY`.
  ///
  /// - Throws: `usage` if a part is missing or could not be sent, `rejected` for a key that is too long.
  init(_ path: String) throws(Failure) {
    try self.init(parts: path)
    guard !key.isEmpty, !key.hasSuffix("/") else {
      throw Failure(.usage, "\(path) names no object", hint: "add its name: \(path.hasSuffix("/") ? path : path + "/")NAME")
    }
  }

  /// Reads `BUCKET` or `BUCKET/KEY`, with or without a slash at its end, of what the keys of several objects begin with.
  ///
  /// - Throws: as above.
  init(directory path: String) throws(Failure) { try self.init(parts: path.hasSuffix("/") ? path : "\(path)/") }

  private init(parts path: String) throws(Failure) {
    let parts = path.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    bucket = String(parts[0])
    key = parts.count > 1 ? String(parts[1]) : ""
    guard !bucket.isEmpty, bucket.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._:".contains($0)) }),
      bucket != ".", bucket != ".."
    else {
      throw Failure(.usage, "\(path) names no bucket", hint: "write BUCKET/KEY")
    }
    guard key.utf8.count <= S3Object.longestKey else {
      throw Failure(.rejected, "the key has \(key.utf8.count) bytes; S3 takes \(S3Object.longestKey)", hint: "choose a shorter one")
    }
  }

  var path: String { "\(bucket)/\(key)" }

  /// Whether entity tags may be digests; in directory buckets they look like some and are none.
  var hasDigestTags: Bool { !bucket.hasSuffix("--x-s3") }

  /// The path up to its last slash.
  var folder: String { path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") }

  /// The bucket without the key.
  var inBucket: S3Object {
    var object = self
    object.key = ""
    return object
  }
}

/// Where the objects of a server are found.
struct S3Address: Sendable {
  let base: BaseURL
  let addressing: AWSSettings.Addressing?
  /// Whether it is AWS, where a bucket has a host of its own unless told otherwise; elsewhere it stands in the path.
  let isAWS: Bool

  init(_ settings: AWSSettings, region: String) {
    addressing = settings.addressing
    isAWS = settings.endpoint == nil
    var base =
      settings.endpoint ?? BaseURL(isSecure: true, host: "s3.\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")")
    // As the HTTP client writes the header Host, which is signed.
    if base.port == (base.isSecure ? 443 : 80) { base.port = nil }
    self.base = base
  }

  /// The server that has the bucket, and the path of the object there, percent-encoded.
  func place(of object: S3Object) -> (base: BaseURL, path: String) {
    var base = base
    base.path = ""
    let start = self.base.path + "/"
    guard isVirtual(object.bucket) else { return (base, start + URLText.encoded(object.key.isEmpty ? object.bucket : object.path)) }
    base.host = "\(object.bucket).\(base.host)"
    return (base, start + URLText.encoded(object.key))
  }

  /// Whether the bucket stands in the name of the host.
  func isVirtual(_ bucket: String) -> Bool {
    guard addressing.map({ $0 == .virtual }) ?? isAWS else { return false }
    // The certificate is for one more level of names, and an address has none.
    if base.isSecure && bucket.contains(".") || base.host == "localhost" || IPAddress(base.host) != nil { return false }
    return bucket.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "-" || $0 == "." }
  }
}

extension BaseURL {
  /// The value of the header Host.
  var authority: String { String(origin.drop { $0 != ":" }.dropFirst(3)) }
}

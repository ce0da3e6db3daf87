import BytePath

/// The values of `-o` for S3.
struct S3Options: Sendable {
  static let known = [
    StoreOption("part-size", "send the object in parts of this size"),
    StoreOption("concurrency", "how many parts are on their way at a time"),
    StoreOption("storage-class", "the class that the object is stored in"),
    StoreOption("sse", "how the server encrypts it"),
    StoreOption("sse-kms-key-id", "the key that it encrypts it with"),
    StoreOption("acl", "a canned access control list"),
    StoreOption("metadata", "KEY=VALUE, with commas between several"),
    StoreOption("etag", "ignore: compare no ETag with what was sent"),
    StoreOption("lock-until", "when the object may be removed again, in a bucket with object lock"),
    StoreOption("lock-mode", "governance or compliance", needs: "lock-until"),
    StoreOption("version-id", "the version of the object that is read", isForWriting: false, isForReading: true) {
      (value) throws(Failure) in
      guard isHeaderValue(value) else { throw Failure(.usage, "-o version-id takes the ID of a version") }
    },
  ]
  static let mostConcurrent = 32
  /// A longer object goes in parts, unless the size of a part is given.
  private static let threshold: Int64 = 64 << 20
  /// What S3 takes as a part; the last one may be smaller (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
  static let partSizes: ClosedRange<Int64> = (5 << 20)...(5 << 30)
  private static let mostParts: Int64 = 10_000
  private static let usualPartSize: Int64 = 16 << 20

  /// Bytes; nil for the usual.
  private(set) var partSize: Int64?
  /// How many parts are on their way at a time.
  private(set) var concurrency = 4
  /// Whether entity tags are not compared with anything.
  private(set) var ignoresTags = false
  /// What the object is to be stored with.
  private(set) var headers: [(name: String, value: String)] = []

  /// Whether the object is to be locked.
  var locks: Bool { headers.contains { $0.name == "x-amz-object-lock-mode" } }

  /// - Throws: `usage` for a value that means nothing.
  init(_ options: [String: String]) throws(Failure) {
    if let text = options["part-size"] {
      guard let size = SizeText.bytes(text), S3Options.partSizes.contains(size) else {
        throw Failure(.usage, "-o part-size takes a size from 5M to 5G")
      }
      partSize = size
    }
    if let text = options["concurrency"] {
      guard let number = Int(text), (1...S3Options.mostConcurrent).contains(number) else {
        throw Failure(.usage, "-o concurrency takes a number from 1 to \(S3Options.mostConcurrent)")
      }
      concurrency = number
    }
    if let sse = options["sse"] {
      guard ["AES256", "aws:kms", "aws:kms:dsse"].contains(sse) else {
        throw Failure(.usage, "-o sse takes AES256, aws:kms or aws:kms:dsse")
      }
    }
    if options["sse-kms-key-id"] != nil, options["sse"]?.hasPrefix("aws:kms") != true {
      throw Failure(.usage, "-o sse-kms-key-id has no effect without -o sse=aws:kms")
    }
    if let etag = options["etag"] {
      guard etag == "ignore" else { throw Failure(.usage, "-o etag takes ignore") }
      ignoresTags = true
    }
    headers += try S3Options.lock(options)
    let names = [
      ("storage-class", "x-amz-storage-class"), ("sse", "x-amz-server-side-encryption"),
      ("sse-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id"), ("acl", "x-amz-acl"),
    ]
    for (key, name) in names {
      guard let value = options[key] else { continue }
      guard S3Options.isHeaderValue(value) else { throw Failure(.usage, "-o \(key) takes a word") }
      headers.append((name, value))
    }
    if let text = options["metadata"] { headers += try S3Options.metadata(text) }
  }

  /// Until when nobody may remove the version of the object that is put. In the mode that is usual here somebody with a permission of its own
  /// still may: what nobody can take back is for who asks for it by name (docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
  private static func lock(_ options: [String: String]) throws(Failure) -> [(name: String, value: String)] {
    let mode = options["lock-mode"] ?? "governance"
    guard ["governance", "compliance"].contains(mode) else { throw Failure(.usage, "-o lock-mode takes governance or compliance") }
    guard let text = options["lock-until"] else { return [] }
    guard let moment = RFC3339.milliseconds(text) else {
      throw Failure(.usage, "-o lock-until takes a time such as 2030-12-31T23:59:59Z")
    }
    return [
      ("x-amz-object-lock-mode", mode.uppercased()),
      ("x-amz-object-lock-retain-until-date", SigningTime(milliseconds: moment).text),
    ]
  }

  /// `KEY=VALUE`, with commas between several.
  private static func metadata(_ text: String) throws(Failure) -> [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    for pair in text.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let key = parts[0].lowercased()
      guard parts.count == 2, !key.isEmpty, key.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }),
        isHeaderValue(String(parts[1]))
      else {
        throw Failure(.usage, "-o metadata takes KEY=VALUE, with commas between several, in ASCII")
      }
      let name = "x-amz-meta-\(key)"
      guard !headers.contains(where: { $0.name == name }) else {
        throw Failure(.usage, "-o metadata has the key \(key) twice", hint: "upper and lower case are the same")
      }
      headers.append((name, String(parts[1])))
    }
    return headers
  }

  private static func isHeaderValue(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
  }

  /// What an object is stored with: the user's own metadata come before those that are made of what is known of it. A header that is there
  /// twice would not be signed as it is sent.
  func headers(with attributes: Attributes) -> [(name: String, value: String)] {
    headers + attributes.s3Headers.filter { automatic in !headers.contains { $0.name == automatic.name } }
  }

  /// How an object of this length is cut; nil if it goes in one piece.
  ///
  /// - Throws: `rejected` if it has no place in as many and as large parts as there may be.
  func plan(for length: Int64) throws(Failure) -> SessionPlan? {
    guard length > partSize ?? S3Options.threshold else { return nil }
    let least = (length - 1) / S3Options.mostParts + 1
    var size = partSize ?? S3Options.usualPartSize
    // To whole MiB.
    if least > size { size = ((least + (1 << 20) - 1) >> 20) << 20 }
    guard size <= S3Options.partSizes.upperBound else {
      throw Failure(
        .rejected, "the object has \(length) bytes, and S3 takes \(S3Options.mostParts) parts of 5 GiB at the most",
        hint: "make objects that are smaller with --part-size")
    }
    return SessionPlan(pieceSize: size, concurrency: concurrency, hashes: [.sha256, .md5])
  }
}

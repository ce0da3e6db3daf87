import BytePath

/// An upload in parts that has begun, as a `Checkpoint` remembers it.
struct S3Session: Sendable, Equatable {
  let id: String
  let partSize: Int64
  /// Whether each part has a checksum, which the server was told when the upload began.
  let hasChecksums: Bool

  init(id: String, partSize: Int64, hasChecksums: Bool) {
    self.id = id
    self.partSize = partSize
    self.hasChecksums = hasChecksums
  }

  /// Nil if the text is none.
  init?(_ text: String) {
    guard let value = JSONValue(parsing: Array(text.utf8)), let id = value["upload_id"]?.string,
      let partSize = value["part_size"]?.integer, S3PartPlan.sizes.contains(partSize)
    else { return nil }
    self.init(id: id, partSize: partSize, hasChecksums: value["checksums"]?.bool == true)
  }

  var text: String {
    let value: JSONValue = ["upload_id": .string(id), "part_size": JSONValue(partSize), "checksums": .bool(hasChecksums)]
    return value.text
  }
}

/// A part that the server has.
struct S3Part: Sendable, Equatable {
  /// Without quotes.
  var etag: String
  /// Of the bytes that were sent.
  var md5: Checksum
  var sha256: Checksum
}

/// A part as `ListParts` tells of it.
struct S3ListedPart: Sendable, Equatable {
  var etag: String
  var size: Int64
  /// Nil if the server has none.
  var sha256: Checksum?

  /// Whether it has the bytes of these hashes for sure.
  func isSame(md5: Checksum, sha256 known: Checksum, size: Int64) -> Bool {
    guard size == self.size else { return false }
    if let sha256 { return sha256 == known }
    return etag.lowercased() == md5.hex
  }
}

/// One page of the answer to `ListParts`.
struct S3PartList: Sendable, Equatable {
  var parts: [Int: S3ListedPart] = [:]
  /// After which number the next page begins; nil if this is the last.
  var next: String?

  /// Nil if it is none.
  init?(parsing body: [UInt8]) {
    guard let root = XMLTree(parsing: body), root.name == "ListPartsResult" else { return nil }
    for part in root.all("Part") {
      guard let number = (part["PartNumber"]?.text).flatMap({ Int($0) }), let size = (part["Size"]?.text).flatMap({ Int64($0) }),
        let etag = part["ETag"]?.text
      else { return nil }
      let sha256 = (part["ChecksumSHA256"]?.text).flatMap { Checksum(.sha256, base64: $0) }
      parts[number] = S3ListedPart(etag: etag.filter { $0 != "\"" }, size: size, sha256: sha256)
    }
    if root["IsTruncated"]?.text == "true" { next = root["NextPartNumberMarker"]?.text }
  }
}

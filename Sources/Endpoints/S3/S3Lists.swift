import BytePath

/// One page of the answer to `ListParts`.
struct S3PartList: Sendable, Equatable {
  /// By their index, from 0 on.
  var parts: [Int: SentPiece] = [:]
  /// After which number the next page begins; nil if this is the last.
  var next: String?

  /// Nil if it is none.
  ///
  /// - Parameter hasDigests: whether the tags may be MD5s.
  init?(parsing body: [UInt8], hasDigests: Bool) {
    guard let root = XMLTree(parsing: body), root.name == "ListPartsResult" else { return nil }
    for part in root.all("Part") {
      guard let number = (part["PartNumber"]?.text).flatMap({ Int($0) }), number > 0, let size = (part["Size"]?.text).flatMap({ Int64($0) })
      else { return nil }
      var piece = SentPiece(size: size, tag: (part["ETag"]?.text ?? "").filter { $0 != "\"" })
      // The checksum counts where there is one: with keys of a key service the tag is no digest.
      if let sha256 = (part["ChecksumSHA256"]?.text).flatMap({ Checksum(.sha256, base64: $0) }) {
        piece.hashes = [.sha256: sha256]
      } else if hasDigests, let md5 = Checksum(.md5, hex: piece.tag) {
        piece.hashes = [.md5: md5]
      }
      parts[number - 1] = piece
    }
    if root["IsTruncated"]?.text == "true" { next = root["NextPartNumberMarker"]?.text }
  }
}

/// One page of the answer to `ListObjectsV2`.
struct S3Listing: Sendable {
  /// In bytes: a page has up to 1000 keys, each of up to 3072 bytes as they are encoded.
  static let answerLimit = 16 << 20

  private let root: XMLTree
  private let isEncoded: Bool
  private let isTruncated: Bool
  /// What to ask for the next page with; nil if this is the last.
  let next: String?
  /// Whether it goes on, and nobody knows where.
  var isCut: Bool { isTruncated && next == nil }
  var isEmpty: Bool { root["Contents"] == nil && root["CommonPrefixes"] == nil }

  /// Nil if it is none.
  init?(parsing body: [UInt8]) {
    guard let root = XMLTree(parsing: body), root.name == "ListBucketResult" else { return nil }
    self.root = root
    isEncoded = root["EncodingType"]?.text == "url"
    isTruncated = root["IsTruncated"]?.text == "true"
    next = isTruncated ? (root["NextContinuationToken"]?.text).flatMap { $0.isEmpty ? nil : $0 } : nil
  }

  /// The objects, and what they have in common up to the next slash as directories; nil if one has no name that can be read.
  ///
  /// - Parameters:
  ///   - folder: the directory that was asked for.
  ///   - hasDigests: whether tags are known to be MD5s.
  func entries(in folder: S3Object, hasDigests: Bool) -> [Stored]? {
    var entries: [Stored] = []
    for element in root.all("CommonPrefixes") {
      guard let prefix = text(element["Prefix"]) else { return nil }
      entries.append(Stored("\(folder.bucket)/\(prefix)", isDirectory: true))
    }
    for element in root.all("Contents") {
      guard let key = text(element["Key"]) else { return nil }
      // Programs that want directories make one of this name.
      guard key != folder.key else { continue }
      var stored = Stored("\(folder.bucket)/\(key)", size: (element["Size"]?.text).flatMap { Int64($0) })
      stored.modified = (element["LastModified"]?.text).flatMap { RFC3339.milliseconds($0) }
      stored.version = (element["ETag"]?.text).map { $0.filter { $0 != "\"" } }
      if hasDigests, folder.hasDigestTags, let md5 = stored.version.flatMap({ Checksum(.md5, hex: $0) }) { stored.checksums[.md5] = md5 }
      entries.append(stored)
    }
    return entries
  }

  /// A key as it is. In the encoding that was asked for a blank is a plus, as in forms.
  private func text(_ element: XMLTree?) -> String? {
    guard let element, isEncoded else { return element?.text }
    return try? URLText.decoded(element.text.replacing("+", with: " ")[...], mayControl: true)
  }
}

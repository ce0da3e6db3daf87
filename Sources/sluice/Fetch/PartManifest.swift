import BytePath

/// `NAME.parts.json`, which says that a set of parts is whole and what it is (`PartsRun` writes it).
///
/// A set may have been given another name as a whole, and `put` to destinations of several names writes the first of them into all manifests: so a
/// part is looked for by the name of the set that is read, and what it is called in the manifest only shows that this is one.
struct PartManifest: Sendable, Equatable {
  struct Part: Sendable, Equatable {
    /// From 1 on.
    let number: Int
    let bytes: Int64
    let sha256: Checksum

    /// What it has behind the name of the set.
    var suffix: String { PartFacts.suffix(number) }
  }

  static let version: Int64 = 1
  /// The most bytes of one that is read.
  static let limit: Int64 = 64 << 20
  /// The most parts of a set: a number has five digits.
  static let mostParts = 99_999

  /// Of the parts together.
  let bytes: Int64
  let sha256: Checksum
  let isGzip: Bool
  /// Nil if the object is the input.
  var inputBytes: Int64?
  var inputSHA256: Checksum?
  /// One at least.
  let parts: [Part]

  /// - Parameter place: of the manifest, for messages.
  /// - Throws: `input` if it is none, or says what can't be.
  init(parsing text: [UInt8], at place: String) throws(Failure) {
    let damaged = Failure(
      .input, "\(place) is no manifest of parts, or a damaged one", hint: "the parts can be joined by hand: cat NAME.part-*")
    guard let json = JSONValue(parsing: text), let version = json["version"]?.integer else { throw damaged }
    guard version == PartManifest.version else {
      throw Failure(.input, "\(place) was written by a newer sluice (its version is \(version))", hint: "read it with that one")
    }
    guard let name = json["name"]?.string, !name.utf8.contains(UInt8(ascii: "/")), let bytes = json["bytes"]?.integer, bytes >= 0,
      let sha256 = json["sha256"]?.checksum, let isGzip = json["gzip"]?.bool, let size = json["part_size"]?.integer, size > 0,
      let listed = json["parts"]?.array, !listed.isEmpty
    else { throw damaged }
    guard listed.count <= PartManifest.mostParts else {
      throw Failure(.input, "\(place) lists \(listed.count) parts, more than the \(PartManifest.mostParts) that can be read")
    }
    if let hash = json["input_sha256"] {
      guard let checksum = hash.checksum, let length = json["input_bytes"]?.integer, length >= 0 else { throw damaged }
      (inputSHA256, inputBytes) = (checksum, length)
    }
    var parts: [Part] = []
    var rest = bytes
    for (index, part) in listed.enumerated() {
      // All are full but the last one, which is empty only if all is.
      guard part["name"]?.string == name + PartFacts.suffix(index + 1), let length = part["bytes"]?.integer, length == min(size, rest),
        length > 0 || listed.count == 1, let checksum = part["sha256"]?.checksum
      else { throw damaged }
      rest -= length
      parts.append(Part(number: index + 1, bytes: length, sha256: checksum))
    }
    guard rest == 0 else { throw damaged }
    (self.bytes, self.sha256, self.isGzip, self.parts) = (bytes, sha256, isGzip, parts)
  }
}

extension JSONValue {
  fileprivate var checksum: Checksum? { string.flatMap { Checksum(.sha256, hex: $0) } }
}

import BytePath
import Synchronization

/// What is known in a run of a server's entity tags, of parts that were sent, of the objects that they became, and of where may be put.
///
/// A tag that is the MD5 of the bytes proves that they arrived. One that is not proves nothing: servers make tags as they like, of single objects
/// and of objects in parts, and do not say how. So it counts against an object only where that of another one in the same bucket was seen to be
/// an MD5 in this run; otherwise sizes and checksums are compared.
final class S3Memory: Sendable {
  /// The parts of one upload.
  struct Parts: Sendable {
    var sent: [Int: SentPiece] = [:]
    /// Those whose tags are not what an MD5 would be.
    var doubtful: Set<Int> = []
  }

  /// What an object in parts must have that this run put together.
  private struct Whole {
    /// Nil if the tags of its parts are no digests.
    var tag: String?
    var checksum: String
    /// What the server last told.
    var toldChecksum: String?
  }

  private struct State {
    var permitted: Set<String> = []
    var digests: Set<String> = []
    var wholeDigests: Set<String> = []
    var isWarned = false
    var parts: [String: Parts] = [:]
    var wholes: [String: Whole] = [:]
  }

  private let state = Mutex(State())

  func mayPut(beside object: S3Object) -> Bool { state.withLock { $0.permitted.contains(object.folder) } }
  func notePermission(beside object: S3Object) { state.withLock { _ = $0.permitted.insert(object.folder) } }

  /// Whether the tag of an object or of a part in the bucket was seen to be its MD5.
  func hasDigests(_ bucket: String) -> Bool { state.withLock { $0.digests.contains(bucket) } }
  func noteDigests(_ bucket: String) { state.withLock { _ = $0.digests.insert(bucket) } }
  /// Whether the tag of an object in parts in the bucket was seen to be the MD5 of theirs.
  func hasWholeDigests(_ bucket: String) -> Bool { state.withLock { $0.wholeDigests.contains(bucket) } }
  func noteWholeDigests(_ bucket: String) { state.withLock { _ = $0.wholeDigests.insert(bucket) } }

  /// True at the first call alone.
  func mayWarn() -> Bool {
    state.withLock { state in
      defer { state.isWarned = true }
      return !state.isWarned
    }
  }

  func parts(of id: String) -> Parts { state.withLock { $0.parts[id] ?? Parts() } }
  func change(_ id: String, _ body: @Sendable (inout Parts) -> Void) { state.withLock { body(&$0.parts[id, default: Parts()]) } }

  /// - Parameter pieces: those that the object at `path` is put together from; nil if it is not known to be of any.
  func expect(_ pieces: [SentPiece]?, of path: String) {
    let whole = pieces.map { Whole(tag: S3ETag.whole(of: $0), checksum: S3ETag.wholeChecksum(of: $0)) }
    state.withLock { $0.wholes[path] = whole }
  }

  func expectedTag(of path: String) -> String? { state.withLock { $0.wholes[path]?.tag } }
  func noteChecksum(_ checksum: String?, of path: String) { state.withLock { $0.wholes[path]?.toldChecksum = checksum } }

  /// Whether the tag of an object in parts, or the checksum that was told with it, is that of what this run put there; nil if that can't be told.
  func isExpected(_ tag: String, of object: S3Object) -> Bool? {
    state.withLock { state in
      guard let whole = state.wholes[object.path] else { return nil }
      if let told = whole.toldChecksum, told.contains("-") { return told == whole.checksum }
      guard let expected = whole.tag else { return nil }
      return tag == expected ? true : state.wholeDigests.contains(object.bucket) ? false : nil
    }
  }
}

extension S3 {
  /// Looks whether an object is there as it was sent whose tag is not what it would be as an MD5.
  ///
  /// - Parameters:
  ///   - isProof: whether such tags of this bucket are MD5s.
  ///   - answer: the one that has the tag.
  func compare(_ object: S3Object, _ payload: Payload, isProof: Bool, _ answer: HTTPAnswer, _ tag: String) async throws(Failure) {
    let corrupt = answer.corrupt(object.path, tag)
    switch try await stat(object.path, fresh: true) {
    case .nothing: throw corrupt
    case .untold: if isProof { throw corrupt }
    case .stored(let stored):
      let isSame = stored.size.map({ $0 == payload.length }) == false ? false : try await isSame(stored, as: payload)
      guard isSame ?? !isProof else { throw corrupt }
    }
    warnOfTags()
  }

  func warnOfTags() {
    guard memory.mayWarn() else { return }
    context.warn(
      "\(api.origin) gives ETags that are not the MD5 of what was sent, so sizes and checksums are compared instead; -o etag=ignore asks for "
        + "neither")
  }
}

extension HTTPAnswer {
  /// The failure of what did not arrive as it was sent.
  ///
  /// - Parameter what: an object, or a part of it.
  func corrupt(_ what: String, _ tag: String) -> Failure {
    withEvidence(Failure(.server, "\(what) did not arrive as it was sent: its ETag is \(tag)", retryable: true))
  }

  /// - Parameter what: it gives, to something that S3 gives more.
  func strange(_ server: String, _ what: String) -> Failure {
    withEvidence(
      Failure(
        .protocol, "\(server) says HTTP \(status) and gives \(what), so it does not speak S3", hint: "is that the address of the API?"))
  }
}

/// Entity tags of S3, and the checksums that stand in for them.
enum S3ETag {
  /// Whether the tag looks like the MD5 of an object, or that of the MD5s of its parts with their number (`…-12`).
  static func isDigest(_ tag: String) -> Bool {
    let parts = tag.split(separator: "-", omittingEmptySubsequences: false)
    guard parts[0].utf8.count == 32, parts[0].allSatisfy(\.isHexDigit), parts.count <= 2 else { return false }
    return parts.count == 1 || (!parts[1].isEmpty && parts[1].allSatisfy { $0.isASCII && $0.isNumber })
  }

  /// The tag of an object in parts: the MD5 of their MD5s, and their number. Nil if the tags of the parts are no digests.
  static func whole(of pieces: [SentPiece]) -> String? {
    guard pieces.allSatisfy({ $0.tag.lowercased() == $0.hashes[.md5]?.hex }) else { return nil }
    return whole(of: pieces.compactMap { $0.hashes[.md5] })
  }

  static func whole(of digests: [Checksum]) -> String { "\(Checksum(.md5, of: digests.flatMap(\.bytes)).hex)-\(digests.count)" }

  /// The checksum of an object in parts, as `x-amz-checksum-sha256` tells it: that of theirs, and their number
  /// (docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
  static func wholeChecksum(of pieces: [SentPiece]) -> String {
    "\(Checksum(.sha256, of: pieces.flatMap { $0.hashes[.sha256]?.bytes ?? [] }).base64)-\(pieces.count)"
  }
}

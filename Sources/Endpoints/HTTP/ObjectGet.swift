import BytePath
import Synchronization

/// One GET of an object or of a part of it, and what its answer must be so that its bytes are the ones that are meant (RFC 9110, 14.2 and 15.3.7).
/// It stands before the sink, which gets no byte more than was asked for.
final class ObjectGet: ByteSink {
  private struct State {
    var taken: Int64 = 0
    /// Whether the sink wants no more.
    var isEnough = false
  }

  private let path: String
  private let range: Range<Int64>?
  private let server: String
  private let sink: any ByteSink
  private let state = Mutex(State())

  /// - Parameters:
  ///   - range: in bytes, one at least; nil for all.
  ///   - server: for messages.
  init(_ path: String, _ range: Range<Int64>?, from server: String, into sink: any ByteSink) {
    self.path = path
    self.range = range
    self.server = server
    self.sink = sink
  }

  /// Compressed, it would not be the object.
  var headers: [(name: String, value: String)] {
    [("Accept-Encoding", "identity")] + (range.map { [("Range", $0.asHeader)] } ?? [])
  }

  /// Why the body of a success is not what was asked for; nil if it is. One without a part of its own in it, as of a server that sends none, and of
  /// several, is of the kind `protocol`.
  func fault(in answer: HTTPAnswer) -> Failure? {
    guard let range else {
      return answer.status == 200 && !answer.isPart
        ? nil : Failure(.protocol, "\(server) answers GET of \(path) with HTTP \(answer.status)")
    }
    guard answer.isPart else { return Failure(.protocol, "\(server) sends no parts of an object") }
    guard let part = answer.contentRange, part.range.lowerBound == range.lowerBound, part.range.upperBound <= range.upperBound,
      answer.expectedLength.map({ $0 == part.range.count }) ?? true
    else { return Failure(.protocol, "\(server) sends another part of \(path) than was asked for") }
    return nil
  }

  /// - Throws: what the body lacks, or has too much of.
  func checkEnd(of answer: HTTPAnswer) throws(Failure) {
    let (taken, isEnough) = state.withLock { ($0.taken, $0.isEnough) }
    guard let range, let part = answer.contentRange, !isEnough else { return }
    guard taken <= part.range.count else {
      throw answer.withEvidence(Failure(.protocol, "\(server) sends more of \(path) than was asked for"))
    }
    guard taken == part.range.count else {
      throw answer.withEvidence(Failure(.protocol, "\(server) broke off in the middle of its answer", fault: .cutAnswer))
    }
    // It may send less (RFC 9110, 15.3.7), and then the rest is to be asked for.
    guard part.range.upperBound == range.upperBound || part.range.upperBound == part.total else {
      throw answer.withEvidence(Failure(.server, "\(server) sends less of \(path) than was asked for", retryable: true))
    }
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let isTooLong = state.withLock { state in
      state.taken = state.taken.addingSaturated(Int64(bytes.count))
      return range.map { state.taken > $0.count } ?? false
    }
    guard !isTooLong else { return false }
    let isWanted = sink.take(bytes)
    if !isWanted { state.withLock { $0.isEnough = true } }
    return isWanted
  }

  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { sink.isReady(go) }
}

extension HTTPAnswer {
  /// Whether its body is a part of an object. rclone's S3 server says so with status 200, which would be that of all of it.
  var isPart: Bool { status == 206 || status == 200 && contentRange.map { expectedLength == $0.range.count } == true }

  /// The header `Content-Range` (RFC 9110, 14.4); nil if there is none that has a meaning.
  var contentRange: (range: Range<Int64>, total: Int64?)? {
    guard let text = headers["content-range"], text.lowercased().hasPrefix("bytes ") else { return nil }
    let halves = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
    let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false).compactMap { Int64($0) }
    guard halves.count == 2, ends.count == 2, 0 <= ends[0], ends[0] <= ends[1], ends[1] < .max else { return nil }
    let total = Int64(halves[1])
    guard total.map({ $0 > ends[1] }) ?? (halves[1] == "*") else { return nil }
    return (ends[0]..<ends[1] + 1, total)
  }

  /// How the bytes of the body are coded, if that is not how the object is: who asks for `identity` is told a coding all the same of an object
  /// that is compressed itself, by the ending of its name, as Apache's `AddEncoding` does.
  func foreignCoding(of path: String) -> String? {
    let codings = (headers["content-encoding"] ?? "").split(separator: ",").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
    guard let coding = codings.first(where: { !$0.isEmpty && $0 != "identity" }) else { return nil }
    let endings = ["gzip": [".gz", ".tgz", ".svgz"], "compress": [".z"], "br": [".br"], "zstd": [".zst"]]
    let word = coding.hasPrefix("x-") ? String(coding.dropFirst(2)) : coding
    let isOwn = codings.count == 1 && endings[word]?.contains { path.lowercased().hasSuffix($0) } == true
    return isOwn ? nil : coding
  }

  /// Those that the answer tells of the whole object (RFC 9530; its forerunners in RFC 3230 and RFC 1864; Google's own).
  var checksums: [HashAlgorithm: Checksum] {
    var found: [HashAlgorithm: Checksum] = [:]
    let words = ["x-goog-hash", "digest", "repr-digest"].compactMap { headers[$0] }.flatMap { $0.split(separator: ",") }
    for word in words {
      let halves = word.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " && $0 != "\t" && $0 != ":" } }
      guard halves.count == 2 else { continue }
      let names: [String: HashAlgorithm] = ["md5": .md5, "sha": .sha1, "sha-1": .sha1, "sha-256": .sha256]
      guard let algorithm = names[halves[0].lowercased()], let sum = Checksum(algorithm, base64: halves[1]) else { continue }
      found[algorithm] = sum
    }
    // Of a part it is that of the part.
    if !isPart, let sum = headers["content-md5"].flatMap({ Checksum(.md5, base64: $0) }) { found[.md5] = sum }
    return found
  }
}

extension Failure {
  /// - Parameter url: where the answer came from.
  static func coded(_ path: String, _ coding: String, from url: String) -> Failure {
    Failure(
      .protocol, "\(path) comes compressed (\(coding)), although the server was asked for it as it is",
      hint: "have the server, or a proxy before it, leave \(URLText.redactedTarget(url)) as it is")
  }
}

import ArgumentParser
import BytePath
import Endpoints

/// What an object must be, by everybody who has a word on it. The best word is the proof, and none of the others that is looked at may be
/// contradicted.
struct Proof: Sendable {
  /// Who says it, the most trusted first. The raw value is `verified` in the result.
  enum Source: String, Sendable, CaseIterable {
    case given = "sha256"
    case receipt, manifest, sum
    case server = "checksum"
    case size
  }

  struct Word: Sendable {
    let source: Source
    /// For messages: `FILE.sha256`.
    let speaker: String
    var size: Int64?
    var checksum: Checksum?

    /// What to do if it does not fit: what was said of an object is not said of the one that has replaced it.
    fileprivate var hint: String? {
      switch source {
      case .sum: "if the object was replaced without put --sum, remove \(speaker), or prove it with --sha256 or --receipt"
      case .receipt: "if the object was replaced since, give the receipt of that upload"
      default: nil
      }
    }
  }

  /// What must come out once everything that `put` did to the input has been undone.
  struct Output: Sendable {
    let speaker: String
    var size: Int64?
    let sha256: Checksum
    /// Whether `put -z` compressed it. That there were filters is all that is known of them.
    let isGzip: Bool
  }

  private(set) var words: [Word] = []
  /// What proves it where it has it, and says nothing where it has not.
  private(set) var hints: [Checksum] = []
  private(set) var output: Output?

  /// The proof: a hash if anybody knows one, else a size; nil if nobody knows that either.
  var best: Word? {
    let ranked = Source.allCases.lazy.compactMap { source in words.first { $0.source == source } }
    return ranked.first { $0.checksum != nil } ?? ranked.first { $0.size != nil }
  }

  /// `verified` of the result.
  var verified: String? { best.map { $0.checksum == nil ? Source.size.rawValue : $0.source.rawValue } }

  /// Whether a hash is known, so that nobody with a lesser word need be asked.
  var isHash: Bool { best?.checksum != nil }

  /// In bytes, by the best word that has it.
  var size: Int64? { Source.allCases.lazy.compactMap { source in words.first { $0.source == source }?.size }.first }

  /// What must be computed of the object to check it. Where a SHA-256 is known, no lesser hash is worth the time.
  var hashes: Set<HashAlgorithm> {
    let told = Set(words.compactMap(\.checksum?.algorithm))
    return told.contains(.sha256) ? [.sha256] : told.union(hints.map(\.algorithm))
  }

  mutating func add(_ word: Word) { words.append(word) }

  /// Adds what the user says with `--sha256`.
  mutating func add(given sha256: Checksum) { add(Word(source: .given, speaker: "--sha256", checksum: sha256)) }

  mutating func add(_ entry: ReceiptFile.Entry, of file: ReceiptFile) {
    add(Word(source: .receipt, speaker: file.name, size: entry.bytes, checksum: entry.sha256))
    output = entry.inputSHA256.map { Output(speaker: file.name, size: entry.inputBytes, sha256: $0, isGzip: entry.isGzip) }
  }

  /// - Parameter place: of the manifest, for messages.
  mutating func add(_ manifest: PartManifest, at place: String) {
    add(Word(source: .manifest, speaker: place, size: manifest.bytes, checksum: manifest.sha256))
    // Who says with --sha256 what the object must be may want to undo only a part of what was done.
    guard !words.contains(where: { $0.source == .given }) else { return }
    output = output ?? manifest.inputSHA256.map { Output(speaker: place, size: manifest.inputBytes, sha256: $0, isGzip: manifest.isGzip) }
  }

  /// Adds what the server says of the object.
  mutating func add(_ stored: Stored) {
    if let size = stored.size { add(Word(source: .size, speaker: "the server", size: size)) }
    for (_, checksum) in stored.checksums.sorted(by: { $0.key.byteCount > $1.key.byteCount }) {
      add(Word(source: .server, speaker: "the server", checksum: checksum))
    }
    hints += stored.hints.values
  }

  /// - Throws: `input` if nobody knows a hash, as `--require-hash` asks for one.
  func requireHash(of name: String) throws(Failure) {
    guard !isHash else { return }
    throw Failure(
      .input, "\(name) cannot be proven: nobody knows a hash of it",
      hint: "give one with --sha256 or --receipt; put --sum stores one beside the object")
  }

  /// Compares what came with every word on its size and on `hashes`.
  ///
  /// - Parameters:
  ///   - length: in bytes.
  ///   - digests: of all `hashes`.
  /// - Throws: `input` if it is not what was stored.
  mutating func check(_ name: String, length: Int64, digests: [Checksum]) throws(Failure) {
    for word in words {
      if let size = word.size, size != length {
        throw Failure(.input, "\(name) is not what was stored: it has \(length) bytes, and \(size) by \(word.speaker)", hint: word.hint)
      }
      guard let checksum = word.checksum, hashes.contains(checksum.algorithm), !digests.contains(checksum) else { continue }
      let found = digests.first { $0.algorithm == checksum.algorithm }?.hex ?? "not known"
      throw Failure(
        .input, "\(name) is not what was stored: its \(checksum.algorithm.title) is \(found), and \(checksum.hex) by \(word.speaker)",
        hint: word.hint)
    }
    for hint in hints where digests.contains(hint) { add(Word(source: .server, speaker: "the server", checksum: hint)) }
  }

  /// Whether what comes out of a run that undoes something should be the input of `put`.
  ///
  /// - Parameters:
  ///   - gunzips: whether `-d` is given.
  ///   - filters: of `--through`.
  func expectsInput(gunzips: Bool, filters: Int) -> Output? {
    guard let output, output.isGzip ? gunzips : gunzips || filters > 0 else { return nil }
    return output
  }
}

extension Proof.Output {
  /// - Throws: `input` if what came out is not what went in.
  func check(_ name: String, length: Int64, sha256 found: Checksum) throws(Failure) {
    let hint = "if it is not to be what put has read, prove the object alone with --sha256"
    if let size, size != length {
      throw Failure(.input, "what comes out of \(name) is not what went in: \(length) bytes, and \(size) by \(speaker)", hint: hint)
    }
    guard found != sha256 else { return }
    throw Failure(
      .input, "what comes out of \(name) is not what went in: its SHA-256 is \(found.hex), and \(sha256.hex) by \(speaker)", hint: hint)
  }
}

extension HashAlgorithm {
  /// For people.
  fileprivate var title: String {
    switch self {
    case .md5: "MD5"
    case .sha1: "SHA-1"
    case .sha256: "SHA-256"
    }
  }
}

/// Reads the value of `--sha256`.
func sha256Argument(_ text: String) throws -> Checksum {
  guard let checksum = Checksum(.sha256, hex: text) else { throw ValidationError("--sha256 takes 64 hexadecimal digits") }
  return checksum
}

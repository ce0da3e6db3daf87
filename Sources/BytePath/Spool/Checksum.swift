import Crypto
import FoundationEssentials

/// The hashes that servers ask for.
public enum HashAlgorithm: String, Sendable, CaseIterable {
  case md5, sha1, sha256

  /// Bytes of such a hash.
  public var byteCount: Int {
    switch self {
    case .md5: Insecure.MD5.byteCount
    case .sha1: Insecure.SHA1.byteCount
    case .sha256: SHA256.byteCount
    }
  }
}

/// A hash of bytes, whichever way others write it.
public struct Checksum: Sendable, Hashable {
  public let algorithm: HashAlgorithm
  public let bytes: [UInt8]

  fileprivate init(_ algorithm: HashAlgorithm, digest: [UInt8]) {
    self.algorithm = algorithm
    bytes = digest
  }

  /// Computes it.
  public init(_ algorithm: HashAlgorithm, of bytes: [UInt8]) {
    var hash = RunningHash(algorithm)
    bytes.withUnsafeBytes { hash.update($0) }
    self = hash.finalized()
  }

  /// Reads digits in upper or lower case; nil if they are no hash of this kind.
  public init?(_ algorithm: HashAlgorithm, hex text: some StringProtocol) {
    let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue.map { UInt8($0) } }
    guard digits.count == text.utf8.count, digits.count == 2 * algorithm.byteCount else { return nil }
    self.init(algorithm, digest: stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
  }

  /// Nil if the text is no hash of this kind.
  public init?(_ algorithm: HashAlgorithm, base64 text: String) {
    guard let data = Data(base64Encoded: text), data.count == algorithm.byteCount else { return nil }
    self.init(algorithm, digest: Array(data))
  }

  /// In lower case.
  public var hex: String { bytes.hex }
  public var base64: String { Data(bytes).base64EncodedString() }
}

/// As hex; the length of that tells which hash it is.
extension Checksum: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let known = HashAlgorithm.allCases.lazy.compactMap({ Checksum($0, hex: text) }).first else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "no hash")
    }
    self = known
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hex)
  }
}

extension Sequence<UInt8> {
  /// As lower-case hexadecimal digits.
  public var hex: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

/// A hash of bytes that come piece by piece.
public struct RunningHash: Sendable {
  private let algorithm: HashAlgorithm
  private var hash: any HashFunction & Sendable

  public init(_ algorithm: HashAlgorithm) {
    self.algorithm = algorithm
    switch algorithm {
    case .md5: hash = Insecure.MD5()
    case .sha1: hash = Insecure.SHA1()
    case .sha256: hash = SHA256()
    }
  }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }

  /// Of what has come so far.
  public func finalized() -> Checksum {
    func bytes(of hash: some HashFunction) -> [UInt8] { Array(hash.finalize()) }
    return Checksum(algorithm, digest: bytes(of: hash))
  }
}

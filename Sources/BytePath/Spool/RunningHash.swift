import Crypto

/// The hashes that servers ask for.
public enum HashAlgorithm: String, Sendable, CaseIterable {
  case md5, sha1, sha256
}

/// A hash of bytes that come piece by piece.
enum RunningHash {
  case md5(Insecure.MD5)
  case sha1(Insecure.SHA1)
  case sha256(SHA256)

  init(_ algorithm: HashAlgorithm) {
    switch algorithm {
    case .md5: self = .md5(Insecure.MD5())
    case .sha1: self = .sha1(Insecure.SHA1())
    case .sha256: self = .sha256(SHA256())
    }
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    switch self {
    case .md5(var hash):
      hash.update(bufferPointer: bytes)
      self = .md5(hash)
    case .sha1(var hash):
      hash.update(bufferPointer: bytes)
      self = .sha1(hash)
    case .sha256(var hash):
      hash.update(bufferPointer: bytes)
      self = .sha256(hash)
    }
  }

  /// In lower-case hex.
  func finalized() -> String {
    switch self {
    case .md5(let hash): hexadecimal(hash.finalize())
    case .sha1(let hash): hexadecimal(hash.finalize())
    case .sha256(let hash): hexadecimal(hash.finalize())
    }
  }
}

/// Bytes as lower-case hexadecimal digits.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

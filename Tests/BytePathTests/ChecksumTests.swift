import BytePath
import Foundation
import Testing

@Suite("checksums")
struct ChecksumTests {
  /// Of `abc`: RFC 1321 A.5, FIPS 180.
  private let known: [(HashAlgorithm, hex: String, base64: String)] = [
    (.md5, "900150983cd24fb0d6963f7d28e17f72", "kAFQmDzST7DWlj99KOF/cg=="),
    (.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
    (.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
  ]

  @Test("a checksum is the same, however it is written")
  func writings() throws {
    for (algorithm, hex, base64) in known {
      let computed = Checksum(algorithm, of: Array("abc".utf8))
      #expect(computed.hex == hex)
      #expect(computed.base64 == base64)
      #expect(Checksum(algorithm, hex: hex) == computed)
      #expect(Checksum(algorithm, hex: hex.uppercased()) == computed)
      #expect(Checksum(algorithm, base64: base64) == computed)
      let stored = try JSONEncoder().encode([computed])
      #expect(String(decoding: stored, as: UTF8.self) == "[\"\(hex)\"]")
      #expect(try JSONDecoder().decode([Checksum].self, from: stored) == [computed])
    }
  }

  @Test("what is no hash of its kind is none", arguments: HashAlgorithm.allCases)
  func nonsense(algorithm: HashAlgorithm) {
    let digits = String(repeating: "0", count: 2 * algorithm.byteCount)
    #expect(Checksum(algorithm, hex: digits) != nil)
    for text in ["", String(digits.dropLast()), digits + "00", "\(digits.dropLast())g", "\(digits.dropLast(2)) 0", "\(digits.dropLast())é"]
    {
      #expect(Checksum(algorithm, hex: text) == nil, "\(text)")
    }
    for text in ["", "AA==", "\(Data(count: algorithm.byteCount + 1).base64EncodedString())", "not base64"] {
      #expect(Checksum(algorithm, base64: text) == nil, "\(text)")
    }
    #expect(throws: DecodingError.self) { try JSONDecoder().decode([Checksum].self, from: Data("[\"\(digits)0\"]".utf8)) }
  }
}

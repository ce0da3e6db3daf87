import BytePath
import Crypto
import Testing

@testable import Endpoints

/// The examples of docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, with the keys and the time of that page.
@Suite("Signature V4")
struct SignatureV4Tests {
  private let time = SigningTime(milliseconds: 1_369_353_600_000)
  private let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  private func signature(secret: String = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", service: String = "s3") throws -> SignatureV4 {
    let credentials = try AWSCredentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secret: secret, sessionToken: nil, origin: "the example")
    return SignatureV4(credentials: credentials, region: "us-east-1", service: service)
  }

  private func message(
    _ method: String, _ path: String, query: [(name: String, value: String)] = [], headers: [(name: String, value: String)] = [],
    bodyHash: String? = nil
  ) -> SignatureV4.Message {
    let bodyHash = bodyHash ?? empty
    return SignatureV4.Message(
      method: method, path: path, query: query,
      headers: headers + [
        ("Host", "examplebucket.s3.amazonaws.com"), ("x-amz-content-sha256", bodyHash), ("x-amz-date", "20130524T000000Z"),
      ], bodyHash: bodyHash)
  }

  private func expect(_ message: SignatureV4.Message, signedHeaders: String, signature: String) throws {
    #expect(
      try self.signature().authorization(of: message, at: time)
        == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=\(signedHeaders), Signature=\(signature)"
    )
  }

  @Test("GET Object")
  func getObject() throws {
    try expect(
      message("GET", "/test.txt", headers: [("Range", "bytes=0-9")]), signedHeaders: "host;range;x-amz-content-sha256;x-amz-date",
      signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
  }

  @Test("PUT Object")
  func putObject() throws {
    let hash = SHA256.hash(data: Array("Welcome to Amazon S3.".utf8)).hex
    try expect(
      message(
        "PUT", "/" + URLText.encoded("test$file.text"),
        headers: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")], bodyHash: hash),
      signedHeaders: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
  }

  @Test("GET Bucket Lifecycle")
  func lifecycle() throws {
    try expect(
      message("GET", "/", query: [("lifecycle", "")]), signedHeaders: "host;x-amz-content-sha256;x-amz-date",
      signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
  }

  @Test("GET Bucket (List Objects)")
  func listObjects() throws {
    try expect(
      message("GET", "/", query: [("prefix", "J"), ("max-keys", "2")]), signedHeaders: "host;x-amz-content-sha256;x-amz-date",
      signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  }

  @Test("the derived signing key of the IAM user guide")
  func signingKey() throws {
    let key = try signature(secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", service: "iam")
      .signingKey(of: SigningTime(milliseconds: 1_440_938_160_000))
    #expect(
      key.withUnsafeBytes { $0.hex } == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9")
  }

  @Test("times are written as the protocol has them")
  func times() {
    #expect(time.stamp == "20130524T000000Z")
    #expect(time.day == "20130524")
    #expect(SigningTime(milliseconds: 1_709_251_199_999).stamp == "20240229T235959Z")
  }

  @Test("blanks in values count once, and a query is encoded to the last slash")
  func canonical() throws {
    let one = message("GET", "/", headers: [("x-amz-meta-a", "  b   c ")])
    let other = message("GET", "/", headers: [("X-Amz-Meta-A", "b c")])
    #expect(try signature().authorization(of: one, at: time) == signature().authorization(of: other, at: time))
    #expect(SignatureV4.encoded([("uploadId", "a/b+c=d e"), ("partNumber", "1")]) == "partNumber=1&uploadId=a%2Fb%2Bc%3Dd%20e")
  }
}

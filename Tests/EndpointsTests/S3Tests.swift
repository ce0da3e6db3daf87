import BytePath
import Testing

@testable import Endpoints

@Suite("S3")
struct S3Tests {
  @Test("an object is cut into parts of 16 MiB, and into larger ones where there would be more than 10,000")
  func parts() throws {
    let gib: Int64 = 1 << 30
    #expect(try S3Options([:]).plan(for: 64 << 20) == nil)
    let usual = try #require(try S3Options([:]).plan(for: gib + 1))
    #expect(usual.pieceSize == 16 << 20)
    let session = Session(id: "x", pieceSize: usual.pieceSize)
    #expect(session.count(for: gib + 1) == 65)
    #expect(session.range(of: 0, in: gib + 1) == 0..<(16 << 20))
    #expect(session.range(of: 64, in: gib + 1) == gib..<(gib + 1))
    let large = try #require(try S3Options(["part-size": "5M"]).plan(for: 1024 * gib))
    #expect(Session(id: nil, pieceSize: large.pieceSize).count(for: 1024 * gib) <= 10_000)
    #expect(large.pieceSize == 105 << 20)
    #expect(try S3Options(["part-size": "5M"]).plan(for: 5 << 20) == nil)
    #expect(try S3Options(["part-size": "5M"]).plan(for: (5 << 20) + 1)?.pieceSize == 5 << 20)
    for length in [50_001 * gib, .max] {
      #expect(throws: Failure.self) { try S3Options([:]).plan(for: length) }
    }
  }

  @Test("the options become headers")
  func options() throws {
    let options = try S3Options([
      "storage-class": "GLACIER_IR", "sse": "aws:kms", "sse-kms-key-id": "k", "metadata": "A=b c,d=e=f", "concurrency": "9",
    ])
    #expect(options.concurrency == 9)
    #expect(
      options.headers.map { "\($0.name): \($0.value)" } == [
        "x-amz-storage-class: GLACIER_IR", "x-amz-server-side-encryption: aws:kms", "x-amz-server-side-encryption-aws-kms-key-id: k",
        "x-amz-meta-a: b c", "x-amz-meta-d: e=f",
      ])
  }

  @Test(
    "options that mean nothing are usage errors",
    arguments: [
      ["part-size": "4M"], ["part-size": "6G"], ["part-size": ""], ["concurrency": "0"], ["concurrency": "33"], ["sse": "rot13"],
      ["sse-kms-key-id": "k"], ["sse-kms-key-id": "k", "sse": "AES256"], ["metadata": "a"], ["metadata": "a=ü"], ["metadata": "a b=c"],
      ["metadata": "a=1,b=2,A=3"],
      ["storage-class": ""], ["acl": "a\nb"],
    ])
  func refusedOptions(options: [String: String]) {
    #expect(throws: Failure.self) { try S3Options(options) }
  }

  @Test("a path is a bucket and a key")
  func paths() throws {
    let object = try S3Object("bucket//a//b")
    #expect(object.bucket == "bucket")
    #expect(object.key == "/a//b")
    for path in ["", "bucket", "bucket/", "/key", "bucket/a/", "bu cket/key", "büc/key"] {
      #expect(throws: Failure.self, "\(path)") { try S3Object(path) }
    }
    #expect(try S3Object(directory: "bucket").path == "bucket/")
    #expect(try S3Object(directory: "bucket/a//").key == "a//")
    let long = #expect(throws: Failure.self) { try S3Object("bucket/" + String(repeating: "ä", count: 513)) }
    #expect(long?.kind == .rejected)
  }

  @Test("a list of parts is read, page by page")
  func partList() throws {
    let text = """
      <?xml version="1.0"?><ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
      <NextPartNumberMarker>2</NextPartNumberMarker><Part><PartNumber>2</PartNumber><ETag>&quot;900150983cd24fb0d6963f7d28e17f72&quot;</ETag>
      <Size>3</Size></Part></ListPartsResult>
      """
    let list = try #require(S3PartList(parsing: Array(text.utf8), hasDigests: true))
    #expect(list.next == "2")
    #expect(list.parts == [1: SentPiece(size: 3, tag: S3Tests.md5.hex, hashes: [.md5: S3Tests.md5])])
    #expect(S3PartList(parsing: Array(text.utf8), hasDigests: false)?.parts[1]?.hashes == [:])
    // The checksum counts where there is one: with keys of a key service the tag is no digest.
    let summed = text.replacing("</Size>", with: "</Size><ChecksumSHA256>ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=</ChecksumSHA256>")
    #expect(S3PartList(parsing: Array(summed.utf8), hasDigests: true)?.parts[1]?.hashes == [.sha256: S3Tests.sha256])
    #expect(S3PartList(parsing: Array("<html/>".utf8), hasDigests: true) == nil)
    #expect(S3PartList(parsing: Array(text.replacing("<PartNumber>2", with: "<PartNumber>0").utf8), hasDigests: true) == nil)
  }

  // Of "abc".
  private static let md5 = Checksum(.md5, of: Array("abc".utf8))
  private static let sha256 = Checksum(.sha256, of: Array("abc".utf8))

  @Test("a list of objects is read, with keys that no XML can hold")
  func list() throws {
    let text = """
      <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
      <NextContinuationToken>a+b==</NextContinuationToken><Contents><Key>d/</Key><Size>0</Size></Contents><Contents><Key>d/a+b%2B%01+</Key>
      <LastModified>2026-01-02T03:04:05.006Z</LastModified><ETag>&quot;900150983cd24fb0d6963f7d28e17f72&quot;</ETag><Size>3</Size></Contents>
      <CommonPrefixes><Prefix>d/e/</Prefix></CommonPrefixes></ListBucketResult>
      """
    let list = try #require(S3Listing(parsing: Array(text.utf8)))
    #expect(list.next == "a+b==")
    var object = Stored("b/d/a b+\u{1} ", size: 3)
    object.modified = 1_767_323_045_006
    object.version = S3Tests.md5.hex
    #expect(list.entries(in: try S3Object(directory: "b/d"), hasDigests: false) == [Stored("b/d/e/", isDirectory: true), object])
    object.checksums[.md5] = S3Tests.md5
    #expect(list.entries(in: try S3Object(directory: "b/d"), hasDigests: true)?.last == object)
    #expect(S3Listing(parsing: Array("<html/>".utf8)) == nil)
  }

  @Test("the tag of an object in parts is the MD5 of their MD5s, and its checksum that of theirs")
  func tag() {
    var piece = SentPiece(size: 3, tag: S3Tests.md5.hex.uppercased(), hashes: [.md5: S3Tests.md5, .sha256: S3Tests.sha256])
    // printf abc | md5sum, twice; then both digests as bytes through md5sum. The same with sha256sum, in base64.
    #expect(S3ETag.whole(of: [piece, piece]) == "043a916d6cfeecedf5e04f0312ba762d-2")
    #expect(S3ETag.wholeChecksum(of: [piece, piece]) == "O3ccqX48F2mK/yEif6BGtWIqMNjuXS3k7hERoc3yWO4=-2")
    piece.tag = "x"
    #expect(S3ETag.whole(of: [piece, piece]) == nil)
    #expect(S3ETag.isDigest("900150983cd24fb0d6963f7d28e17f72"))
    #expect(S3ETag.isDigest("900150983cd24fb0d6963f7d28e17f72-12"))
    for tag in ["", "900150983cd24fb0d6963f7d28e17f7", "900150983cd24fb0d6963f7d28e17f72-", "900150983cd24fb0d6963f7d28e17f72-x", "xyz-1"] {
      #expect(!S3ETag.isDigest(tag), "\(tag)")
    }
  }

  @Test(
    "codes of S3 as failures",
    arguments: [
      (403, "AccessDenied", Failure.Kind.auth, false), (403, "InvalidAccessKeyId", .auth, false),
      (403, "SignatureDoesNotMatch", .auth, false), (400, "ExpiredToken", .auth, false), (400, "ExpiredTokenException", .auth, false),
      (403, "RequestTimeTooSkewed", .auth, false),
      (503, "SlowDown", .server, true), (500, "InternalError", .server, true), (503, "ServiceUnavailable", .server, true),
      (400, "RequestTimeout", .server, true), (200, "InternalError", .server, true), (400, "BadDigest", .server, true),
      (404, "NoSuchBucket", .rejected, false), (400, "EntityTooLarge", .rejected, false), (403, "QuotaExceeded", .rejected, false),
      (400, "InvalidStorageClass", .rejected, false), (501, "NotImplemented", .rejected, false),
    ])
  func errors(status: Int, code: String, kind: Failure.Kind, isRetryable: Bool) throws {
    let answer = answer(status, "\n<Error><Code>\(code)</Code><Message>Why.</Message><Token-0>secret</Token-0></Error>")
    let failure = try #require(S3Error(answer)).failure(answer, "http://h", "put x")
    #expect(failure.kind == kind)
    #expect(failure.isRetryable == isRetryable)
    #expect(failure.message == "cannot put x: http://h says \(code): Why")
    #expect(failure.response?.text == #"{"code":"\#(code)","message":"Why."}"#)
  }

  @Test("the region of a bucket is taken from what refuses")
  func regions() {
    #expect(answer(301, "", ["x-amz-bucket-region": "eu-west-1"]).otherRegion == "eu-west-1")
    #expect(
      answer(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>").otherRegion == "eu-west-1")
    #expect(answer(403, "<Error><Code>AccessDenied</Code></Error>", ["x-amz-bucket-region": "eu-west-1"]).otherRegion == nil)
    #expect(answer(301, "", ["x-amz-bucket-region": "evil.example/"]).otherRegion == nil)
  }

  @Test("a tag is no digest where keys of a key service encrypt, nor in a directory bucket")
  func digestTags() throws {
    let tag = "900150983CD24FB0D6963F7D28E17F72"
    let object = try S3Object("b/k")
    #expect(answer(200, "", ["etag": "\"\(tag)\""]).digest(of: object) == tag.lowercased())
    #expect(answer(200, "", ["etag": tag, "x-amz-server-side-encryption": "AES256"]).digest(of: object) == tag.lowercased())
    #expect(answer(200, "", ["etag": tag, "x-amz-server-side-encryption": "aws:kms"]).digest(of: object) == nil)
    #expect(answer(200, "", ["etag": tag]).digest(of: try S3Object("b--x-s3/k")) == nil)
    #expect(answer(200, "", ["etag": ""]).etag == nil)
  }

  @Test(
    "a server that asks for a checksum is told from one that did not like it",
    arguments: [
      (
        "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters", true
      ),
      ("MissingContentMD5", "", true), ("InvalidRequest", "Missing required header for this request: Content-MD5", true),
      ("BadDigest", "The Content-MD5 you specified did not match what we received; it must.", false),
      ("InvalidDigest", "The Content-MD5 you specified is not valid.", false), ("InvalidRequest", "Why.", false),
    ])
  func digestIsAskedFor(code: String, message: String, asks: Bool) {
    let answer = answer(400, "<Error><Code>\(code)</Code><Message>\(message)</Message></Error>")
    #expect(answer.asksForDigest == asks)
  }

  private func answer(_ status: Int, _ body: String, _ headers: [String: String] = [:]) -> HTTPAnswer {
    HTTPAnswer(status: status, headers: headers, body: Array(body.utf8), isAfterWholeBody: true, url: "http://h/")
  }
}

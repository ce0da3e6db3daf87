import BytePath
import Crypto
import FoundationEssentials

/// AWS Signature Version 4 in the `Authorization` header, as S3 wants it: the path is encoded once and nothing in it is normalised
/// (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
struct SignatureV4: Sendable {
  let credentials: AWSCredentials
  let region: String
  var service = "s3"

  /// What of a request is signed.
  struct Message {
    var method: String
    /// Percent-encoded, with a slash at its start.
    var path: String
    /// Not encoded, in any order.
    var query: [(name: String, value: String)] = []
    /// All that are signed: `host`, and `x-amz-date` and `x-amz-content-sha256` with the others.
    var headers: [(name: String, value: String)]
    /// SHA-256 of the body in lower-case hex.
    var bodyHash: String
  }

  /// The value of the header.
  func authorization(of message: Message, at time: SigningTime) -> String {
    let headers = SignatureV4.canonical(message.headers)
    let signedNames = headers.map(\.name).joined(separator: ";")
    let request = [
      message.method, message.path, SignatureV4.encoded(message.query),
      headers.map { "\($0.name):\($0.value)\n" }.joined(), signedNames, message.bodyHash,
    ].joined(separator: "\n")
    let scope = "\(time.day)/\(region)/\(service)/aws4_request"
    let text = ["AWS4-HMAC-SHA256", time.stamp, scope, Checksum(.sha256, of: Array(request.utf8)).hex].joined(separator: "\n")
    let signature = HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: signingKey(of: time)).hex
    return "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(signedNames), Signature=\(signature)"
  }

  /// The key that is derived for a day, a region and a service.
  func signingKey(of time: SigningTime) -> SymmetricKey {
    var key = SymmetricKey(data: Array("AWS4\(credentials.secret.exposed)".utf8))
    for part in [time.day, region, service, "aws4_request"] {
      key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
    }
    return key
  }

  /// A query as it is signed, which is one way to send it too.
  static func encoded(_ query: [(name: String, value: String)]) -> String {
    query.map { (encoded($0.name), encoded($0.value)) }.sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
  }

  private static func encoded(_ text: String) -> String { URLText.encoded(text).replacing("/", with: "%2F") }

  /// Names in lower case and in order, values with single blanks.
  private static func canonical(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
    headers.map { ($0.name.lowercased(), $0.value.split(separator: " ").joined(separator: " ")) }.sorted { $0.0 < $1.0 }
  }
}

/// A moment as signatures have it.
struct SigningTime: Sendable {
  /// `2013-05-24T00:00:00Z`
  let text: String

  /// - Parameter milliseconds: since 1970.
  init(milliseconds: Int64) {
    text = Date.ISO8601FormatStyle().format(Date(timeIntervalSince1970: Double(milliseconds / 1000)))
  }

  /// `20130524T000000Z`
  var stamp: String { text.filter { $0 != "-" && $0 != ":" } }

  /// `20130524`
  var day: String { String(stamp.prefix(8)) }
}

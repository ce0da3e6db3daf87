import BytePath

/// A call to a server.
struct HTTPRequest: Sendable {
  enum Method: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
    // WebDAV (RFC 4918, 9).
    case propfind = "PROPFIND"
    case makeCollection = "MKCOL"
    case move = "MOVE"
  }

  var method: Method
  var url: String
  var headers: [(name: String, value: String)] = []
  var body = HTTPBody()
  /// Whether the body of an answer with status 200 is wanted; false hangs up after its head. All other bodies are read.
  var wantsContent = true
  /// Is given the body of an answer with `contentStatus`, however long that is, instead of keeping it.
  var receiver: (any ByteSink)?
  /// Which answers have what the receiver is to be given, if that is not every one with `contentStatus`. After the head of another success the
  /// request ends.
  var isWanted: (@Sendable (HTTPAnswer) -> Bool)?
  /// Bytes of the longest body that is kept.
  var answerLimit = HTTPAnswer.bodyLimit
  /// Whether the server may take its time, because it stores the object before it answers.
  var isUpload = false
  /// Whether a status of 2xx to it says all, so that the body of the answer may be cut.
  var isAnsweredByStatus = false
  /// Whether the server may let it wait at the door, before it reads the body, as long as it may let an answer wait.
  var mayQueue = false
  /// Whether it may be sent again as it is to where a redirect leads: not if its signature is for the first address alone.
  var followsRedirects = true
  /// With how many other requests, itself included, it shares the rate that uploads are limited to.
  var rateShare = 1

  /// The status of an answer that has what was asked for: a part, or all (RFC 9110, 14.2).
  var contentStatus: Int { headers.contains { $0.name == "Range" } ? 206 : 200 }

  /// Whether an answer of this status brings something else than the bytes that a receiver waits for.
  func isUnasked(_ status: Int) -> Bool { receiver != nil && [200, 206].contains(status) && status != contentStatus }

  /// A body of JSON.
  mutating func setJSON(_ value: JSONValue) {
    headers.append(("Content-Type", "application/json"))
    body = HTTPBody(prefix: Array(value.text.utf8))
  }
}

extension Range<Int64> {
  /// As the header `Range` has it (RFC 9110, 14.1.2), up to the end if that is not known. One of no bytes can't be asked for.
  var asHeader: String { "bytes=\(lowerBound)-\(upperBound == .max ? "" : String(upperBound - 1))" }
}

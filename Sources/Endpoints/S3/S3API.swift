import BytePath
import Crypto
import Synchronization

/// One call of the API.
struct S3Call: Sendable {
  var method: HTTPRequest.Method
  var object: S3Object
  var query: [(name: String, value: String)] = []
  var headers: [(name: String, value: String)] = []
  var body = HTTPBody()
  /// SHA-256 of the body in lower-case hex.
  var bodyHash = hexadecimal(SHA256.hash(data: [UInt8]()))
  var isUpload = false
  var rateShare = 1

  init(_ method: HTTPRequest.Method, _ object: S3Object, query: [(name: String, value: String)] = []) {
    self.method = method
    self.object = object
    self.query = query
  }

  /// A body of XML.
  mutating func setXML(_ text: String) {
    headers.append(("Content-Type", "application/xml"))
    body = HTTPBody(prefix: Array(text.utf8))
    bodyHash = hexadecimal(SHA256.hash(data: body.prefix))
  }
}

/// Signed calls to S3 or a server like it.
///
/// A bucket of another region is found by what the first answer says of it. Servers that are like S3 in most things refuse headers that they
/// do not know; those that an upload can do without are then left out for the rest of the run.
final class S3API: Sendable {
  private static let dispensable = ["If-None-Match", "x-amz-checksum-sha256", "x-amz-checksum-algorithm", "x-amz-checksum-mode"]

  private let settings: AWSSettings
  private let http: HTTPTransport
  private let context: EndpointContext
  private let state: Mutex<State>

  private struct State {
    var region: String
    var credentials: AWSCredentials?
    var unknownHeaders: Set<String> = []
  }

  init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    settings = try AWSSettings(remote)
    self.context = context
    state = Mutex(State(region: settings.region))
    http = try HTTPTransport(
      for: S3Address(settings, region: settings.region).base, context, connections: S3Options.mostConcurrent)
  }

  func close() async { await http.close() }

  /// The server, for messages.
  var origin: String { S3Address(settings, region: state.withLock { $0.region }).base.origin }

  /// Whether the server has not said that it does not know the header.
  func knows(_ header: String) -> Bool { state.withLock { !$0.unknownHeaders.contains(header) } }

  /// Sends a call, and reads the answer, whatever it says.
  ///
  /// - Throws: as `HTTPTransport.send`; `auth` or `config` if there are no credentials.
  func send(_ call: S3Call) async throws(Failure) -> HTTPAnswer {
    var wasElsewhere = false
    while true {
      var call = call
      let (region, unknown) = state.withLock { ($0.region, $0.unknownHeaders) }
      call.headers.removeAll { unknown.contains($0.name) }
      let answer = try await http.send(try await signed(call, for: region))
      if !wasElsewhere, let other = answer.otherRegion, other != region {
        context.detail("the bucket \(call.object.bucket) is in \(other)")
        state.withLock { $0.region = other }
        wasElsewhere = true
      } else if let header = refusedHeader(answer, call) {
        context.detail("\(origin) does not know \(header)")
        _ = state.withLock { $0.unknownHeaders.insert(header) }
      } else {
        return answer
      }
    }
  }

  /// The header that the answer refuses although the call would do without.
  private func refusedHeader(_ answer: HTTPAnswer, _ call: S3Call) -> String? {
    guard answer.status == 501 || answer.status == 400, let error = S3Error(answer) else { return nil }
    let present = S3API.dispensable.filter { name in call.headers.contains { $0.name == name } }
    let words = "\(error.header ?? "") \(error.message)".lowercased()
    if let named = present.first(where: { words.contains($0.lowercased()) }) { return named }
    return error.code == "NotImplemented" ? present.first : nil
  }

  private func signed(_ call: S3Call, for region: String) async throws(Failure) -> HTTPRequest {
    let credentials = try await credentials()
    let (base, path) = S3Address(settings, region: region).place(of: call.object)
    let time = SigningTime(milliseconds: millisecondsNow())
    var headers = call.headers
    headers.append(("x-amz-date", time.stamp))
    headers.append(("x-amz-content-sha256", call.bodyHash))
    if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token.exposed)) }
    let message = SignatureV4.Message(
      method: call.method.rawValue, path: path, query: call.query, headers: headers + [("host", base.authority)], bodyHash: call.bodyHash)
    let signature = SignatureV4(credentials: credentials, region: region)
    headers.append(("Authorization", signature.authorization(of: message, at: time)))
    let query = call.query.isEmpty ? "" : "?\(SignatureV4.encoded(call.query))"
    var request = HTTPRequest(method: call.method, url: base.origin + path + query, headers: headers, body: call.body)
    request.isUpload = call.isUpload
    request.rateShare = call.rateShare
    request.followsRedirects = false
    return request
  }

  private func credentials() async throws(Failure) -> AWSCredentials {
    if let known = state.withLock({ $0.credentials }) { return known }
    let read = try await settings.credentials.read(warn: context.warn)
    state.withLock { $0.credentials = read }
    return read
  }
}

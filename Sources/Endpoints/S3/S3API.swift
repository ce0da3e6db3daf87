import BytePath
import Synchronization

/// One call of the API.
struct S3Call: Sendable {
  var method: HTTPRequest.Method
  var object: S3Object
  var query: [(name: String, value: String)] = []
  var headers: [(name: String, value: String)] = []
  var body = HTTPBody()
  var bodyHash = Checksum(.sha256, of: [])
  /// The MD5 of the body, for a server that asks for it; nil if it asks for none of this call.
  var md5: (@Sendable () async throws(Failure) -> Checksum)?
  /// Is given the body of the object that is asked for.
  var receiver: (any ByteSink)?
  /// As `HTTPRequest.isWanted`.
  var isWanted: (@Sendable (HTTPAnswer) -> Bool)?
  /// Bytes of the longest answer that is kept.
  var answerLimit = HTTPAnswer.bodyLimit
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
    bodyHash = Checksum(.sha256, of: body.prefix)
  }
}

/// Signed calls to S3 or a server like it.
///
/// A bucket of another region is found by what the first answer says of it. Servers that are like S3 in most things refuse headers that they
/// do not know; those that an upload can do without are then left out for the rest of the run.
final class S3API: Sendable {
  /// In the order in which they are left out where the server does not say which it is: the condition keeps what others put there.
  private static let dispensable = ["x-amz-checksum-sha256", "x-amz-checksum-algorithm", "x-amz-checksum-mode", "If-None-Match"]

  private let settings: AWSSettings
  private let credentials: AWSCredentialCache
  private let http: HTTPTransport
  private let context: EndpointContext

  private struct State {
    /// Of buckets that were found elsewhere than they were looked for.
    var regions: [String: String] = [:]
    var unknownHeaders: Set<String> = []
    /// Those of them that the server has not named.
    var guessedHeaders: Set<String> = []
    /// Whether the server has asked for a checksum.
    var wantsDigest = false

    mutating func forget(_ headers: Set<String>) {
      unknownHeaders.subtract(headers)
      guessedHeaders.subtract(headers)
    }
  }

  private let state = Mutex(State())

  init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    settings = try AWSSettings(remote)
    // Files are read anew: other programs write new credentials there.
    credentials = AWSCredentialCache { () throws(Failure) in try await AWSSettings(remote).credentials.read(warn: context.warn) }
    self.context = context
    var context = context
    context.http.certificateFile = context.http.certificateFile ?? settings.certificateFile
    http = try HTTPTransport(
      for: S3Address(settings, region: settings.region).base, context)
  }

  func close() async { await http.close() }

  /// The server, whatever the region: the name of a bucket is one of all of AWS.
  var serverIdentity: String { settings.endpoint.map { $0.identity + $0.path } ?? "aws" }

  /// The server, for messages.
  var origin: String { S3Address(settings, region: settings.region).base.origin }

  /// Whether the server has not said that it does not know the header.
  func knows(_ header: String) -> Bool { state.withLock { !$0.unknownHeaders.contains(header) } }

  /// Sends a call, and reads the answer, whatever it says.
  ///
  /// - Throws: as `HTTPTransport.send`; `auth` or `config` if there are no credentials.
  func send(_ original: S3Call) async throws(Failure) -> HTTPAnswer {
    var wasElsewhere = false
    var wasRenewed = false
    var guessed: Set<String> = []
    while true {
      let known = state.withLock { $0 }
      let call = try await adapted(original, to: known)
      let used = try await credentials.current()
      let region = known.regions[call.object.bucket] ?? settings.region
      let answer = try await sendOnce(call, for: region, with: used)
      if !wasElsewhere, let other = answer.otherRegion, other != region {
        context.detail("the bucket \(call.object.bucket) is in \(other)")
        state.withLock { $0.regions[call.object.bucket] = other }
        wasElsewhere = true
      } else if !wasRenewed, answer.saysExpired(call, used), try await credentials.replacement(of: used) != nil {
        context.detail("the credentials have ended and were read anew")
        wasRenewed = true
      } else if !known.wantsDigest, call.md5 != nil, answer.asksForDigest {
        context.detail("\(origin) asks for checksums")
        state.withLock { state in
          state.wantsDigest = true
          state.forget(state.guessedHeaders.filter(S3API.isChecksum))
        }
      } else if let refused = refusedHeader(answer, call, keepsChecksums: known.wantsDigest) {
        context.detail("\(origin) does not know \(refused.name)")
        if refused.isGuess { guessed.insert(refused.name) }
        state.withLock { state in
          state.unknownHeaders.insert(refused.name)
          if refused.isGuess { state.guessedHeaders.insert(refused.name) }
        }
      } else {
        // It was something else. That nothing is there, answers a question.
        if !(200..<300).contains(answer.status), call.method != .head || answer.status != 404 { state.withLock { $0.forget(guessed) } }
        return answer
      }
    }
  }

  /// The call as the server wants it, as far as it has said.
  private func adapted(_ call: S3Call, to known: State) async throws(Failure) -> S3Call {
    var call = call
    call.headers.removeAll { known.unknownHeaders.contains($0.name) }
    if known.wantsDigest, let md5 = call.md5 { call.headers.append(("Content-MD5", try await md5().base64)) }
    return call
  }

  private func sendOnce(_ call: S3Call, for region: String, with used: AWSCredentials) async throws(Failure) -> HTTPAnswer {
    do throws(Failure) { return try await http.send(signed(call, for: region, with: used)) } catch {
      let address = S3Address(settings, region: region)
      guard !address.isAWS, address.isVirtual(call.object.bucket), error.message.contains(address.place(of: call.object).base.host) else {
        throw error
      }
      var failure = error
      failure.hint =
        "addressing-style: path in the remote, or addressing_style = path in the AWS config, leaves the bucket out of the host's name"
      throw failure
    }
  }

  private static func isChecksum(_ header: String) -> Bool { header.hasPrefix("x-amz-checksum") }

  /// The header that the answer refuses although the call would do without, and whether the answer does not name it.
  private func refusedHeader(_ answer: HTTPAnswer, _ call: S3Call, keepsChecksums: Bool) -> (name: String, isGuess: Bool)? {
    guard answer.status == 501 || answer.status == 400 else { return nil }
    let present = S3API.dispensable.filter { name in call.headers.contains { $0.name == name } }
    // An answer to HEAD says nothing of why.
    if call.method == .head { return present.first.map { ($0, true) } }
    guard let error = S3Error(answer) else { return nil }
    let words = "\(error.header ?? "") \(error.message)".lowercased()
    if let named = present.first(where: { words.contains($0.lowercased()) }) { return (named, false) }
    guard error.code == "NotImplemented", error.header == nil else { return nil }
    return present.first { !(keepsChecksums && S3API.isChecksum($0)) }.map { ($0, true) }
  }

  private func signed(_ call: S3Call, for region: String, with credentials: AWSCredentials) -> HTTPRequest {
    let (base, path) = S3Address(settings, region: region).place(of: call.object)
    let time = SigningTime(milliseconds: millisecondsNow())
    var headers = call.headers
    headers.append(("x-amz-date", time.stamp))
    headers.append(("x-amz-content-sha256", call.bodyHash.hex))
    if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token.exposed)) }
    let message = SignatureV4.Message(
      method: call.method.rawValue, path: path, query: call.query, headers: headers + [("host", base.authority)],
      bodyHash: call.bodyHash.hex)
    let signature = SignatureV4(credentials: credentials, region: region)
    headers.append(("Authorization", signature.authorization(of: message, at: time)))
    let query = call.query.isEmpty ? "" : "?\(SignatureV4.encoded(call.query))"
    var request = HTTPRequest(method: call.method, url: base.origin + path + query, headers: headers, body: call.body)
    request.isUpload = call.isUpload
    request.isAnsweredByStatus = call.isUpload && call.method == .put
    request.rateShare = call.rateShare
    request.receiver = call.receiver
    request.isWanted = call.isWanted
    request.answerLimit = call.answerLimit
    request.followsRedirects = false
    return request
  }
}

extension HTTPAnswer {
  /// Whether it may be for the age of the credentials that it refuses. To HEAD there is no word of why.
  fileprivate func saysExpired(_ call: S3Call, _ used: AWSCredentials) -> Bool {
    if let error = S3Error(self) { return error.saysExpired }
    return call.method == .head && status == 400 && used.sessionToken != nil
  }
}

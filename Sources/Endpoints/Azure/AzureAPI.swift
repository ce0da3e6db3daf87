import BytePath

/// Calls to one account. Each has the shared access signature in its query, which lets in who has it, so that addresses are shown without it, and
/// no redirect is followed with it.
final class AzureAPI: Sendable {
  /// Takes 5000 MiB at once and blocks of 4000 MiB, and writes no name in a list but as it is
  /// (learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services).
  private static let version = "2020-10-02"

  let base: BaseURL
  private let source: SecretSource?
  private let http: HTTPTransport
  private let context: EndpointContext

  init(_ remote: Remote, _ context: EndpointContext) throws(Failure) {
    guard let base = remote.base else { throw Failure(.config, "an azure remote needs a url") }
    guard remote.username == nil, remote.password == nil else {
      throw Failure(.config, "Azure takes no user name and no password", hint: AccessSignature.hint)
    }
    guard AzureName.parts(before: base) >= base.path.split(separator: "/").count else {
      throw Failure(.config, "the url of an azure remote ends with its container, or before it")
    }
    self.base = base
    source = remote.token
    self.context = context
    var quiet = context
    // It would tell whole addresses.
    quiet.detail = { _ in }
    http = try HTTPTransport(for: base, quiet)
  }

  func close() async { await http.close() }

  /// For messages.
  var server: String { base.origin }

  /// A call without the signature.
  ///
  /// - Parameter path: below that of the remote's address.
  func request(_ method: HTTPRequest.Method, _ path: String, _ query: [(String, String)] = []) -> HTTPRequest {
    let text = query.map { "\($0)=\(URLText.encoded($1).replacing("/", with: "%2F"))" }.joined(separator: "&")
    return HTTPRequest(method: method, url: base.url(URLText.encoded(path)) + (text.isEmpty ? "" : "?\(text)"))
  }

  /// Sends a call, and reads the answer, whatever it says.
  ///
  /// - Throws: as `HTTPTransport.send`; `auth` or `config` if there is no signature; `protocol` if it is not Azure that says yes.
  func send(_ request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    let access = try await access()
    var signed = request
    signed.url += (request.url.contains("?") ? "&" : "?") + access.query
    signed.headers.append(("x-ms-version", AzureAPI.version))
    signed.followsRedirects = false
    let start = ContinuousClock.now
    var answer = try await http.send(signed)
    let milliseconds = start.duration(to: .now).nanoseconds / 1_000_000
    context.detail("\(request.method.rawValue) \(request.url): HTTP \(answer.status) after \(milliseconds) ms")
    // As pages of proxies do, which write what they were asked for.
    if access.isShown(in: answer.body) { answer.body = [] }
    answer.url = request.url
    guard answer.headers["x-ms-request-id"] != nil || !(200..<300).contains(answer.status) && answer.status != 404 else {
      throw answer.withEvidence(
        Failure(
          .protocol, "\(server) does not speak Azure Blob Storage", hint: "check the address, and the sub-path if there is one"))
    }
    return answer
  }

  /// The failure that an answer stands for, with what the signature says of itself where that may be why; nil for 2xx.
  ///
  /// - Parameter what: was to be done, for the message.
  func failure(_ answer: HTTPAnswer, _ what: String) async -> Failure? {
    let failure = answer.azureFailure(server, what)
    guard failure?.kind == .auth, let terms = try? await access().terms, !terms.isEmpty else { return failure }
    return failure?.withHint("it says: \(terms)")
  }

  private func access() async throws(Failure) -> AccessSignature {
    guard let source else {
      throw Failure(.auth, "there is no shared access signature (SAS) for \(server)", hint: AccessSignature.hint)
    }
    return try AccessSignature(try await source.read(warn: context.warn))
  }

  /// - Throws: `usage` or `rejected` for a path that is that of no blob.
  func name(_ path: String) throws(Failure) -> AzureName { try AzureName(path, at: base) }
}

/// A shared access signature: a query with what it allows, until when, and the signature of that
/// (learn.microsoft.com/rest/api/storageservices/create-service-sas).
struct AccessSignature: Sendable {
  static let hint = "set AZURE_STORAGE_SAS_TOKEN, or give a remote of type azure a token-file or token-command"

  private let secret: Secret
  private let values: [String: String]

  /// Takes also what stands before it in a URL, as people copy it.
  ///
  /// - Throws: `config` if it is none.
  init(_ secret: Secret) throws(Failure) {
    let query = secret.exposed.split(separator: "?").last ?? ""
    values = Dictionary(query.split(separator: "&").map { AccessSignature.pair($0) }) { first, _ in first }
    self.secret = try Secret(String(query), origin: "the shared access signature")
    let isQuery = query.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"\"#<>\\^`{|}".utf8.contains($0) }
    guard isQuery, values["sig"]?.isEmpty == false else {
      throw Failure(
        .config, "the token is no shared access signature (SAS)", hint: "it is the query of a URL: sv=...&se=...&sp=...&sig=...")
    }
  }

  private static func pair(_ text: Substring) -> (String, String) {
    let words = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    return (String(words[0]), words.count > 1 ? String(words[1]) : "")
  }

  var query: String { secret.exposed }

  /// When it ends and what it allows, for messages.
  var terms: String {
    let terms = [("sp", "permissions"), ("st", "begins"), ("se", "ends")].compactMap { key, word in
      values[key].flatMap { try? URLText.decoded($0[...]) }.map { "\(word) \($0)" }
    }
    return terms.joined(separator: ", ")
  }

  /// Whether the signature stands there, as it is or decoded.
  func isShown(in body: [UInt8]) -> Bool {
    guard !body.isEmpty, let signature = values["sig"] else { return false }
    let text = String(decoding: body, as: UTF8.self)
    return [signature, (try? URLText.decoded(signature[...])) ?? signature].contains { text.contains($0) }
  }
}

/// Where a blob lies in its account.
struct AzureName: Sendable, Equatable {
  /// Characters that a name may have (learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
  private static let longest = 1024

  /// Below the address of the server; empty if that has the container in it.
  let containerPath: String
  /// Empty for the container itself.
  let blob: String

  /// How many parts the address of a container has behind the host. Where that is no domain, the account is the first of them, as with emulators.
  static func parts(before base: BaseURL) -> Int { !base.host.contains(".") || IPAddress(base.host) != nil ? 2 : 1 }

  /// - Throws: `usage` if there is no container, `rejected` for a name that no blob can have.
  init(_ path: String, at base: BaseURL) throws(Failure) {
    let missing = AzureName.parts(before: base) - base.path.split(separator: "/").count
    let parts = path.split(separator: "/", maxSplits: missing + 1, omittingEmptySubsequences: false).dropFirst()
    guard parts.count >= missing, parts.prefix(missing).allSatisfy({ !$0.isEmpty }) else {
      throw Failure(.usage, "\(path) names no container", hint: "write \(missing > 1 ? "/ACCOUNT" : "")/CONTAINER/BLOB")
    }
    containerPath = parts.prefix(missing).map { "/\($0)" }.joined()
    blob = parts.dropFirst(missing).joined(separator: "/")
    // A URL that was copied with its signature.
    guard !blob.contains("?") || !blob.contains("sig=") else {
      throw Failure(.usage, "the URL has a shared access signature in it", hint: "leave it out from the ? on; \(AccessSignature.hint)")
    }
    guard blob.unicodeScalars.count <= AzureName.longest else {
      throw Failure(.rejected, "the name has \(blob.unicodeScalars.count) characters; Azure takes \(AzureName.longest)")
    }
    guard !blob.split(separator: "/").contains(where: { $0.hasSuffix(".") }) else {
      throw Failure(.rejected, "no part of a blob's name can end with a dot on Azure: \(path)", hint: "choose another name")
    }
  }
}

import BytePath
import FoundationEssentials
import Synchronization

/// The way in that HTTP itself has: a token as `Bearer` (RFC 6750), user name and password as `Basic` (RFC 7617), sent with each request.
final class HTTPCredentials: Sendable {
  private let remote: Remote
  private let warn: @Sendable (String) -> Void
  private let header = Mutex<Secret?>(nil)

  init(_ remote: Remote, warn: @escaping @Sendable (String) -> Void) {
    self.remote = remote
    self.warn = warn
  }

  /// - Throws: `config` if the secret can't be had.
  func headers() async throws(Failure) -> [(name: String, value: String)] {
    if let known = header.withLock({ $0 }) { return [("Authorization", known.exposed)] }
    guard let value = try await value() else { return [] }
    let secret = try Secret(value, origin: "the credentials")
    header.withLock { $0 = secret }
    return [("Authorization", secret.exposed)]
  }

  private func value() async throws(Failure) -> String? {
    if let token = remote.token { return "Bearer \(try await token.read(warn: warn).exposed)" }
    guard let username = remote.username else { return nil }
    let password = try await remote.password?.read(warn: warn).exposed ?? ""
    return "Basic \(Data("\(username):\(password)".utf8).base64EncodedString())"
  }
}

import Foundation
import Support
import Testing

/// Credentials from the netrc file.
@Suite(.sandboxed)
struct NetrcTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  /// Takes everybody, and so tells who came.
  private func server() throws -> ScriptedDAV { try ScriptedDAV(in: box) }

  private func basic(_ text: String) -> String { "Basic " + Data(text.utf8).base64EncodedString() }

  private func netrc(_ text: String, mode: Int = 0o600) throws {
    try write(Array(text.utf8), to: "\(box.home)/.netrc", mode: mode)
  }

  @Test("user name and password of the server are in ~/.netrc", arguments: ["http", "dav+http"])
  func home(scheme: String) async throws {
    let server = try server()
    try netrc("machine other.example login no password no\nmachine 127.0.0.1\n  login me\n  password s3cret\n")
    let run = try await box.sluice("-v", "\(scheme)://\(server.authority)/x", input: bytes)
    try run.success()
    // The first question goes without TLS, and so without the password.
    #expect(server.requests.first?.header("Authorization") == nil)
    #expect(server.requests.count > 1 && server.requests.dropFirst().allSatisfy { $0.header("Authorization") == basic("me:s3cret") })
    #expect(!(run.outputText + run.errorText).contains("s3cret"))
    #expect(!run.errorText.contains("warning"))
  }

  @Test("NETRC names another file, whose default stands for every server; a file that others can read is warned of")
  func variable() async throws {
    let server = try server()
    try netrc("machine 127.0.0.1 login no password no")
    let file = try box.file("netrc", "default login any password s3cret", mode: 0o644)
    let run = try await box.sluice("http://\(server.authority)/x", input: bytes, environment: ["NETRC": file])
    try run.success()
    #expect(server.requests.last?.header("Authorization") == basic("any:s3cret"))
    #expect(run.errorText.contains("warning") && run.errorText.contains(file))
  }

  @Test("credentials of the URL and a token stand over it")
  func others() async throws {
    let server = try server()
    try netrc("machine 127.0.0.1 login me password s3cret\nmachine 127.0.0.1 login you password 0ther")
    try await box.sluice("http://a:b@\(server.authority)/x", input: bytes).success()
    #expect(server.requests.last?.header("Authorization") == basic("a:b"))
    let token = try box.file("token", "tok", mode: 0o600)
    try await box.sluice("--token-file", token, "http://\(server.authority)/x", input: bytes).success()
    #expect(server.requests.last?.header("Authorization") == "Bearer tok")
    // A name alone looks for its password.
    try await box.sluice("http://you@\(server.authority)/x", input: bytes).success()
    #expect(server.requests.last?.header("Authorization") == basic("you:0ther"))
  }

  @Test("a remote without credentials uses it, one with credentials does not")
  func remotes() async throws {
    let server = try server()
    try netrc("default login me password s3cret")
    let config = try box.file(
      "config.yaml",
      """
      remotes:
        open:
          type: dav
          url: http://\(server.authority)
        own:
          type: dav
          url: http://\(server.authority)
          username: a
          password: b
      """, mode: 0o600)
    try await box.sluice("open:x", input: bytes, environment: ["SLUICE_CONFIG": config]).success()
    #expect(server.requests.last?.header("Authorization") == basic("me:s3cret"))
    try await box.sluice("own:x", input: bytes, environment: ["SLUICE_CONFIG": config]).success()
    #expect(server.requests.last?.header("Authorization") == basic("a:b"))
  }

  @Test("without an entry for the server, or without the file, nothing is sent", arguments: ["machine other login a password b", nil])
  func none(text: String?) async throws {
    let server = try server()
    if let text { try netrc(text, mode: 0o644) }
    let run = try await box.sluice("http://\(server.authority)/x", input: bytes)
    try run.success()
    #expect(server.requests.allSatisfy { $0.header("Authorization") == nil })
    #expect(!run.errorText.contains("warning"))
  }

  @Test("AList is not asked with it")
  func alist() async throws {
    let server = try await box.loopback()
    try netrc("default login me password s3cret", mode: 0o644)
    let run = try await box.sluice(server.alist("/x"), input: bytes)
    try run.success()
    #expect(!run.errorText.contains("warning"))
  }
}

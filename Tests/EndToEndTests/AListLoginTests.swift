import Foundation
import Support
import Testing

/// Credentials for AList: where they come from, and how few logins are made.
@Suite(.sandboxed)
struct AListLoginTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test(
    "the token comes from ALIST_TOKEN, a file, a remote's file or a remote's command",
    arguments: ["variable", "file", "remote-file", "remote-command", "remote-variable"])
  func sources(source: String) async throws {
    let server = try await box.loopback("--token", "s3cret-token")
    try box.file("token", "s3cret-token\n", mode: 0o600)
    var environment: [String: String?] = ["ALIST_TOKEN": nil]
    var arguments = [server.alist("/x")]
    switch source {
    case "variable": environment["ALIST_TOKEN"] = "s3cret-token"
    case "file": arguments = ["--token-file", "token", server.alist("/x")]
    default:
      arguments = ["nas:/x"]
      environment["SLUICE_REMOTE_NAS_TYPE"] = "alist"
      environment["SLUICE_REMOTE_NAS_URL"] = server.url
      switch source {
      case "remote-file": environment["SLUICE_REMOTE_NAS_TOKEN_FILE"] = "\(box.work)/token"
      case "remote-command": environment["SLUICE_REMOTE_NAS_TOKEN_COMMAND"] = "printf '%s\\n' s3cret-token"
      default: environment["SLUICE_REMOTE_NAS_TOKEN"] = "s3cret-token"
      }
    }
    try await box.start(box.client(arguments, input: .bytes(bytes), environment: environment)).finish().success()
    #expect(try await server.puts()[0]["headers"]["authorization"].text == "s3cret-token")
  }

  @Test("a login is not sent on to another server", arguments: ["307 Temporary Redirect", "308 Permanent Redirect"])
  func redirected(status: String) async throws {
    let other = try box.scripted { $0.answer(#"{"code":200,"message":"success","data":{"token":"t"}}"#) }
    let server = try box.scripted { exchange in
      exchange.answer("", status: status, headers: ["Location: http://\(other.authority)\(exchange.request.target)"])
    }
    let run = try await box.sluice("--retries", "0", "alist+http://me:secret@\(server.authority)/x", input: bytes)
    try run.failure(76, "protocol")
    #expect(other.requests.isEmpty)
  }

  @Test("a flag counts more than a variable")
  func precedence() async throws {
    let server = try await box.loopback()
    try box.file("token", Loopback.token, mode: 0o600)
    try await box.sluice("--token-file", "token", server.alist("/x"), input: bytes, environment: ["ALIST_TOKEN": "wrong"]).success()
  }

  @Test("without a token none is sent, and a guest may be let in")
  func guest() async throws {
    let server = try await box.loopback("--guest")
    try await box.sluice(server.alist("/x"), input: bytes, environment: ["ALIST_TOKEN": nil]).success()
    let authorization = try await server.puts()[0]["headers"]["authorization"]
    #expect(authorization == .null || authorization.text == "")
  }

  @Test("a wrong token fails in seconds, while the producer has no end")
  func wrongToken() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.alist("/x"), input: .endless, environment: ["ALIST_TOKEN": "wrong"])
    try run.failure(77, "auth")
    #expect(run.duration < .seconds(20))
    #expect(try server.log("/api/fs/put").isEmpty)
    #expect(try server.log("/api/auth/login").isEmpty)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("user name and password log in once, and the token serves the whole run")
  func login() async throws {
    let server = try await box.loopback()
    try await run(on: server).success()
    #expect(try logins(server).count == 1)
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("a user name and password in a URL log in, and the password is seen nowhere")
  func loginInURL() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(
      "-v", "alist+http://admin:\(Loopback.password)@\(server.authority)/x", input: bytes, environment: ["ALIST_TOKEN": nil])
    let result = try run.success()
    #expect(!run.outputText.contains(Loopback.password))
    #expect(!run.errorText.contains(Loopback.password))
    #expect(result["destination"].text?.contains(server.authority) == true)
  }

  @Test("a token that expires is renewed by one fresh login, and the upload arrives", arguments: 1...7)
  func expiry(calls: Int) async throws {
    // However far the upload has come by then: a login for it, and one each time when the token has expired since.
    let server = try await box.loopback("--expire-token-after", "\(calls + 2)")
    try await run(on: server).success()
    let asked = try server.log().count { $0["path"].text?.contains("/auth/login") == false }
    #expect(try logins(server).count <= 1 + asked / (calls + 2))
    try expectSame(contents(server.alistFile("/x")), bytes)
    #expect(names(in: server.alistFile("/")) == ["x"])
  }

  @Test("a token that keeps expiring leads to no more than one fresh login for each call")
  func expiryAgainAndAgain() async throws {
    let server = try await box.loopback("--expire-token-after", "1")
    let run = try await run(on: server)
    #expect(run.exit == 77 || run.exit == 0, "\(run.summary)")
    // Logins that succeed lock nobody out, but there is no more than one for each call.
    #expect(try logins(server).count <= server.log().count / 2 + 1)
  }

  @Test("a refused login is not tried a second time: five lock the address", arguments: ["openlist", "alist"])
  func refused(flavor: String) async throws {
    let server = try await box.loopback("--flavor", flavor)
    let run = try await run(on: server, password: "wrong", input: .endless)
    try run.failure(77, "auth")
    #expect(run.duration < .seconds(20))
    #expect(try logins(server).count == 1)
    #expect(!run.errorText.contains("wrong\n"))
  }

  @Test("a second factor that is asked for is told of, and the login is not tried again")
  func secondFactor() async throws {
    let server = try await box.loopback("--otp", "123456")
    let run = try await run(on: server, input: .endless)
    let result = try run.failure(77, "auth")
    #expect(try logins(server).count == 1)
    #expect(result["error"]["message"].text?.contains("402") == true)
    #expect(run.errorText.contains("hint: "))
  }

  @Test("a password file that can't be read is a config error, and nothing is asked")
  func noPasswordFile() async throws {
    let server = try await box.loopback()
    var environment = remote(server)
    environment["SLUICE_REMOTE_NAS_PASSWORD_FILE"] = "\(box.work)/missing"
    try await box.sluice("nas:/x", input: .endless, environment: environment).failure(78, "config")
    #expect(try logins(server).isEmpty)
  }

  @Test("a token with a line break in it is refused, never sent")
  func tokenWithLineBreak() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(server.alist("/x"), input: bytes, environment: ["ALIST_TOKEN": "a\r\nX-Evil: 1"])
    try run.failure(78, "config")
    #expect(try server.log().isEmpty)
  }

  private func remote(_ server: Loopback) -> [String: String?] {
    ["ALIST_TOKEN": nil, "SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": server.url, "SLUICE_REMOTE_NAS_USERNAME": "admin"]
  }

  private func run(on server: Loopback, password: String = Loopback.password, input: Program.Input? = nil) async throws -> Finished {
    var environment = remote(server)
    environment["SLUICE_REMOTE_NAS_PASSWORD_FILE"] = try box.file("password", password + "\n", mode: 0o600)
    return try await box.sluice("nas:/x", input: input ?? .bytes(bytes), environment: environment)
  }

  private func logins(_ server: Loopback) throws -> [JSON] {
    try server.log().filter { $0["path"].text?.hasPrefix("/api/auth/login") == true }
  }
}

import Foundation
import Support
import Testing

/// Credentials of S3 that end, and those that would do nothing.
@Suite(.sandboxed)
struct S3CredentialTests {
  private let box = Sandbox.here

  /// A profile whose program prints another key each time: KEY1, KEY2 and so on.
  private func profile(_ server: ScriptedS3, expiration: String? = nil) throws -> [String: String?] {
    let end = expiration.map { #","Expiration":"\#($0)""# } ?? ""
    try box.file(
      "keys",
      """
      #!/bin/sh
      echo x >>'\(box.work)/runs'
      n=$(wc -l <'\(box.work)/runs')
      printf '{"Version":1,"AccessKeyId":"KEY%d","SecretAccessKey":"s","SessionToken":"t%d"\(end)}' "$n" "$n"

      """, mode: 0o755)
    let config = try box.file("aws", "[profile \"my keys\"]\ncredential_process = '\(box.work)/keys'\n")
    return server.environment.merging([
      "AWS_ACCESS_KEY_ID": nil, "AWS_SECRET_ACCESS_KEY": nil, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "my keys",
    ]) { $1 }
  }

  private func keys(_ server: ScriptedS3) -> [String] {
    server.requests.compactMap { request in
      (request.header("Authorization")?.firstRange(of: "Credential=")).flatMap { range in
        (request.header("Authorization")?[range.upperBound...].prefix { $0 != "/" }).map { String($0) }
      }
    }
  }

  private func run(_ arguments: [String], _ input: Program.Input, _ environment: [String: String?]) async throws -> Finished {
    try await box.start(box.client(arguments, input: input, environment: environment)).finish()
  }

  @Test("a program that another user's file names is not run", .enabled(if: getuid() == 0, "only root gives files away"))
  func foreignFile() async throws {
    let server = try ScriptedS3(box)
    let environment = try profile(server)
    let config = try #require(environment["AWS_CONFIG_FILE"] ?? nil)
    try #require(chown(config, 12345, 12345) == 0)
    let refused = try await run(["s3://bucket/x"], .bytes([1]), environment)
    #expect(refused.exit == 78, "\(refused.summary)")
    #expect(refused.errorText.contains("\(config) belongs to another user (uid 12345) and names a command"), "\(refused.summary)")
    #expect(!exists("\(box.work)/runs"))
    let called = try await run(["s3://bucket/x"], .bytes([1]), environment.merging(["SUDO_UID": "12345"]) { $1 })
    #expect(called.exit == 0, "\(called.summary)")
  }

  @Test(
    "credentials that end while parts are sent are read once more, for all parts",
    arguments: ["ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"])
  func renewed(code: String) async throws {
    let server = try ScriptedS3(box) { call, exchange in
      guard call.operation != .begin, call.request.header("x-amz-security-token") == "t1" else { return false }
      exchange.readBody()
      exchange.refuse("400 Bad Request", code)
      return true
    }
    let bytes = [UInt8](repeating: 3, count: 20 << 20)
    let done = try await run(["--no-preflight", "-o", "part-size=5M", "s3://b/k"], .bytes(bytes), profile(server))
    #expect(try done.success()["attempts"].int == 1)
    #expect(server.size(of: "/b/k") == bytes.count)
    #expect(try contents("\(box.work)/runs").count == 4)
    #expect(Set(keys(server)) == ["KEY1", "KEY2"])
  }

  @Test("credentials that are refused again are refused, and the same ones are not sent twice")
  func refused() async throws {
    let server = try ScriptedS3(box) { _, exchange in
      exchange.readBody()
      exchange.refuse("400 Bad Request", "ExpiredToken")
      return true
    }
    let environment = try profile(server)
    try await run(["--no-preflight", "--no-hold", "s3://b/k"], .bytes([1]), environment).failure(77, "auth")
    #expect(keys(server) == ["KEY1", "KEY2"])
    try await run(["--no-preflight", "--no-hold", "s3://b/k"], .bytes([1]), server.environment).failure(77, "auth")
    #expect(server.requests.count == 3)
  }

  @Test("Expiration tells when credentials are read anew", arguments: ["2100-01-01T00:00:00Z", "2020-01-01T00:00:00Z"])
  func expiration(moment: String) async throws {
    let server = try ScriptedS3(box)
    try await run(["s3://b/k"], .bytes([1]), profile(server, expiration: moment)).success()
    #expect(Set(keys(server)) == ["KEY1"])
  }

  @Test(
    "keys that would do nothing are config errors, before the input is read",
    arguments: [
      "type: s3\n    username: k", "type: s3\n    password: p", "type: s3\n    token: t", "type: s3\n    token-command: echo t",
      "type: http\n    url: http://h\n    username: u\n    token: t", "type: dav\n    url: http://h\n    username: u\n    token: t",
      "type: dav\n    url: http://h\n    password: p",
    ])
  func uselessKeys(keys: String) async throws {
    let server = try ScriptedS3(box)
    let config = try box.file("config.yaml", "remotes:\n  nas:\n    \(keys)\n", mode: 0o600)
    let environment = server.environment.merging(["SLUICE_CONFIG": config]) { $1 }
    try await run(["nas:b/x"], .endless, environment).failure(78, "config")
    #expect(server.calls.isEmpty)
  }

  @Test("half of a pair of variables is a config error, and so is a bundle of certificates that is not there")
  func variables() async throws {
    let server = try ScriptedS3(box)
    for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
      let without = try await run(["s3://b/k"], .endless, server.environment.merging([half: String?.none]) { $1 })
      try without.failure(78, "config")
      #expect(without.errorText.contains("AWS_SECRET_ACCESS_KEY"))
    }
    let bundle = "\(box.work)/none.pem"
    let environment = server.environment.merging(["AWS_CA_BUNDLE": bundle, "AWS_ENDPOINT_URL": "https://127.0.0.1:1"]) { $1 }
    let run = try await run(["s3://b/k"], .endless, environment)
    try run.failure(78, "config")
    #expect(run.errorText.contains(bundle))
  }
}

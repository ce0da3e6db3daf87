import Foundation
import Support
import Testing

/// The S3 servers that tests run against, each of which is started once for a suite.
enum S3Server: String, CaseIterable, CustomTestStringConvertible, Sendable {
  case ceph, rclone

  static let accessKey = "SLUICETESTKEY"
  static let secretKey = "sluice-test-secret"
  /// Where `Tests/run` installs rclone, as Debian's is too old to serve S3.
  private static let rcloneFolder = "\(Document.folder)/.build/rclone"

  /// Those whose program is there.
  static let installed = allCases.filter { server in
    switch server {
    case .ceph: Program.installed("radosgw") != nil && Program.installed("ceph-osd") != nil
    case .rclone: exists("\(rcloneFolder)/bin/rclone")
    }
  }

  var testDescription: String { rawValue }

  var options: [String] { self == .rclone ? ["--venv", S3Server.rcloneFolder] : [] }

  /// The server of the running suite.
  var peer: Peer {
    guard let peer = S3Servers.running[self] else { preconditionFailure("the suite of this test does not serve \(rawValue)") }
    return peer
  }

  /// For `Sandbox.sluice`.
  var environment: [String: String?] {
    ["AWS_ENDPOINT_URL": peer.url, "AWS_ACCESS_KEY_ID": S3Server.accessKey, "AWS_SECRET_ACCESS_KEY": S3Server.secretKey]
  }

  /// A new bucket.
  func bucket(_ box: Sandbox) async throws -> String {
    let name = "bucket-\(UUID().uuidString.lowercased())"
    _ = try await curl(box, "-X", "PUT", "/\(name)")
    return name
  }

  /// A call that curl signs. The last argument is the path; it fails if the server does.
  func curl(_ box: Sandbox, _ arguments: String...) async throws -> Finished {
    let url = "http://\(peer.authority)\(arguments.last ?? "/")"
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    let user = "\(S3Server.accessKey):\(S3Server.secretKey)"
    let program = Program("/usr/bin/env", ["curl", "-fsS", "--noproxy", "*", "--user", user] + signed + arguments.dropLast() + [url])
    let run = try await box.start(program).finish()
    try #require(run.exit == 0, "curl \(arguments): \(run.summary)")
    return run
  }

  /// The bytes of an object.
  func object(_ box: Sandbox, _ path: String) async throws -> [UInt8] { try await curl(box, "/\(path)").output }
}

/// Starts the servers before the tests of a suite and stops them after.
struct S3Servers: SuiteTrait, TestScoping {
  @TaskLocal static var running: [S3Server: Peer] = [:]

  func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void) async throws {
    let directory = try TemporaryDirectory()
    var peers: [S3Server: Peer] = [:]
    let outcome: Result<Void, any Error>
    do {
      for server in S3Server.installed {
        let peer = try await Peer(
          script: "start-s3-\(server.rawValue).sh", in: "\(directory.path)/\(server.rawValue)", port: 0, server.options)
        peers[server] = peer
      }
      try await S3Servers.$running.withValue(peers) { try await function() }
      outcome = .success(())
    } catch {
      outcome = .failure(error)
    }
    for peer in peers.values { await peer.stop() }
    directory.remove()
    try outcome.get()
  }
}

extension Trait where Self == S3Servers {
  static var s3Servers: Self { S3Servers() }
}

import BytePath
import Foundation
import Synchronization
import Testing

@testable import Endpoints

/// What the variables and files of AWS programs say.
@Suite("S3 settings")
final class S3SettingsTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-s3-\(UUID().uuidString)").path

  init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private let config = """
    # comment
    [default]
    region = eu-west-1
    s3 =
      addressing_style = virtual

    [profile backup]
    region=eu-central-1
    ca_bundle = /etc/backup.pem
    endpoint_url = https://s3.example:9000/sub
    s3 =
        addressing_style = path
        max_concurrent_requests = 20
    output = json

    [profile shared]
    services = mine
    credential_process = printf '{"Version":1,"AccessKeyId":"PK","SecretAccessKey":"ps","SessionToken":"pt"}'

    [profile sso]
    sso_session = work

    [services mine]
    s3 =
      endpoint_url = http://127.0.0.1:8333
    """
  private let secrets = """
    [default]
    aws_access_key_id = DK
    aws_secret_access_key = d/s+=x
    [backup]
    aws_access_key_id=BK
    aws_secret_access_key=bs
    aws_session_token=bt
    """

  private func settings(_ variables: [String: String] = [:], remote: Remote = Remote()) throws -> AWSSettings {
    try config.write(toFile: folder + "/config", atomically: false, encoding: .utf8)
    try secrets.write(toFile: folder + "/credentials", atomically: false, encoding: .utf8)
    let all = ["AWS_CONFIG_FILE": folder + "/config", "AWS_SHARED_CREDENTIALS_FILE": folder + "/credentials"].merging(variables) { $1 }
    return try AWSSettings(remote) { all[$0] }
  }

  @Test("the default profile")
  func defaultProfile() async throws {
    let settings = try settings()
    #expect(settings.region == "eu-west-1")
    #expect(settings.endpoint == nil)
    #expect(settings.addressing == .virtual)
    let credentials = try await settings.credentials.read { _ in }
    #expect(credentials.accessKey == "DK")
    #expect(credentials.secret.exposed == "d/s+=x")
    #expect(credentials.sessionToken == nil)
  }

  @Test("a profile that a variable names, with an endpoint and a style of its own")
  func namedProfile() async throws {
    let settings = try settings(["AWS_PROFILE": "backup"])
    #expect(settings.region == "eu-central-1")
    #expect(settings.endpoint?.origin == "https://s3.example:9000")
    #expect(settings.endpoint?.path == "/sub")
    #expect(settings.addressing == .path)
    let credentials = try await settings.credentials.read { _ in }
    #expect(credentials.accessKey == "BK")
    #expect(credentials.sessionToken?.exposed == "bt")
  }

  @Test("variables come before the files, and those of S3 alone before those of all services")
  func variables() async throws {
    let settings = try settings([
      "AWS_PROFILE": "backup", "AWS_ACCESS_KEY_ID": "EK", "AWS_SECRET_ACCESS_KEY": "es", "AWS_SESSION_TOKEN": "et",
      "AWS_DEFAULT_REGION": "us-west-1", "AWS_REGION": "us-west-2", "AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3",
    ])
    #expect(settings.region == "us-west-2")
    #expect(settings.endpoint?.origin == "http://s3")
    let credentials = try await settings.credentials.read { _ in }
    #expect(credentials.accessKey == "EK")
    #expect(credentials.sessionToken?.exposed == "et")
  }

  @Test("a section of services, and credentials that a program prints")
  func process() async throws {
    let settings = try settings(["AWS_PROFILE": "shared"])
    #expect(settings.endpoint?.origin == "http://127.0.0.1:8333")
    #expect(settings.region == "us-east-1")
    let credentials = try await settings.credentials.read { _ in }
    #expect(credentials.accessKey == "PK")
    #expect(credentials.sessionToken?.exposed == "pt")
  }

  @Test("a remote comes before all of it")
  func remote() async throws {
    var remote = Remote(
      base: try BaseURL("https://minio.example"), username: "RK", password: .value("rs", origin: "the test"))
    remote.settings = ["region": "garage", "addressing-style": "virtual"]
    let settings = try settings(["AWS_REGION": "us-west-2", "AWS_ACCESS_KEY_ID": "EK", "AWS_SECRET_ACCESS_KEY": "es"], remote: remote)
    #expect(settings.region == "garage")
    #expect(settings.endpoint?.origin == "https://minio.example")
    #expect(settings.addressing == .virtual)
    #expect(try await settings.credentials.read { _ in }.accessKey == "RK")
  }

  @Test("a remote's profile comes before the variables")
  func remoteProfile() async throws {
    var remote = Remote()
    remote.settings = ["profile": "backup"]
    let settings = try settings(["AWS_ACCESS_KEY_ID": "EK", "AWS_SECRET_ACCESS_KEY": "es"], remote: remote)
    #expect(try await settings.credentials.read { _ in }.accessKey == "BK")
  }

  @Test("what is missing or means nothing is told of")
  func mistakes() async throws {
    let missing = #expect(throws: Failure.self) { try self.settings(["AWS_PROFILE": "nobody"]) }
    #expect(missing?.kind == .config)
    let region = #expect(throws: Failure.self) { try self.settings(["AWS_REGION": "a b"]) }
    #expect(region?.kind == .config)
    let sso = try settings(["AWS_PROFILE": "sso"])
    let failure = await #expect(throws: Failure.self) { try await sso.credentials.read { _ in } }
    #expect(failure?.kind == .auth)
    #expect(failure?.hint?.contains("export-credentials") == true)
  }

  @Test("a name in quotes, a bundle of certificates, and a key without its secret")
  func oddities() throws {
    let file = AWSFile("[profile \"my  prof\"]\nregion = a\n[ profile 'b' ]\nregion = c\n[profile d]\nregion = e")
    #expect(file["profile my  prof"]?["region"] == "a")
    #expect(file["profile b"]?["region"] == "c")
    #expect(file["profile d"]?["region"] == "e")
    #expect(try settings().certificateFile == nil)
    #expect(try settings(["AWS_PROFILE": "backup"]).certificateFile == "/etc/backup.pem")
    #expect(try settings(["AWS_PROFILE": "backup", "AWS_CA_BUNDLE": "/x.pem"]).certificateFile == "/x.pem")
    for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
      #expect(throws: Failure.self) { try self.settings([half: "x"]) }
    }
  }

  @Test("credentials that end are read again, once for all, and those that do not are kept")
  func ends() async throws {
    let state = Mutex((reads: 0, now: Int64(0)))
    let cache = AWSCredentialCache(now: { state.withLock { $0.now } }) { () throws(Failure) in
      let number = state.withLock { state in
        state.reads += 1
        return state.reads
      }
      var made = try AWSCredentials(accessKey: "K\(number)", secret: "s", sessionToken: nil, origin: "the test")
      // The second has ended when it is read.
      made.end = number < 3 ? 3_600_000 : nil
      return made
    }
    let first = try await cache.current()
    state.withLock { $0.now = 3_500_000 }
    #expect(try await cache.current().accessKey == "K1")
    state.withLock { $0.now = 3_550_000 }
    for _ in 0..<2 { #expect(try await cache.current().accessKey == "K2") }
    // What was signed with the first finds those that are there.
    #expect(try await cache.replacement(of: first)?.accessKey == "K2")
    let second = try await cache.current()
    #expect(try await cache.replacement(of: second)?.accessKey == "K3")
    #expect(state.withLock { $0.reads } == 3)
    #expect(RFC3339.milliseconds("1970-01-02T00:00:00Z") == 86_400_000)
    #expect(RFC3339.milliseconds("1970-01-01T01:00:00.500+01:00") == 500)
    #expect(RFC3339.milliseconds("soon") == nil)
  }

  @Test(
    "where an object is found",
    arguments: [
      ([:], "bucket/a b/c", "https://bucket.s3.eu-west-1.amazonaws.com", "/a%20b/c"),
      ([:], "my.bucket/x", "https://s3.eu-west-1.amazonaws.com", "/my.bucket/x"),
      (["AWS_REGION": "cn-north-1"], "bucket/x", "https://bucket.s3.cn-north-1.amazonaws.com.cn", "/x"),
      (["AWS_PROFILE": "backup"], "bucket//x/../y", "https://s3.example:9000", "/sub/bucket//x/../y"),
      (["AWS_PROFILE": "shared"], "bucket/+%", "http://127.0.0.1:8333", "/bucket/%2B%25"),
      (["AWS_ENDPOINT_URL": "https://h:443"], "bucket/x", "https://bucket.h", "/x"),
      (["AWS_ENDPOINT_URL": "http://h:80"], "my.bucket/x", "http://my.bucket.h", "/x"),
    ] as [([String: String], String, String, String)])
  func places(variables: [String: String], path: String, origin: String, place: String) throws {
    let settings = try settings(variables)
    let found = S3Address(settings, region: settings.region).place(of: try S3Object(path))
    #expect(found.base.origin == origin)
    #expect(found.path == place)
  }
}

import Foundation
import Support
import Testing

/// What somebody else might do to a run. More of it is tested beside what it is about; `Tests/README.md` has the list.
@Suite(.sandboxed)
struct SecurityTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test(
    "a redirect from TLS into the clear is not followed, and nothing is said there",
    .enabled(if: Program.installed("openssl") != nil, "openssl is not installed"),
    arguments: ["http", "HTTP"])
  func downgrade(scheme: String) async throws {
    let other = try box.scripted { $0.answer(#"{"code":200,"message":"success","data":null}"#) }
    let line =
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out ca.pem -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    #expect(try await box.shell(line).exit == 0)
    let server = try await box.loopback(
      "--tls", "--tls-cert", "\(box.work)/ca.pem", "--tls-key", "\(box.work)/key.pem", "--redirect", "307", "--location",
      "\(scheme)://\(other.authority)", "--on", "/api")
    let run = try await box.sluice("--cacert", "ca.pem", "--retries", "0", server.alist("/x"), input: bytes)
    try run.failure(76, "protocol")
    #expect(other.requests.isEmpty)
  }

  @Test("a config file that others can change is warned of", arguments: [(0o666, true), (0o620, true), (0o644, false)])
  func openConfig(mode: Int, isWarned: Bool) async throws {
    let server = try await box.loopback()
    let config = "remotes:\n  nas:\n    type: alist\n    url: \(server.url)\n    token: \(Loopback.token)\n"
    let path = try box.file("config.yaml", config, mode: mode)
    let run = try await box.sluice("nas:/x", input: bytes, environment: ["SLUICE_CONFIG": path])
    try run.success()
    #expect(run.errorText.contains("others can change") == isWarned, "\(run.errorText)")
  }

  @Test(
    "a spool folder that can't be read is an error of the held commands, and no empty list",
    .enabled(if: getuid() != 0 || SecurityTests.canDropRights, "root reads everything"))
  func unreadableSpool() async throws {
    try makeDirectory(box.spool, mode: 0o300)
    for arguments in [["held"], ["held", "push", "--all"], ["held", "drop", "--all"]] {
      let line = ([Program.built("sluice")] + arguments).map { "'\($0)'" }.joined(separator: " ")
      let run = try await asNobody(line)
      #expect(run.exit == 74, "\(arguments): \(run.summary)")
    }
  }

  private static let canDropRights = Program.installed("setpriv") != nil

  /// Root reads everything, so it is somebody else who is to meet the folder.
  private func asNobody(_ line: String) async throws -> Finished {
    guard getuid() == 0 else { return try await box.shell(line) }
    _ = try await box.shell("chown -R 65534:65534 '\(box.path)'; chmod a+rx '\(box.path)/..'")
    return try await box.shell("exec setpriv --reuid=65534 --regid=65534 --clear-groups \(line)")
  }
}

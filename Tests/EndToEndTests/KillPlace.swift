import Foundation
import Support
import Testing

/// A place of one kind that objects go to, and what lies there.
struct KillPlace: Sendable {
  /// A kind of place, and what serves it.
  enum Kind: Sendable, Hashable, CustomTestStringConvertible {
    case alist, siyuan, plain, file, parts, dav, s3
    /// Real servers.
    case realDAV(DAVServer), realS3

    static let all: [Kind] =
      [.alist, .siyuan, .dav, .s3, .plain, .file, .parts] + DAVServer.installed.map { .realDAV($0) }
      + (S3Server.installed.contains(.rclone) ? [.realS3] : [])

    var testDescription: String {
      switch self {
      case .realDAV(let server): "dav at \(server)"
      case .realS3: "s3 at rclone"
      default: "\(self)"
      }
    }
  }

  enum Found: Equatable {
    case nothing
    case object(Version)
    /// Half an object, or parts that are not those of their list.
    case torn(String)
  }

  /// An object, known by the name that it begins with.
  struct Version: Equatable, CustomDebugStringConvertible {
    let name: String
    let bytes: [UInt8]

    init(_ name: String, before rest: [UInt8]) {
      self.name = name
      bytes = Array(name.padding(toLength: 40, withPad: ".", startingAt: 0).utf8) + rest
    }

    var debugDescription: String { name }
  }

  let kind: Kind
  let destination: String
  var options: [String] = []
  var environment: [String: String?] = [:]
  /// What lies there: a file on the disk, or an object of the scripted server.
  private var file = ""
  /// Where the objects of a real server are, with a slash at its end; empty where it is enough to change the file.
  private var url = ""
  private var scripted: ScriptedS3?

  init(_ kind: Kind, _ box: Sandbox) async throws {
    self.kind = kind
    switch kind {
    case .alist, .siyuan, .plain, .dav, .parts:
      let server = try await box.loopback("--multipart", "--permission", "65535")
      switch kind {
      case .siyuan: (destination, file) = (server.siyuan("/data/x"), server.siyuanFile("/data/x"))
      case .dav:
        // A password in the URL would not be in the job of what is held.
        (destination, file) = ("kept:/x", server.alistFile("/x"))
        environment = [
          "SLUICE_REMOTE_KEPT_TYPE": "dav", "SLUICE_REMOTE_KEPT_URL": "\(server.url)/dav", "SLUICE_REMOTE_KEPT_USERNAME": "admin",
          "SLUICE_REMOTE_KEPT_PASSWORD": Loopback.password,
        ]
      case .alist: (destination, file) = (server.alist("/x"), server.alistFile("/x"))
      default: (destination, file) = (server.plain("/x"), server.plainFile("/x"))
      }
      if kind == .parts { options = ["--part-size", "150k"] }
    case .file: (destination, file) = ("./x", "\(box.work)/x")
    case .realDAV(let server):
      let peer = try await server.start()
      (destination, file, url) = (peer.dav("/x"), peer.file("/x"), peer.url)
    case .s3:
      let server = try ScriptedS3(box, keepsBytes: true)
      (destination, environment, scripted) = ("s3://b/x", server.environment, server)
    case .realS3:
      let peer = try await box.peer("start-s3-rclone.sh", ["--bucket", "b"] + S3Server.rclone.options)
      (destination, file, url) = ("s3://b/x", "\(peer.data)/b/x", "http://\(peer.authority)/b/")
      environment = [
        "AWS_ENDPOINT_URL": "http://\(peer.authority)", "AWS_ACCESS_KEY_ID": S3Server.accessKey,
        "AWS_SECRET_ACCESS_KEY": S3Server.secretKey,
      ]
    }
    if kind == .s3 || kind == .realS3 { options = ["-o", "part-size=5M"] }
  }

  /// How long an object is to be, so that it goes in parts where the kind has some.
  var length: Int { kind == .s3 || kind == .realS3 ? 11 << 20 : 600_000 }

  /// - Parameter known: what may be there.
  func found(of known: [Version]) throws -> Found {
    let bytes: [UInt8]?
    do throws(Torn) { bytes = try content() } catch { return .torn(error.why) }
    guard let bytes else { return .nothing }
    return known.first { $0.bytes == bytes }.map { .object($0) }
      ?? .torn("\(bytes.count) bytes, \(String(decoding: bytes.prefix(40), as: UTF8.self))")
  }

  private struct Torn: Error { let why: String }

  private func content() throws(Torn) -> [UInt8]? {
    if let scripted { return scripted.bytes(of: "/b/x") }
    // What is there may be renamed away while it is looked at.
    guard kind == .parts else { return try? contents(file) }
    guard let text = try? contents("\(file).parts.json") else { return nil }
    guard let list = try? JSON(parsing: String(decoding: text, as: UTF8.self)) else { throw Torn(why: "the list is cut") }
    var bytes: [UInt8] = []
    for part in list["parts"].items {
      let name = part["name"].text ?? ""
      guard let more = try? contents((file as NSString).deletingLastPathComponent + "/\(name)") else {
        throw Torn(why: "\(name) is missing")
      }
      bytes += more
    }
    guard bytes.count == list["bytes"].int else { throw Torn(why: "\(bytes.count) bytes of \(list["bytes"])") }
    return bytes
  }

  /// Puts an object there that nobody wrote, or takes away what is there.
  func plant(_ old: Version?, _ box: Sandbox) async throws {
    if let scripted { return scripted.plant(old?.bytes, at: "/b/x") }
    if !url.isEmpty { return try await plantByRequest(old, box) }
    let folder = (file as NSString).deletingLastPathComponent
    for name in names(in: folder) where name == "x" || name.hasPrefix("x.part") || name.contains(".sluice-") {
      try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
    }
    if let old, kind != .parts { try write(old.bytes, to: file, mode: 0o666) }
  }

  /// As above, where the server remembers what it has, and must be told.
  private func plantByRequest(_ old: Version?, _ box: Sandbox) async throws {
    let signed =
      "--aws-sigv4 aws:amz:us-east-1:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --user '\(S3Server.accessKey):\(S3Server.secretKey)'"
    let curl = "curl -sS -o planting --noproxy '*' \(kind == .realS3 ? signed : "")"
    for name in names(in: (file as NSString).deletingLastPathComponent) where name == "x" || name.contains(".sluice-") {
      _ = try await box.shell("\(curl) -X DELETE '\(url)\(name)'")
    }
    guard let old else { return }
    _ = try await box.shell("\(curl) -T '\(try box.file("planted", old.bytes))' '\(url)x'")
  }

  /// What lies beside the object under names that no object has.
  func leftovers() -> [String] {
    scripted == nil
      ? names(in: (file as NSString).deletingLastPathComponent).filter { $0.contains(".sluice-") && !$0.hasPrefix(".sluice-\(getuid())") }
      : []
  }
}

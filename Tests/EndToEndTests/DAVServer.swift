import Support
import Testing

/// The WebDAV servers that tests are run against.
enum DAVServer: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case nginx, apache, rclone

  /// Those that are installed here.
  static let installed = allCases.filter(\.isInstalled)

  var testDescription: String { rawValue }

  var script: String { self == .rclone ? "start-rclone-webdav.sh" : "start-\(rawValue)-dav.sh" }

  private var isInstalled: Bool {
    switch self {
    case .nginx: exists("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")
    case .apache: exists("/usr/lib/apache2/modules/mod_dav_fs.so")
    case .rclone: Program.installed("rclone") != nil
    }
  }

  /// Starts it for the test that runs.
  func start(_ options: String...) async throws -> Peer { try await Sandbox.here.peer(script, options) }
}

extension Peer {
  /// A destination on it; the path is percent-encoded here.
  func dav(_ path: String, as user: String = "") -> String {
    "dav+http://\(user.isEmpty ? "" : user + "@")\(authority)\(percentEncoded(path))"
  }

  /// Where an object lies.
  func file(_ path: String) -> String { data + path }
}

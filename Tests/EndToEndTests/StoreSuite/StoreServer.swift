import Support
import Testing

/// A store and what serves it: the servers of the tests, and those that others wrote.
enum StoreServer: Sendable, Hashable, CustomStringConvertible {
  case alist, siyuan, azure, file, plugin
  /// Nil for the server of the tests.
  case http(DAVServer?)
  case dav(DAVServer?)
  case s3(S3Server?)

  /// One for each store, which runs everywhere.
  static let fakes: [StoreServer] = [.alist, .siyuan, .http(nil), .dav(nil), .s3(nil), .azure, .file, .plugin]
  /// Of those that others wrote, the ones that are tried, be they installed or not.
  static let real: [StoreServer] =
    [.http(.nginx), .http(.apache)] + DAVServer.allCases.map { .dav($0) } + S3Server.allCases.map { .s3($0) }

  static let installed = real.filter { server in
    switch server {
    case .http(let kind?), .dav(let kind?): DAVServer.installed.contains(kind)
    case .s3(let kind?): S3Server.installed.contains(kind)
    default: false
    }
  }

  /// The endpoint's name in the registry; that of any plugin for plugins.
  var store: String {
    switch self {
    case .alist: "alist"
    case .siyuan: "siyuan"
    case .azure: "azure"
    case .file: "file"
    case .plugin: "plugin"
    case .http: "http"
    case .dav: "dav"
    case .s3: "s3"
    }
  }

  /// Who serves it, if that is a program of somebody else.
  var program: String? {
    switch self {
    case .http(let kind), .dav(let kind): kind?.rawValue
    case .s3(let kind): kind?.rawValue
    default: nil
    }
  }

  var description: String { program.map { "\(store) at \($0)" } ?? store }

  /// Whether requests go to a server, which can be stood in front of.
  var isRemote: Bool { self != .file && self != .plugin }
}

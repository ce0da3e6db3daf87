import Foundation

/// What is tried with every store.
enum StoreCase: String, CaseIterable, Sendable {
  case empty
  case oneByte = "1 byte"
  case edges = "chunk ± 1"
  case names = "odd names"
  case overwrite
  case noClobber = "no-clobber"
  case cut
  case lostAnswer = "lost answer"
  case refusedEarly = "refused early"
  case full
  case killed
  case stat
  case list
  case read
  case remove
  case get

  /// Why it is not tried there; nil if it is.
  func reason(against server: StoreServer) -> String? {
    switch self {
    case .empty, .oneByte, .edges, .names, .overwrite, .noClobber, .get: nil
    case .cut: CutTests.servers.contains(server) || server.program != nil || server == .file ? nil : "untried"
    case .lostAnswer, .refusedEarly: server == .file ? "nobody stands between the program and the file" : nil
    case .full:
      switch server {
      case .s3(nil), .azure: "its objects are in memory"
      case .s3(.ceph): "its disk is in memory, and its quota is checked before an upload"
      default: nil
      }
    case .stat, .list, .read, .remove: reasonAgainstAsking(server)
    case .killed:
      switch server {
      case .http(.some): "the server is that of WebDAV, and the way shorter"
      case .s3(.ceph): "it would take minutes"
      default: KillTests.servers.contains(server) ? nil : "untried"
      }
    }
  }

  /// As above, for what is asked of a store and not of the program.
  private func reasonAgainstAsking(_ server: StoreServer) -> String? {
    switch (self, server) {
    case (_, .plugin): "a plugin is asked by its own verbs"
    case (.list, .http): "plain HTTP has no listings"
    case (.remove, .http(nil)): "the server of the tests takes no DELETE"
    default: nil
    }
  }

  /// The table of all stores and cases, as `Tests/README.md` has it.
  static var table: String {
    let servers = StoreServer.fakes + StoreServer.real
    var reasons: [String] = []
    let rows = servers.map { server in
      let cells = allCases.map { (each: StoreCase) -> String in
        guard let reason = each.reason(against: server) else { return "✓" }
        if !reasons.contains(reason) { reasons.append(reason) }
        return "\((reasons.firstIndex(of: reason) ?? 0) + 1)"
      }
      return "| \(server) | \(cells.joined(separator: " | ")) |"
    }
    let head = "| | \(allCases.map(\.rawValue).joined(separator: " | ")) |"
    let line = "| --- |\(String(repeating: " --- |", count: allCases.count))"
    let notes = reasons.enumerated().map { "\($0 + 1). \($1)" }
    return ([head, line] + rows + [""] + notes).joined(separator: "\n") + "\n"
  }
}

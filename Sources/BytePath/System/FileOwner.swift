/// Whose a file is that says what a run does. What it names is run as the caller, so that a file of somebody else must name no command.
public struct FileOwner: Sendable, Equatable {
  public let id: uid_t

  public init(_ id: uid_t) {
    self.id = id
  }

  /// Whether the owner may say which commands the caller runs: root, the caller, who called sudo, or one whom the system can't tell.
  public var mayNameCommands: Bool { id == 0 || id == geteuid() || cameBySudo || isNobodyKnown }

  /// It is the file of the one who called sudo.
  private var cameBySudo: Bool {
    getenv("SUDO_UID").flatMap { uid_t(String(cString: $0)) } == id
  }

  /// The owner is shown as nobody, because the system can't say who it is: a file from outside of a user namespace, or of a file server. Root
  /// of a whole machine knows everybody, and nobody is a user like others there.
  private var isNobodyKnown: Bool {
    let overflow = FileOwner.numbers(in: "/proc/sys/kernel/overflowuid").first?.first ?? 65534
    guard overflow == UInt64(id) else { return false }
    let isMapped = FileOwner.numbers(in: "/proc/self/uid_map").contains { line in
      line.count == 3 && line[0] <= overflow && overflow - line[0] < line[2]
    }
    return geteuid() != 0 || !isMapped
  }

  private static func numbers(in path: String) -> [[UInt64]] {
    guard let file = try? Descriptor.open(path, O_RDONLY), let bytes = try? file.contents(limit: 4096) else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
      line.split(separator: " ").compactMap { UInt64($0) }
    }
  }
}

import BytePath

/// Whose a config file is. What it names is run as the caller, so that a file of somebody else must name no command.
struct ConfigOwner {
  private let owner: uid_t

  init(_ owner: uid_t) {
    self.owner = owner
  }

  /// - Throws: `config` if somebody else says which command to run.
  func check(_ path: String, naming remotes: [String: [String: String]], _ messages: Messages) throws(Failure) {
    guard owner != 0, owner != geteuid(), !cameBySudo, !isNobodyKnown else { return }
    let commands = [RemoteKey.tokenCommand.rawValue, RemoteKey.passwordCommand.rawValue]
    let naming = remotes.filter { remote in commands.contains { remote.value[$0] != nil } }.keys.min()
    guard let naming else { return messages.warning("\(path) belongs to another user (uid \(owner))") }
    throw Failure(
      .config, "the config file \(path) belongs to another user (uid \(owner)) and names a command, for the remote \(naming)",
      hint: "look at it, and make it yours: chown \(geteuid()) \(path)")
  }

  /// It is the file of the one who called sudo.
  private var cameBySudo: Bool {
    getenv("SUDO_UID").flatMap { uid_t(String(cString: $0)) } == owner
  }

  /// The owner is shown as nobody, because the system can't say who it is: a file from outside of a user namespace, or of a file server. Root
  /// of a whole machine knows everybody, and nobody is a user like others there.
  private var isNobodyKnown: Bool {
    let overflow = ConfigOwner.numbers(in: "/proc/sys/kernel/overflowuid").first?.first ?? 65534
    guard overflow == UInt64(owner) else { return false }
    let isMapped = ConfigOwner.numbers(in: "/proc/self/uid_map").contains { line in
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

import BytePath

/// The drives behind AList that take a file by its hash, if they know it.
enum AListDrive {
  /// By the start of the `provider` of `fs/list`, in lower case: the drivers of both servers that read a hash of the upload (drivers/115,
  /// 123, 139, 189, aliyundrive_open, baidu_netdisk, quark_uc).
  private static let hashes: [(provider: String, algorithms: [HashAlgorithm])] = [
    ("115", [.sha1]), ("123", [.md5]), ("139", [.sha256]), ("189", [.md5]), ("aliyundrive", [.sha1]), ("baidu", [.md5]),
    ("quark", [.md5, .sha1]),
  ]

  static func hashesThatHelp(_ provider: String?) -> [HashAlgorithm] {
    guard let name = provider?.lowercased() else { return [] }
    return hashes.first { name.hasPrefix($0.provider) }?.algorithms ?? []
  }
}

import BytePath

/// What is known of the drives behind AList.
enum AListDrive {
  /// By the start of the `provider`: the drivers of both servers that take a file by its hash, if they know it, and so read a hash of the upload (drivers/115,
  /// 123, 139, 189, aliyundrive_open, baidu_netdisk, quark_uc).
  private static let hashes: [(provider: String, algorithms: [HashAlgorithm])] = [
    ("115", [.sha1]), ("123", [.md5]), ("139", [.sha256]), ("189", [.md5]), ("aliyundrive", [.sha1]), ("baidu", [.md5]),
    ("quark", [.md5, .sha1]),
  ]

  /// By the start of the `provider` of `fs/list`, in lower case: drives that write an upload under its name from the first byte on, so that
  /// a cut leaves half an object there, and drivers that hand uploads through to others.
  private static let inPlace = ["local", "sftp", "smb", "ftp", "webdav", "alias", "crypt"]

  /// False for drives that show an upload when it is whole, which those of the cloud do by themselves.
  static func writesInPlace(_ provider: String?) -> Bool {
    guard let name = provider?.lowercased() else { return false }
    return inPlace.contains { name.hasPrefix($0) }
  }

  /// Whether a rename onto a file replaces it in one step, as rename(2) does (drivers/local/driver.go).
  static func renamesOver(_ provider: String?) -> Bool { provider?.lowercased() == "local" }

  static func hashesThatHelp(_ provider: String?) -> [HashAlgorithm] {
    guard let name = provider?.lowercased() else { return [] }
    return hashes.first { name.hasPrefix($0.provider) }?.algorithms ?? []
  }
}

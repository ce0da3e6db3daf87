import BytePath

/// What is known of the drives behind AList.
enum AListDrive {
  /// By the start of the driver's name: those of both servers that take a file by its hash, if they know it, and so read a hash of the upload
  /// (drivers/115, 123, 139, 189pc, aliyundrive_open, baidu_netdisk, ilanzou, quark_uc).
  private static let hashes: [(name: String, algorithms: [HashAlgorithm])] = [
    ("115", [.sha1]), ("123", [.md5]), ("139", [.sha256]), ("189", [.md5]), ("aliyundrive", [.sha1]), ("baidu", [.md5]),
    ("feijipan", [.md5]), ("ilanzou", [.md5]), ("quark", [.md5, .sha1]), ("uc", [.md5, .sha1]),
  ]

  /// By the start of the driver's name, in lower case: drives that write an upload under its name from the first byte on, so that a cut leaves
  /// half an object there, and drivers that hand uploads through to others.
  private static let inPlace = ["local", "sftp", "smb", "ftp", "webdav", "alias", "crypt", "chunk", "alist", "openlist"]

  /// False for drives that show an upload when it is whole, which those of the cloud do by themselves. One that the server does not name may be any.
  static func writesInPlace(_ driver: String?) -> Bool {
    guard let name = driver?.lowercased() else { return true }
    return inPlace.contains { name.hasPrefix($0) }
  }

  /// Whether a rename onto a file replaces it in one step, as rename(2) does (drivers/local/driver.go).
  static func renamesOver(_ driver: String?) -> Bool { driver?.lowercased() == "local" }

  static func hashesThatHelp(_ driver: String?) -> [HashAlgorithm] {
    guard let name = driver?.lowercased() else { return [] }
    return hashes.first { name.hasPrefix($0.name) }?.algorithms ?? []
  }
}

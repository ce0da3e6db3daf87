public import BytePath

/// What a kind of endpoint is called and what it knows. Whatever lists, describes, opens or protects endpoints reads this, so that nothing outside
/// a kind's own folder names one.
public struct EndpointKind: Sendable {
  /// The word in results and in the `type` of a remote.
  public let name: String
  /// The name for people.
  public let title: String
  /// A DEST of it, for the help.
  public let example: String
  /// The URL schemes that name it, each with whether it is spoken over TLS.
  public let schemes: [(name: String, isSecure: Bool)]
  /// What it knows of `-o`.
  public let options: [StoreOption]
  /// The environment variable that holds the token of a URL destination, if there is one. No child process gets it.
  public let tokenVariable: String?
  /// Whether `--token-file` is for it.
  public let takesToken: Bool
  /// The keys that a remote of it may have besides those of every remote and `options`.
  public let remoteKeys: [String]
  /// Paths of files of this machine that it may read although no argument and no remote names them, because many programs share them. They need
  /// not be there.
  public let ownFiles: @Sendable () -> [String]
  /// What to write instead of the address of its web pages, `http://HOST:PORT/PATH`, as people paste it; nil if that is none of it.
  public let destination: @Sendable (_ page: BaseURL, _ path: String) -> String?
  /// Whether a directory can be made with a time.
  public let takesDirectoryTime: Bool
  /// Whether the host of a URL is the server. Otherwise it is the first part of the path, the server is known from elsewhere, and a remote
  /// needs no `url`.
  public let hasServerInURL: Bool
  /// Whether a plugin does the work. It takes any `-o`, and what it sends can't be slowed down.
  public let isPlugin: Bool

  public init(
    name: String, title: String, example: String = "", schemes: [(name: String, isSecure: Bool)] = [], options: [StoreOption] = [],
    tokenVariable: String? = nil, takesToken: Bool = false, remoteKeys: [String] = [],
    ownFiles: @escaping @Sendable () -> [String] = { [] },
    destination: @escaping @Sendable (BaseURL, String) -> String? = { _, _ in nil },
    takesDirectoryTime: Bool = false, hasServerInURL: Bool = true, isPlugin: Bool = false
  ) {
    self.name = name
    self.title = title
    self.example = example
    self.schemes = schemes
    self.options = options
    self.tokenVariable = tokenVariable
    self.takesToken = takesToken || tokenVariable != nil
    self.remoteKeys = remoteKeys
    self.ownFiles = ownFiles
    self.destination = destination
    self.takesDirectoryTime = takesDirectoryTime
    self.hasServerInURL = hasServerInURL
    self.isPlugin = isPlugin
  }

  /// As `ownFiles`, and those of every kind that talks to a server: certificates.
  public var sharedFiles: [String] { (schemes.isEmpty ? [] : ["SSL_CERT_FILE"].compactMap(nonEmptyVariable)) + ownFiles() }

  /// Reads the values of the options that it knows, each by itself.
  ///
  /// - Throws: `usage` for one that means nothing.
  public func check(_ values: [String: String]) throws(Failure) {
    for option in options {
      if let value = values[option.key] { try option.check(value) }
    }
  }
}

/// A key of `-o`.
public struct StoreOption: Sendable {
  public let key: String
  /// What it does, for people: lower case, no full stop.
  public let help: String
  /// Another key without which it has no effect.
  public let needs: String?
  /// Whether it is for uploads.
  public let isForWriting: Bool
  /// Whether it is for reading objects back.
  public let isForReading: Bool
  let check: @Sendable (String) throws(Failure) -> Void

  /// - Parameter check: throws `usage` for a value that means nothing; it is an empty text where there was none.
  public init(
    _ key: String, _ help: String, needs: String? = nil, isForWriting: Bool = true, isForReading: Bool = false,
    check: @escaping @Sendable (String) throws(Failure) -> Void = { _ throws(Failure) in }
  ) {
    self.key = key
    self.help = help
    self.needs = needs
    self.isForWriting = isForWriting
    self.isForReading = isForReading
    self.check = check
  }

  /// Sends an object straight to its name, for any store that would not.
  public static let direct = StoreOption("direct", "put the object straight to its name, where a failure may leave a part of it")
}

/// What an upload is meant to be, besides its object: some options can't promise it.
public struct Use: Sendable {
  /// As the store writes it.
  public var path: String
  public var existing: Existing
  /// Whether the user says its time of last change.
  public var hasTime = false
  public var verifies = false
  /// Whether it is cut into parts.
  public var isInParts = false
  /// Whether its sum is put beside it.
  public var hasSum = false

  public init(of path: String, _ existing: Existing) {
    self.path = path
    self.existing = existing
  }
}

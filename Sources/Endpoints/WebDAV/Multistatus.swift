import BytePath

/// An answer to `PROPFIND` (RFC 4918, 9.1 and 14): what a server says of one thing, or of a directory and all that is in it.
struct Multistatus: Sendable {
  static let question = """
    <?xml version="1.0" encoding="utf-8"?>
    <D:propfind xmlns:D="DAV:" xmlns:oc="http://owncloud.org/ns"><D:prop>\
    <D:resourcetype/><D:getcontentlength/><D:getetag/><D:getlastmodified/><oc:checksums/>\
    </D:prop></D:propfind>
    """

  private let responses: [XMLTree]
  private let date: String?

  /// Nil if it is none.
  ///
  /// - Parameter date: when the server said so, as the header has it.
  init?(_ body: [UInt8], date: String? = nil) {
    guard let tree = XMLTree(parsing: body), tree.name == "multistatus" else { return nil }
    responses = tree.all("response")
    self.date = date
  }

  /// What is said of `path`, where that alone was asked for; nil if that is nothing that has a meaning.
  func finding(_ path: String) -> Finding? { responses.first.flatMap { finding(path, $0) } }

  /// What is in `directory`, without itself. Addresses may have a host, and begin otherwise than here where a proxy is on the way, so that the
  /// last part of each counts; the directory has fewer parts than what is in it.
  ///
  /// - Returns: nil if it can't be read who they all are.
  func entries(of directory: String) -> [Stored]? {
    let all = responses.map { response in
      (response, (response["href"]?.text ?? "").split(separator: "/"))
    }
    guard responses.allSatisfy({ $0["href"]?.text.isEmpty == false }) else { return nil }
    guard let own = all.map({ $0.1 }).min(by: { $0.count < $1.count }) else { return [] }
    let folder = directory == "/" ? "" : directory
    var entries: [Stored] = []
    for (response, parts) in all where parts != own {
      guard parts.count > own.count, let last = parts.last, let name = try? URLText.decoded(last), Multistatus.isName(name) else {
        return nil
      }
      let path = "\(folder)/\(name)"
      switch finding(path, response) {
      case .stored(let stored): entries.append(stored)
      // Of what may not be looked at no more is known than that it is there.
      case nil, .untold: entries.append(Stored(path, isDirectory: nil))
      case .nothing: break
      }
    }
    return entries
  }

  /// Nothing else may lead out of the directory.
  private static func isName(_ text: String) -> Bool { !text.isEmpty && text != "." && text != ".." && !text.contains("/") }

  private func finding(_ path: String, _ response: XMLTree) -> Finding? {
    if let status = response["status"]?.text, Multistatus.code(of: status) == 404 { return .nothing }
    let properties = response.all("propstat").filter { ($0["status"]?.text).flatMap(Multistatus.code) ?? 200 == 200 }.compactMap {
      $0["prop"]
    }
    guard !properties.isEmpty else { return nil }
    let find = { (name: String) in properties.lazy.compactMap { $0[name] }.first }
    var stored = Stored(path, isDirectory: find("resourcetype")?["collection"] != nil)
    stored.size = find("getcontentlength").flatMap { Int64($0.text) }
    let modified = find("getlastmodified")?.text
    stored.modified = modified.flatMap { HTTPDate.seconds($0) }.map { $0.multipliedSaturated(by: 1000) }
    stored.note(tag: find("getetag")?.text, modified: modified, date: date)
    if stored.isDirectory == true { (stored.isYoung, stored.hints) = (false, [:]) }
    // ownCloud and Nextcloud keep the hashes that an upload comes with. One text holds them all: SHA1:… MD5:… ADLER32:….
    let sums = find("checksums")?.all("checksum").flatMap { $0.text.split(separator: " ") } ?? []
    for algorithm in HashAlgorithm.allCases {
      let name = "\(algorithm.rawValue.uppercased()):"
      stored.checksums[algorithm] = sums.first { $0.uppercased().hasPrefix(name) }.flatMap {
        Checksum(algorithm, hex: $0.dropFirst(name.count))
      }
    }
    return .stored(stored)
  }

  /// The code of `HTTP/1.1 200 OK`.
  private static func code(of status: String) -> Int? {
    status.split(separator: " ").dropFirst().first.flatMap { Int($0) }
  }
}

import BytePath

/// What a server says of something it has, in its answer to `PROPFIND` with depth 0 (RFC 4918, 9.1) or else to `HEAD`.
struct WebDAVResource: Sendable, Equatable {
  /// Nil if the server does not say.
  var isCollection: Bool?
  /// Bytes; nil if the server does not say.
  var size: Int64?
  /// Where an ownCloud or Nextcloud has it.
  var sha1: Checksum?
  /// `ETag`, nil if the server does not say.
  var tag: String?
  /// When it was changed, in the server's words; nil if it does not say.
  var modified: String?

  /// Differs from that of another object at the same path; nil if the server tells nothing that would.
  var version: String? {
    tag == nil && modified == nil ? nil : "\(tag ?? "") \(modified ?? "")"
  }

  static let question = """
    <?xml version="1.0" encoding="utf-8"?>
    <D:propfind xmlns:D="DAV:" xmlns:oc="http://owncloud.org/ns"><D:prop>\
    <D:resourcetype/><D:getcontentlength/><D:getetag/><D:getlastmodified/><oc:checksums/>\
    </D:prop></D:propfind>
    """
}

extension WebDAVResource {
  /// What a 207 says; `nil` inside if it says that nothing is there.
  ///
  /// - Returns: nil if it is no answer to `PROPFIND`.
  static func reading(_ body: [UInt8]) -> WebDAVResource?? {
    guard let tree = XMLTree(parsing: body), tree.name == "multistatus", let response = tree["response"] else { return nil }
    if let status = response["status"]?.text, code(of: status) == 404 { return .some(nil) }
    let properties = response.all("propstat").filter { ($0["status"]?.text).flatMap(code) ?? 200 == 200 }.compactMap { $0["prop"] }
    guard !properties.isEmpty else { return nil }
    let find = { (name: String) in properties.lazy.compactMap { $0[name] }.first }
    var resource = WebDAVResource(isCollection: find("resourcetype")?["collection"] != nil)
    resource.size = find("getcontentlength").flatMap { Int64($0.text) }
    resource.tag = find("getetag")?.text
    resource.modified = find("getlastmodified")?.text
    // One text holds them all: SHA1:… MD5:… ADLER32:….
    let sums = find("checksums")?.all("checksum").flatMap { $0.text.split(separator: " ") } ?? []
    resource.sha1 = sums.first { $0.uppercased().hasPrefix("SHA1:") }.flatMap { Checksum(.sha1, hex: $0.dropFirst(5)) }
    return resource
  }

  /// The code of `HTTP/1.1 200 OK`.
  private static func code(of status: String) -> Int? {
    status.split(separator: " ").dropFirst().first.flatMap { Int($0) }
  }
}

/// PROPFIND. Whatever is asked for, the answer has what AList's own properties are.
extension WebDAV {
  func propfind(_ exchange: Exchange, _ path: String) async throws -> Answer {
    _ = try await exchange.smallBody()
    guard let facts = folder.facts(path), let depth = WebDAV.depth(exchange.header("Depth")) else { return WebDAV.status(404) }
    let responses = try self.responses(path, facts, depth: depth)
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><D:multistatus xmlns:D=\"DAV:\">\(responses)</D:multistatus>"
    return Answer(status: 207, headers: [("Content-Type", "text/xml; charset=utf-8")], body: .bytes(Array(text.utf8)))
  }

  /// How far down to go; nil if it is no depth.
  private static func depth(_ text: String?) -> Int? {
    ["0": 0, "1": 1, "infinity": Int.max][text ?? "infinity"]
  }

  private func responses(_ path: String, _ facts: FileFacts, depth: Int) throws -> String {
    var text = response(path, facts)
    guard facts.isDirectory, depth > 0 else { return text }
    for name in try alist.storage.told({ () throws(FileError) in try folder.names(path) }) {
      let entry = AListPath.joined(path, name)
      if let facts = folder.facts(entry) { text += try responses(entry, facts, depth: depth == 1 ? 0 : depth) }
    }
    return text
  }

  private func response(_ path: String, _ facts: FileFacts) -> String {
    let href = root + AList.escaped(path) + (facts.isDirectory && path != "/" ? "/" : "")
    let kind = facts.isDirectory ? "<D:collection xmlns:D=\"DAV:\"/>" : ""
    let length = facts.isDirectory ? "" : "<D:getcontentlength>\(facts.size)</D:getcontentlength>"
    return """
      <D:response><D:href>\(href)</D:href><D:propstat><D:prop><D:resourcetype>\(kind)</D:resourcetype>\(length)\
      <D:getlastmodified>\(facts.modified.httpDate)</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>\
      <D:propstat><D:prop><checksums xmlns="http://owncloud.org/ns"></checksums></D:prop><D:status>HTTP/1.1 404 Not Found</D:status>\
      </D:propstat></D:response>
      """
  }
}

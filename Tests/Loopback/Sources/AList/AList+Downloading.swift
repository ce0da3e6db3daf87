/// GET and HEAD below /d and /p, which need no token but the sign that fs/get tells (server/middlewares/down.go, server/handles/down.go).
extension AList {
  func isDownload(_ path: String) -> Bool { path.hasPrefix("/d/") || path.hasPrefix("/p/") }

  func download(_ exchange: Exchange) throws -> Answer {
    var path = try AListPath.unescaped(String(exchange.path.dropFirst(2)))
    // AList decodes it twice.
    if !isOpenList { path = try AListPath.unescaped(path) }
    let entry = try AListPath.cleaned(path, flavor)
    guard exchange.queryValue("sign") == "loopback:0" else { return refused(401, "sign invalid") }
    guard let facts = folder.facts(entry) else { return refused(500, missing(entry)) }
    guard !facts.isDirectory else { return refused(500, "not a file") }
    var answer = exchange.file(folder.real(entry), size: facts.size, headers: facts.taggedHeaders)
    if !isOpenList, entry.lowercased().hasSuffix(".md"), exchange.method == "GET", [200, 206].contains(answer.status) {
      // Of a part, too, and with the status and the range of it.
      answer.body = .bytes(Array("<p>a page that was made of \(entry)</p>\n".utf8))
      answer.headers.append(("Content-Type", "text/html; charset=utf-8"))
    }
    return answer
  }

  /// AList answers with status 200 whatever the code, OpenList with a page.
  private func refused(_ code: Int, _ message: String) -> Answer {
    isOpenList ? .html("<!doctype html><title>\(message)</title>\n", status: code) : Self.envelope(code, message)
  }
}

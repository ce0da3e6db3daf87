import BytePath

/// What AList and OpenList do otherwise than others where they are spoken to by plain HTTP or WebDAV, and the words for it. What speaks these
/// asks here, and so knows no server by its name.
enum OddServer {
  /// Both answer so to whatever comes while they start, with HTTP 200 and by WebDAV too (server/middlewares/check.go).
  static func isStarting(_ answer: HTTPAnswer, _ server: String) -> Failure? {
    guard answer.status == 200, answer.body.count < 1024, let json = answer.json, json["code"]?.integer == 500,
      let message = json["message"]?.string, AListCode.saysStarting(message)
    else { return nil }
    return answer.withEvidence(Failure(.server, "\(server) is starting: \(message) (500)", retryable: true))
  }

  /// What to look at when an upload by WebDAV is not permitted: theirs is below this path (server/webdav.go).
  static func permissionHint(_ path: String) -> String? {
    guard path == "/dav" || path.contains("/dav/") else { return nil }
    return "AList and OpenList have a permission of its own for writing by WebDAV, which even a new admin may lack"
  }

  /// Another path of the same directory, where a backslash counts as a slash (pkg/utils/path.go), so that a name with one would become a
  /// directory and something in it.
  static func alias(of directory: String) -> String { directory == "/" ? "/\\" : "\(directory)/\\" }

  /// AList takes an upload of no bytes for one of a line break (server/webdav/webdav.go, handlePut).
  static func lineBreak(_ stored: Stored, insteadOf payload: Payload, _ server: String) -> Failure? {
    guard payload.length == 0, stored.size == 1 else { return nil }
    return Failure(
      .rejected, "\(server) makes a line break of \(stored.path), which is empty",
      hint: "with AList use alist+http, whose API takes empty objects")
  }
}

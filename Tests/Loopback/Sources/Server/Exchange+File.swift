extension Exchange {
  /// The answer to a GET or HEAD of a file, or of the one part of it that `Range` asks for (RFC 9110, 14).
  ///
  /// - Parameter headers: that it has whatever is asked for.
  func file(_ path: String, size: Int64, headers: [(String, String)] = []) -> Answer {
    var answer = body(path, size)
    if answer.status < 400 { answer.headers += headers }
    return answer
  }

  private func body(_ path: String, _ size: Int64) -> Answer {
    guard method != "HEAD" else { return Answer(body: .omitted(size: size)) }
    guard let range = header("Range").flatMap({ Exchange.range($0, of: size) }) else { return Answer(body: .file(path, size: size)) }
    guard range.lowerBound < size else {
      return Answer(status: 416, headers: [("Content-Range", "bytes */\(size)")])
    }
    return Answer(
      status: 206, headers: [("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)")],
      body: .file(path, size: Int64(range.count), from: range.lowerBound))
  }

  /// Nil for what is not one range with a beginning, and for an empty file: then all of it is sent.
  private static func range(_ text: String, of size: Int64) -> Range<Int64>? {
    guard size > 0, text.hasPrefix("bytes=") else { return nil }
    let ends = text.dropFirst("bytes=".count).split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard ends.count == 2, let start = Int64(ends[0]), start >= 0 else { return nil }
    guard start < size else { return start..<start }
    guard !ends[1].isEmpty else { return start..<size }
    return Int64(ends[1]).flatMap { $0 >= start ? start..<min($0, size - 1) + 1 : nil }
  }
}

extension FileFacts {
  /// As Go's servers of files tell them.
  var headers: [(String, String)] { [("Accept-Ranges", "bytes"), ("Last-Modified", modified.httpDate)] }

  /// As AList and OpenList do, whose tag is made of the second and the size.
  var taggedHeaders: [(String, String)] {
    headers + [("Etag", "\"\(String(modified.seconds, radix: 16))-\(String(size, radix: 16))\"")]
  }
}

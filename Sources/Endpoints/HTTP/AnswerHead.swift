/// The head of an answer as some servers write it, changed so far that a strict parser takes it.
///
/// Equal lengths that stand there more than once are one (RFC 9110, 8.6). What else the RFC allows a recipient to put right is put right too
/// (RFC 9112, 2.2, 5.1, 5.2, 6.3), but it is a flaw: whoever wrote it has not said for certain what became of an object.
struct AnswerHead {
  /// Beyond this many bytes a head is not waited for.
  static let longest = 1 << 20
  /// The parser has bounds of its own: more fields than these, or longer ones, are left out unless somebody here reads them.
  private static let mostFields = 200
  private static let longestField = 32 * 1024
  private static let needed: Set = [
    "content-length", "transfer-encoding", "content-type", "date", "etag", "last-modified", "location", "retry-after", "www-authenticate",
    "content-encoding", "content-range", "content-md5", "digest", "repr-digest", "oc-checksum", "x-amz-bucket-region",
    "x-amz-checksum-sha256", "x-amz-version-id", "x-amz-server-side-encryption",
  ]
  /// The field by which a flaw is told to who reads the answer.
  static let flawField = "x-sluice-flaw"

  /// As it goes to the parser.
  private(set) var bytes: [UInt8]
  let status: Int
  /// What is wrong with it; nil if nothing is.
  private(set) var flaw: String?

  private typealias Field = (name: String, value: [UInt8])

  /// - Parameter head: a status line and what follows it up to the empty line, that included; nil if it does not begin as HTTP does.
  init?(_ head: [UInt8]) {
    guard AnswerHead.mayBegin(head) else { return nil }
    bytes = head
    var lines = head.split(separator: 0x0a, omittingEmptySubsequences: false).dropLast().map { Array($0) }
    if !lines.allSatisfy({ $0.last == 0x0d }) { flaw = "its lines end without a carriage return" }
    lines = lines.map { $0.last == 0x0d ? $0.dropLast() : $0 }
    let statusLine = lines.removeFirst()
    let code = String(decoding: statusLine.dropFirst(9).prefix(3), as: UTF8.self)
    status = Int(code) ?? 0
    guard var fields = self.fields(of: lines) else { return }
    let isClaimed = fields.contains { $0.name == AnswerHead.flawField }
    fields.removeAll { $0.name == AnswerHead.flawField }
    let isChanged = mergeLengths(&fields) || isClaimed
    shorten(&fields)
    guard isChanged || flaw != nil else { return }
    // An interim answer says nothing of the object, and another head must follow it.
    if (100...199).contains(status) { flaw = nil }
    if let flaw {
      // Nobody knows where such an answer ends for sure, so that no other one may follow it on the connection.
      fields.removeAll { $0.name == "connection" }
      fields += [("connection", Array("close".utf8)), (AnswerHead.flawField, Array(flaw.utf8))]
    }
    bytes = statusLine + [0x0d, 0x0a]
    for (name, value) in fields { bytes += Array("\(name): ".utf8) + value + [0x0d, 0x0a] }
    bytes += [0x0d, 0x0a]
  }

  /// Whether more bytes could make it the beginning of an answer.
  static func mayBegin(_ bytes: some Collection<UInt8>) -> Bool {
    zip(bytes, Array("HTTP/1.".utf8)).allSatisfy { $0 == $1 }
  }

  /// The place behind the empty line; nil if there is none yet.
  ///
  /// - Parameter start: where to begin to look.
  static func end(of bytes: [UInt8], from start: Int) -> Int? {
    var place = max(start - 3, 0)
    while let feed = bytes[place...].firstIndex(of: 0x0a) {
      let next = feed + 1
      if next < bytes.count, bytes[next] == 0x0a { return next + 1 }
      if next + 1 < bytes.count, bytes[next] == 0x0d, bytes[next + 1] == 0x0a { return next + 2 }
      place = next
    }
    return nil
  }

  /// The fields, names in lower case. Nil if there is something that is none: that is for the parser to refuse.
  private mutating func fields(of lines: [[UInt8]]) -> [Field]? {
    var fields: [Field] = []
    for line in lines where !line.isEmpty {
      if line.first == 0x20 || line.first == 0x09 {
        flaw = "it has folded lines"
        guard !fields.isEmpty else { return nil }
        fields[fields.count - 1].value += [0x20] + AnswerHead.trimmed(line)
        continue
      }
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
      let name = line[..<colon]
      let trimmed = AnswerHead.trimmed(Array(name))
      if trimmed.count != name.count { flaw = "it has a blank before a colon" }
      fields.append((String(decoding: trimmed, as: UTF8.self).lowercased(), AnswerHead.trimmed(Array(line[(colon + 1)...]))))
    }
    return fields
  }

  /// Returns whether anything was changed.
  private mutating func mergeLengths(_ fields: inout [Field]) -> Bool {
    let lengths = fields.filter { $0.name == "content-length" }.flatMap { field in
      field.value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { AnswerHead.trimmed(Array($0)) }
    }
    if !lengths.isEmpty, fields.contains(where: { $0.name == "transfer-encoding" }) {
      flaw = "it has both a Content-Length and a Transfer-Encoding"
      fields.removeAll { $0.name == "content-length" }
      return true
    }
    guard lengths.count > 1, let length = lengths.first, lengths.allSatisfy({ $0 == length }) else { return false }
    fields.removeAll { $0.name == "content-length" }
    fields.append(("content-length", length))
    return true
  }

  private mutating func shorten(_ fields: inout [Field]) {
    let isShort =
      fields.count <= AnswerHead.mostFields && fields.allSatisfy { $0.value.count + $0.name.utf8.count <= AnswerHead.longestField }
    guard !isShort else { return }
    flaw = "it has \(bytes.count) bytes"
    fields.removeAll { !AnswerHead.needed.contains($0.name) || $0.value.count > AnswerHead.longestField }
    fields = Array(fields.prefix(AnswerHead.mostFields))
  }

  private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
    return Array(bytes.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
  }
}

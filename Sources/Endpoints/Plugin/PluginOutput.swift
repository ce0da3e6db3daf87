import BytePath

/// What a plugin says on standard output, read as it comes. However much that is, little of it is kept.
struct PluginOutput: Sendable {
  /// The output without its lines of progress, as far as a result has room for it.
  private var beginning: [UInt8] = []
  /// The line that has not ended yet, as far as it could be JSON.
  private var line: [UInt8] = []
  private var lineIsTooLong = false
  /// The last line that has more than blanks in it and is not about progress; empty if it is too long.
  private var last: [UInt8] = []

  /// Takes what was read next.
  ///
  /// - Returns: the bytes that are done, as the last complete line about it says.
  mutating func add(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    var progress: Int64?
    var rest = bytes
    while let start = rest.baseAddress, rest.count > 0 {
      let length = memchr(start, CInt(UInt8(ascii: "\n")), rest.count).map { UnsafeRawPointer($0) - start }
      let piece = rest.prefix(length ?? rest.count)
      let room = ReportedAnswer.jsonLimit - line.count
      line += piece.prefix(room)
      if piece.count > room { lineIsTooLong = true }
      guard let length else { break }
      progress = endLine() ?? progress
      rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
    }
    return progress
  }

  /// For the result, once the output has ended: the last line if it is a JSON object, else all as text; nil if there is nothing.
  mutating func report() -> JSONValue? {
    if !line.isEmpty { _ = endLine() }
    return ReportedAnswer.json(last) ?? (beginning.allSatisfy(\.isBlank) ? nil : ReportedAnswer.text(beginning))
  }

  /// Puts the line away. The last one may have no line feed at its end.
  private mutating func endLine() -> Int64? {
    defer {
      line.removeAll(keepingCapacity: true)
      lineIsTooLong = false
    }
    if let progress = PluginOutput.progress(in: line), !lineIsTooLong { return progress }
    if !line.allSatisfy(\.isBlank) { last = lineIsTooLong ? [] : line }
    let room = ReportedAnswer.textByteLimit - beginning.count
    if room > 0, !(line.isEmpty && beginning.isEmpty) {
      if !beginning.isEmpty { beginning.append(UInt8(ascii: "\n")) }
      beginning += line.prefix(room)
    }
    return nil
  }

  /// The number of `{"progress":BYTES}`, blanks allowed. Read by hand, as there may be a line for every block that was sent.
  private static func progress(in line: [UInt8]) -> Int64? {
    guard line.count < 100, line.first(where: { !$0.isBlank }) == UInt8(ascii: "{") else { return nil }
    let text = String(decoding: line.filter { !$0.isBlank }, as: UTF8.self)
    let head = #"{"progress":"#
    guard text.hasPrefix(head), text.hasSuffix("}"), let bytes = Int64(text.dropFirst(head.count).dropLast()) else { return nil }
    return max(0, bytes)
  }
}

extension UInt8 {
  fileprivate var isBlank: Bool { self == 0x20 || (0x09...0x0d).contains(self) }
}

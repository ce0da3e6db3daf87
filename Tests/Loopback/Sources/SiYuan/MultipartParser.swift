/// Takes a multipart body apart, in pieces of any size and with a boundary split anywhere. It holds back only as many
/// bytes as could be the beginning of a boundary, or the header lines of one part.
struct MultipartParser {
  enum Event {
    case part(MultipartHeader)
    /// Valid during the call only.
    case bytes(UnsafeRawBufferPointer)
    case endOfPart
  }

  private enum State {
    case preamble, afterBoundary, headers, body, epilogue
  }

  private static let longestHeaders = 64 << 10
  /// CR LF "--" boundary. The body is read as if a CR LF stood before it, so that the first boundary is like the others.
  private let delimiter: [UInt8]
  private var state = State.preamble
  private var pending = Array("\r\n".utf8)

  init(boundary: String) {
    delimiter = Array("\r\n--\(boundary)".utf8)
  }

  /// Whether the closing boundary was seen.
  var isComplete: Bool { state == .epilogue }

  mutating func feed(_ piece: UnsafeRawBufferPointer, _ handle: (Event) throws -> Void) throws {
    guard state != .epilogue else { return }
    pending += piece
    var used = 0
    // What was used is removed once per piece: taking it from the front each time would copy the rest every time.
    defer { pending.removeFirst(used) }
    while let step = try step(from: used, handle) { used += step }
  }

  /// Deals with the bytes from `start` and tells how many are done with, or nil if more must come first.
  private mutating func step(from start: Int, _ handle: (Event) throws -> Void) throws -> Int? {
    switch state {
    case .epilogue:
      return pending.count > start ? pending.count - start : nil
    case .preamble, .body:
      return try passContent(from: start, handle)
    case .afterBoundary:
      guard pending.count >= start + 2 else { return nil }
      let isEnd = pending[start] == UInt8(ascii: "-") && pending[start + 1] == UInt8(ascii: "-")
      guard isEnd || pending[start] == 13 && pending[start + 1] == 10 else { throw MalformedForm() }
      state = isEnd ? .epilogue : .headers
      return 2
    case .headers:
      guard let length = find(Array("\r\n\r\n".utf8), from: start) else {
        if pending.count - start > Self.longestHeaders { throw MalformedForm() }
        return nil
      }
      let text = String(decoding: pending[start..<start + length], as: UTF8.self)
      try handle(.part(MultipartHeader(part: text)))
      state = .body
      // An empty part has the boundary's CR LF right here: the two of the blank line are not shared with it.
      return length + 4
    }
  }

  private mutating func passContent(from start: Int, _ handle: (Event) throws -> Void) throws -> Int? {
    let isBody = state == .body
    if let length = find(delimiter, from: start) {
      if isBody {
        if length > 0 { try pass(start, length, handle) }
        try handle(.endOfPart)
      }
      state = .afterBoundary
      return length + delimiter.count
    }
    let safe = pending.count - start - (delimiter.count - 1)
    guard safe > 0 else { return nil }
    if isBody { try pass(start, safe, handle) }
    return safe
  }

  private func pass(_ start: Int, _ length: Int, _ handle: (Event) throws -> Void) throws {
    try pending.withUnsafeBytes { try handle(.bytes(UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))) }
  }

  /// Where the pattern is, counted from `start`.
  private func find(_ pattern: [UInt8], from start: Int) -> Int? {
    pending.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return nil }
      var position = start
      while position + pattern.count <= bytes.count {
        let left = bytes.count - pattern.count + 1 - position
        guard let hit = memchr(base + position, CInt(pattern[0]), left) else { return nil }
        position = UnsafeRawPointer(hit) - base
        if memcmp(hit, pattern, pattern.count) == 0 { return position - start }
        position += 1
      }
      return nil
    }
  }
}

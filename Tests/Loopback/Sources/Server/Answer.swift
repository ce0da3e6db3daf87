/// What a request is answered with.
struct Answer: Sendable {
  enum Body: Sendable {
    case bytes([UInt8])
    /// A file of the disk, or so many of its bytes from an offset on, sent in pieces.
    case file(String, size: Int64, from: Int64 = 0)
    /// What an answer to HEAD leaves out.
    case omitted(size: Int64)
    /// This text, and then letters for ever.
    case endless(String)
  }

  /// What becomes of the part of the request's body that nobody has read.
  enum Unread: Sendable {
    /// As Go's server does when a handler leaves it: up to 256 KiB are read, more ends the connection.
    case left
    /// It is read to the end before the answer is sent, with or without "100 Continue" to a client that waits for it.
    case drained(sendingContinue: Bool)
    /// The connection ends, however little there is.
    case cutOff
  }

  var status = 200
  var headers: [(String, String)] = []
  var body = Body.bytes([])
  var unread = Unread.left
  /// Go sends pages that it makes in pieces without a length.
  var isChunked = false

  static func json(_ value: JSON, status: Int = 200) -> Answer {
    Answer(
      status: status, headers: [("Content-Type", "application/json; charset=utf-8")], body: .bytes(Array(value.text.utf8)))
  }

  static func html(_ page: String, status: Int = 200) -> Answer {
    Answer(status: status, headers: [("Content-Type", "text/html")], body: .bytes(Array(page.utf8)))
  }

  static func plain(_ text: String, status: Int = 200) -> Answer {
    Answer(status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: .bytes(Array(text.utf8)))
  }

  func leaving(_ unread: Unread) -> Answer {
    var copy = self
    copy.unread = unread
    return copy
  }
}

/// A check of the API that failed, with the answer that says so.
struct Refusal: Error {
  let answer: Answer

  init(_ answer: Answer) {
    self.answer = answer
  }
}

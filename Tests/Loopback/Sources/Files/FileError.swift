/// A system call that failed. Its text is what the real servers, written in Go, put into their answers.
struct FileError: Error, CustomStringConvertible {
  let call: String
  let path: String
  let code: CInt

  init(_ call: String, _ path: String, _ code: CInt = errno) {
    self.call = call
    self.path = path
    self.code = code
  }

  var description: String { "\(call) \(path): \(reason)" }

  /// `strerror` begins with a capital, Go's table does not.
  private var reason: String {
    let text = String(cString: strerror(code))
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}

/// A system call that failed: which one and why.
public struct SystemError: Error, Sendable, Equatable {
  /// The name of the call, such as `write`.
  public let call: String
  /// The value of `errno`.
  public let code: CInt

  public init(_ call: String, _ code: CInt) {
    self.call = call
    self.code = code
  }

  /// The system's words for the error, in lower case: `no space left on device`.
  public var words: String {
    var buffer = [CChar](repeating: 0, count: 256)
    _ = strerror_r(code, &buffer, buffer.count)
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.isEmpty ? "error \(code)" : text.prefix(1).lowercased() + text.dropFirst()
  }
}

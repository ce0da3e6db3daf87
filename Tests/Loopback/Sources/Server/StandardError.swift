/// Descriptor 2, a line at a time.
enum StandardError {
  static func say(_ text: String) {
    write("sluice-loopback: \(text)\n", to: 2)
  }

  /// One write, so that a line is whole even when the process ends next.
  static func write(_ text: String, to descriptor: CInt) {
    let bytes = Array(text.utf8)
    // Nobody is left to tell when this fails.
    _ = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
  }
}

import Support

/// Plugins that a test writes for itself, in a folder that is first on PATH.
extension Sandbox {
  /// Writes `sluice-endpoint-NAME`, a shell script. Its working directory is that of the test.
  ///
  /// - Parameter others: is done for `check` and `mkdir`, which by default are not supported.
  func plugin(_ name: String, put: String, others: String = "exit 64") throws {
    try file("bin/sluice-endpoint-\(name)", "#!/bin/sh\n[ \"$1\" = put ] || {\n\(others)\nexit\n}\n\(put)\n", mode: 0o755)
  }

  /// The environment in which they are found.
  var plugins: [String: String?] { ["PATH": "\(work)/bin:\(environment["PATH"] ?? "/usr/bin:/bin")"] }

  /// The lines of a file in the working directory; none if it is not there.
  func lines(_ name: String) -> [String] {
    guard let bytes = try? contents("\(work)/\(name)") else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// A number that a plugin wrote to a file.
  func number(_ name: String) -> Int32? { lines(name).first.flatMap { Int32($0) } }
}

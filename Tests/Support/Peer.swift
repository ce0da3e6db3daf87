import Foundation

/// A real server, started by one of the scripts in `Tests/servers`.
public final class Peer: Sendable {
  public let script: String
  /// What it says it is reached at, with a slash at its end: `http://127.0.0.1:PORT/`.
  public let url: String
  public let port: Int
  private let directory: String

  /// Starts it on a free port.
  ///
  /// - Parameters:
  ///   - script: its name in `Tests/servers`.
  ///   - directory: all that it writes is in there.
  ///   - port: 0 for a free one.
  public convenience init(script: String, in directory: String, _ options: String...) async throws {
    try await self.init(script: script, in: directory, port: 0, options)
  }

  public init(script: String, in directory: String, port: Int, _ options: [String]) async throws {
    self.script = Peer.folder + "/" + script
    self.directory = directory
    var program = Program(self.script, ["start", directory, "\(port)"] + options)
    program.environment["PATH"] = ProcessInfo.processInfo.environment["PATH"] ?? program.environment["PATH"]
    let run = try await program.run()
    let words = run.outputText.split(whereSeparator: \.isWhitespace)
    guard run.exit == 0, words.count > 1, words[0] == "ready", let url = URL(string: String(words[1])), let port = url.port else {
      throw ProgramError(description: "\(script) did not start: \(run.outputText) \(run.errorText)")
    }
    self.url = url.absoluteString
    self.port = port
  }

  private static let folder = (((#filePath as NSString).deletingLastPathComponent as NSString).deletingLastPathComponent) + "/servers"

  /// The folder that it serves.
  public var data: String { directory + "/data" }

  /// Where it keeps what is not stored yet.
  public var temporary: String { directory + "/tmp" }
  /// The certificate that it made for itself, if it speaks TLS.
  public var certificate: String { directory + "/tls.crt" }
  /// One line for each request, if it keeps such a log.
  public var log: String { directory + "/access.log" }

  /// `HOST:PORT`.
  public var authority: String { "127.0.0.1:\(port)" }

  public func stop() async {
    _ = try? await Program(script, ["stop", directory]).run()
  }
}

import ArgumentParser

/// Where the server listens, and what it writes down.
struct ListenOptions: ParsableArguments, Sendable {
  @Option(help: ArgumentHelp("Port on 127.0.0.1; 0: the kernel chooses.", valueName: "n"))
  var port = 0

  @Option(help: ArgumentHelp("Folder for what is uploaded. Without it: a temporary one, removed at the end.", valueName: "dir"))
  var root: String?

  @Flag(help: "Serve TLS.")
  var tls = false

  @Option(name: .customLong("tls-cert"), help: ArgumentHelp("Certificate, PEM.", valueName: "file"))
  var tlsCertificate: String?

  @Option(name: .customLong("tls-key"), help: ArgumentHelp("Its private key, PEM.", valueName: "file"))
  var tlsKey: String?

  @Option(help: ArgumentHelp("Serve everything below this path, as behind a reverse proxy.", valueName: "path"))
  var basePath = ""

  @Option(help: ArgumentHelp("Append one JSON object per request to this file.", valueName: "file"))
  var log: String?

  /// The sub-path with one slash in front and none at the end, or nothing.
  var cleanBasePath: String {
    let parts = basePath.split(separator: "/")
    return parts.isEmpty ? "" : "/" + parts.joined(separator: "/")
  }

  func validate() throws {
    guard (0...65535).contains(port) else { throw ValidationError("--port is not between 0 and 65535") }
    if tls, tlsCertificate == nil || tlsKey == nil { throw ValidationError("--tls needs --tls-cert and --tls-key") }
  }
}

import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOPosix

/// Listens on 127.0.0.1 and hands every request to `Service`.
struct LoopbackServer: Sendable {
  let port: Int
  private let listen: ListenOptions
  private let service: Service
  private let connections = Connections()

  init(options: Loopback, folders: ServedFolders) throws {
    port = options.listen.port
    listen = options.listen
    let log = try options.listen.log.map { path throws(FileError) in try RequestLog(path) }
    service = Service(options: options, folders: folders, log: log)
  }

  /// Ends only with an error.
  func run() async throws {
    let service = service
    let connections = connections
    let channel = LoopbackChannel(connections: connections) { request, writer, channel in
      guard let connection = connections.of(channel) else { return }
      await service.serve(Exchange(request, answerWith: writer, on: connection, of: service))
    }
    if listen.tls {
      try await run(TLSChannel(channel, tlsConfiguration: tlsConfiguration()), scheme: "https")
    } else {
      try await run(channel, scheme: "http")
    }
  }

  /// Ends all connections. Requests under way get a moment to write their line to the log.
  func stop() {
    let open = connections.all
    Task.detached { for connection in open { await connection.reset() } }
    usleep(open.isEmpty ? 10_000 : 200_000)
  }

  private func run(_ channel: some ServerChildChannel, scheme: String) async throws {
    let server = Server(
      childChannelSetup: channel,
      configuration: ServerConfiguration(address: .hostname("127.0.0.1", port: port), backlog: 1024),
      onServerRunning: { listening in
        let port = listening.localAddress?.port ?? 0
        service.alist.origin.set("\(scheme)://127.0.0.1:\(port)\(service.basePath)")
        StandardError.write("ready \(scheme)://127.0.0.1:\(port)\n", to: 1)
      },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
      logger: Logger(label: "sluice-loopback") { _ in SwiftLogNoOpLogHandler() })
    try await server.run()
  }

  private func tlsConfiguration() throws -> TLSConfiguration {
    let chain = try NIOSSLCertificate.fromPEMFile(listen.tlsCertificate ?? "")
    let key = try NIOSSLPrivateKey(file: listen.tlsKey ?? "", format: .pem)
    return .makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
  }
}

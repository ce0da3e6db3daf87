import HummingbirdCore
import Logging
import NIOCore

/// Hummingbird's HTTP/1 connection with a handler at either side of TLS, and with big buffers.
struct LoopbackChannel: ServerChildChannel {
  typealias Value = HTTP1Channel.Value
  private let http: HTTP1Channel
  private let connections: Connections

  init(connections: Connections, responder: @escaping HTTPChannelHandler.Responder) {
    http = HTTP1Channel(responder: responder)
    self.connections = connections
  }

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let connection = connections.add(channel)
      // A body arrives in pieces of this size; the smaller, the more time goes into passing them on.
      let allocator = AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 1 << 16, maximum: 1 << 17)
      try channel.syncOptions?.setOption(.recvAllocator, value: allocator)
      try channel.pipeline.syncOperations.addHandler(SocketEnd(connection, of: connections), position: .first)
      try channel.pipeline.syncOperations.addHandler(PlainTextEnd())
    }.flatMap {
      http.setup(channel: channel, logger: logger)
    }
  }

  func handle(value: Value, logger: Logger) async {
    await http.handle(value: value, logger: logger)
  }
}

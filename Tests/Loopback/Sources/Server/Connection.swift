import NIOCore
import Synchronization

/// One TCP connection, and what can be done to it besides answering.
final class Connection: Sendable {
  /// Counted from 1.
  let number: Int
  let channel: any Channel
  private let gone: EventLoopPromise<Void>
  private let isGone = Atomic(false)

  init(number: Int, channel: any Channel) {
    self.number = number
    self.channel = channel
    gone = channel.eventLoop.makePromise()
  }

  /// Called when the client has closed its side or the connection has ended; again and again is fine.
  func peerIsGone() {
    if isGone.exchange(true, ordering: .relaxed) == false { gone.succeed() }
  }

  /// Suspends until the client has given up.
  func waitUntilPeerIsGone() async {
    try? await gone.futureResult.get()
  }

  /// Sends bytes past the HTTP encoder, but through TLS.
  func sendRaw(_ text: String) async throws {
    try await channel.triggerUserOutboundEvent(RawText(text: text)).get()
  }

  /// Ends the connection with a reset, past TLS: the client sees no clean end. Bytes not yet sent are lost.
  func reset() async {
    if let socket = channel as? any SocketOptionProvider {
      try? await socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
    }
    await hangUp()
  }

  /// Ends the connection at once, past TLS. Unread bytes make the kernel send a reset.
  func hangUp() async {
    // Fails if the connection has ended already, which is what was wanted.
    try? await channel.triggerUserOutboundEvent(HangUp()).get()
  }

  /// Sends a FIN and leaves the reading side alone.
  func closeOutput() async {
    try? await channel.close(mode: .output).get()
  }
}

/// Asks `PlainTextEnd` to send bytes as they are.
struct RawText: Sendable {
  let text: String
}

/// Asks `SocketEnd` to close the socket.
struct HangUp: Sendable {}

/// The first handler of the pipeline, next to the socket.
final class SocketEnd: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  private let connection: Connection
  private let connections: Connections

  init(_ connection: Connection, of connections: Connections) {
    self.connection = connection
    self.connections = connections
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed = event { connection.peerIsGone() }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    connection.peerIsGone()
    context.fireErrorCaught(error)
  }

  func channelInactive(context: ChannelHandlerContext) {
    connection.peerIsGone()
    connections.remove(connection)
    context.fireChannelInactive()
  }

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    if event is HangUp {
      context.close(mode: .all, promise: promise)
    } else {
      context.triggerUserOutboundEvent(event, promise: promise)
    }
  }
}

/// The handler between TLS, if there is any, and HTTP.
final class PlainTextEnd: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    if let raw = event as? RawText {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: raw.text)), promise: promise)
    } else {
      context.triggerUserOutboundEvent(event, promise: promise)
    }
  }
}

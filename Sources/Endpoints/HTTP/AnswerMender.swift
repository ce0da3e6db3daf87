import NIOCore
import NIOHTTP1

/// Stands before the parser of a connection and gives it the heads of answers as `AnswerHead` puts them right. Bodies pass untouched.
///
/// An answer begins after its request has, as one connection has one request at a time, and goes on until the next one.
final class AnswerMender: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = HTTPClientRequestPart
  typealias OutboundOut = HTTPClientRequestPart

  private var isInHead = true
  /// What has come of the head.
  private var head: [UInt8] = []

  /// Puts one into a new connection.
  static func add(to channel: any Channel) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture {
      let parser = try channel.pipeline.syncOperations.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
      try channel.pipeline.syncOperations.addHandler(AnswerMender(), position: .before(parser))
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if case .head = unwrapOutboundIn(data) { isInHead = true }
    context.write(data, promise: promise)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard isInHead else {
      context.fireChannelRead(data)
      return
    }
    let searched = head.count
    head += unwrapInboundIn(data).readableBytesView
    pass(context, searched)
  }

  func channelInactive(context: ChannelHandlerContext) {
    // The parser knows what half a head means.
    passAll(context)
    context.fireChannelInactive()
  }

  private func pass(_ context: ChannelHandlerContext, _ searched: Int) {
    var searched = searched
    while isInHead, !head.isEmpty {
      guard AnswerHead.mayBegin(head) else { return passAll(context) }
      guard let end = AnswerHead.end(of: head, from: searched) else {
        if head.count > AnswerHead.longest { passAll(context) }
        return
      }
      guard let mended = AnswerHead(Array(head[..<end])) else { return passAll(context) }
      head.removeSubrange(..<end)
      searched = 0
      context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: mended.bytes)))
      // Another head follows an interim one.
      isInHead = (100...199).contains(mended.status) && mended.status != 101
    }
    passAll(context)
  }

  private func passAll(_ context: ChannelHandlerContext) {
    guard !head.isEmpty else { return }
    isInHead = false
    let rest = head
    head = []
    context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: rest)))
  }
}

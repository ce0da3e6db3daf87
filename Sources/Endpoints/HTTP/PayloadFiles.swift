import BytePath
import NIOCore
import Synchronization

/// The files of payloads as the event loop sends from them. They stay open until all connections are closed, because a connection that is being
/// closed may still have a region of one in hand.
final class PayloadFiles: Sendable {
  /// By the identity of the payload, which lives as long as its entry.
  private let files = Mutex<[ObjectIdentifier: (payload: Payload, handle: NIOFileHandle)]>([:])

  /// - Throws: as `Payload.duplicateDescriptor`.
  func handle(of payload: Payload) throws(Failure) -> NIOFileHandle {
    // One step, as requests that send parts of the payload side by side all ask for it.
    try files.withLock { (files) throws(Failure) in
      let key = ObjectIdentifier(payload)
      if let known = files[key] { return known.handle }
      let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: try payload.duplicateDescriptor())
      files[key] = (payload, handle)
      payload.whenEnded { [weak self] in self?.letGo(of: key) }
      return handle
    }
  }

  /// A connection that broke may still have a region of the file in hand, but not for long: it was told to close.
  private func letGo(of key: ObjectIdentifier) {
    guard let file = files.withLock({ $0.removeValue(forKey: key) }) else { return }
    HTTPTransport.eventLoop.any().scheduleTask(in: .seconds(1)) { try? file.handle.close() }
  }

  func closeAll() {
    let open = files.withLock { files in
      defer { files = [:] }
      return files.values.map(\.handle)
    }
    for handle in open { try? handle.close() }
  }

  /// Has the errors of sending from the files by a new connection noted in the payloads. The HTTP client tells of them as of a connection that
  /// is gone.
  func watch(_ channel: any Channel) -> EventLoopFuture<Void> {
    channel.pipeline.addHandler(Watch(self), position: .first)
  }

  private func note(_ error: any Error, of handle: NIOFileHandle) {
    guard let error = error as? IOError else { return }
    files.withLock { $0.values.first { $0.handle === handle }?.payload }?.noteKernelError(error.errnoCode)
  }

  /// Stands at the socket.
  private final class Watch: ChannelOutboundHandler, Sendable {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let files: PayloadFiles

    init(_ files: PayloadFiles) { self.files = files }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
      guard case .fileRegion(let region) = unwrapOutboundIn(data) else {
        context.write(data, promise: promise)
        return
      }
      let written = promise ?? context.eventLoop.makePromise()
      written.futureResult.whenFailure { [files] in files.note($0, of: region.fileHandle) }
      context.write(data, promise: written)
    }
  }
}

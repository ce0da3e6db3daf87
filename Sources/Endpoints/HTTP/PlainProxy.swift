import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL

/// A forward proxy for requests without TLS: it is sent the whole address in the request line (RFC 9112, 3.2.2). The HTTP client would ask it
/// for a tunnel instead, which many proxies open to port 443 alone.
struct PlainProxy: Sendable {
  let setting: ProxySetting

  /// The URL to connect to for `url`; the host that was meant goes into the `Host` header.
  func url(for url: String) -> String? {
    guard let (_, path) = PlainProxy.split(url) else { return nil }
    return BaseURL(isSecure: false, host: setting.host, port: setting.port).origin + (path.isEmpty ? "/" : path)
  }

  /// What the proxy is told; nothing for a request that does not go to it, as after a redirect to https.
  func headers(for url: String) -> [(name: String, value: String)] {
    guard let (host, _) = PlainProxy.split(url) else { return [] }
    var headers = [(name: "Host", value: host)]
    if let username = setting.username {
      let authorization = HTTPClient.Authorization.basic(username: username, password: setting.password ?? "")
      headers.append(("Proxy-Authorization", authorization.headerValue))
    }
    return headers
  }

  private static func split(_ url: String) -> (host: String, path: String)? {
    guard url.hasPrefix("http://") else { return nil }
    let rest = url.dropFirst("http://".count)
    let host = rest.prefix { $0 != "/" }
    return (String(host), String(rest.dropFirst(host.count)))
  }

  /// Makes new connections write whole addresses, but for those with TLS, which do not go to the proxy.
  static func prepare(_ channel: any Channel) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture {
      guard (try? channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)) == nil else { return }
      let encoder = try channel.pipeline.syncOperations.handler(type: HTTPRequestEncoder.self)
      try channel.pipeline.syncOperations.addHandler(AbsoluteForm(), position: .after(encoder))
    }
  }

  private final class AbsoluteForm: ChannelOutboundHandler, Sendable {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
      guard case .head(var head) = unwrapOutboundIn(data), let host = head.headers.first(name: "Host") else {
        context.write(data, promise: promise)
        return
      }
      head.uri = "http://\(host)\(head.uri)"
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    }
  }
}

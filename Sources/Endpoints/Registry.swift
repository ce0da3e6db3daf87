/// The endpoints that are built in, a line each.
public let builtInEndpoints: [any BuiltInEndpoint.Type] = [
  Published<AList>.self,
  Published<SiYuan>.self,
  Published<S3>.self,
  Published<PlainHTTP>.self,
  Published<WebDAV>.self,
  Published<LocalFile>.self,
]

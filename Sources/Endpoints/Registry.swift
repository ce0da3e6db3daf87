/// The endpoints that are built in, a line each.
public let builtInEndpoints: [any BuiltInEndpoint.Type] = [
  AList.self,
  SiYuan.self,
  PlainHTTP.self,
  LocalFile.self,
]

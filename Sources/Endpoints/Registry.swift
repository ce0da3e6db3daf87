/// The endpoints that are built in, a line each.
public let builtInEndpoints: [any BuiltInStore.Type] = [
  AList.self,
  SiYuan.self,
  S3.self,
  PlainHTTP.self,
  WebDAV.self,
  AzureBlob.self,
  LocalFile.self,
]

import BytePath

extension EndpointKind {
  /// Paths of the files of this machine that an endpoint of this kind may read although no argument and no remote names them: certificates and
  /// credentials that many programs share. They need not be there.
  public var sharedFiles: [String] {
    // What talks to no server needs none.
    var paths = schemes.isEmpty ? [] : ["SSL_CERT_FILE"].compactMap(nonEmptyVariable)
    switch name {
    case PlainHTTP.kind.name, WebDAV.kind.name: if let path = Netrc.path { paths.append(path) }
    case S3.kind.name:
      paths += [AWSFile.configPath(nonEmptyVariable), AWSFile.secretsPath(nonEmptyVariable)]
      paths += ["AWS_CA_BUNDLE"].compactMap(nonEmptyVariable)
    default: break
    }
    return paths
  }
}

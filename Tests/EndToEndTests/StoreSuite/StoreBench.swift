import Crypto
import Foundation
import Support
import Testing

/// One store at one server, as the tests work it: what its objects are called there, what lies there, and what goes wrong on the way.
struct StoreBench: Sendable {
  let server: StoreServer
  let box: Sandbox
  /// What the plugin is called.
  static let plugin = "bench"
  /// So many bytes of a small disk.
  static let smallDisk = 512 << 10

  /// `HOST:PORT` that the client is told.
  var authority: String
  /// Of the server.
  let port: Int
  /// Where objects are files.
  let folder: String?
  private let scripted: ScriptedS3?
  let azure: ScriptedAzure?
  /// Whether what stands before the server still does harm.
  private var isHarmful = Flag(false)

  /// Starts the server.
  ///
  /// - Parameters:
  ///   - isSmall: its disk has `smallDisk` bytes. Where it is a part of the tests, `withSmallDisk` at `disk` has made it before.
  ///   - hashes: whether AList and S3 of the tests tell hashes.
  init(_ server: StoreServer, _ box: Sandbox, isSmall: Bool = false, hashes: Bool = false) async throws {
    let disk = isSmall ? ["--tmpfs", "\(StoreBench.smallDisk)"] : []
    switch server {
    case .http(let kind?), .dav(let kind?):
      let peer = try await box.peer(kind.script, disk)
      self.init(server, box, port: peer.port, folder: peer.data)
    case .s3(let kind?):
      let peer = try await box.peer("start-s3-\(kind.rawValue).sh", ["--bucket", "bench"] + kind.options + disk)
      self.init(server, box, port: peer.port, folder: kind == .rclone ? "\(peer.data)/bench" : nil)
    case .s3(nil):
      let scripted = try ScriptedS3(box, ScriptedS3.Manner(keepsBytes: true, hasChecksums: hashes))
      self.init(server, box, port: scripted.port, scripted: scripted)
    case .azure:
      let azure = try ScriptedAzure(box, md5: { Array(Insecure.MD5.hash(data: $0)) })
      self.init(server, box, port: azure.port, azure: azure)
    case .alist, .siyuan, .http(nil), .dav(nil):
      self.init(server, box, try await box.loopback(["--multipart", "--permission", "65535"] + (hashes ? ["--hashes"] : [])))
    case .file: self.init(server, box, nil)
    case .plugin:
      self.init(server, box, nil)
      try writePlugin()
    }
    if let folder, !server.isRemote { try makeDirectory(folder) }
  }

  /// The store at a server that runs. One of a file needs none.
  init(_ server: StoreServer, _ box: Sandbox, _ loopback: Loopback?) {
    let folder =
      switch server {
      case .siyuan: loopback?.siyuanFile("/data")
      case .http: loopback?.plainFile("")
      case .file, .plugin: StoreBench.disk(of: server, box)
      default: loopback?.alistFile("")
      }
    self.init(server, box, port: loopback?.port ?? 0, folder: folder)
  }

  private init(
    _ server: StoreServer, _ box: Sandbox, port: Int, folder: String? = nil, scripted: ScriptedS3? = nil, azure: ScriptedAzure? = nil
  ) {
    (self.server, self.box, self.port, self.folder, self.scripted, self.azure) = (server, box, port, folder, scripted, azure)
    authority = "127.0.0.1:\(port)"
  }

  /// All that a server of the tests that starts next in the sandbox writes to is below this.
  static func disk(of server: StoreServer, _ box: Sandbox) -> String { server.isRemote ? "\(box.path)/server0" : "\(box.work)/store" }

  // MARK: - As the client is told

  /// Whose `--verify` can ask.
  var tells: Bool { server != .plugin }

  /// Where the client cuts an object, in bytes.
  var chunk: Int {
    switch server.store {
    case "s3": 5 << 20
    case "azure": 2 << 20
    default: 262_144
    }
  }

  /// What an upload needs for that.
  var options: [String] {
    switch server.store {
    case "s3": ["-o", "part-size=5M"]
    case "azure": ["-o", "block-size=2M"]
    default: []
    }
  }

  func destination(_ name: String) -> String {
    let encoded = percentEncoded("/\(name)")
    return switch server {
    case .alist: "alist+http://\(authority)\(encoded)"
    case .siyuan: "siyuan+http://\(authority)/data\(encoded)"
    case .http(let kind): "http://\(authority)\(kind == nil ? "/plain" : "")\(encoded)"
    // A password in a URL would not be in the job of what is held.
    case .dav(nil): "kept:/\(name)"
    case .dav: "dav+http://\(authority)\(encoded)"
    case .s3: "s3://\(bucket)\(encoded)"
    case .azure: "azure+http://\(authority)/acct/box\(encoded)"
    case .file: "./store/\(name)"
    case .plugin: "\(StoreBench.plugin):\(name)"
    }
  }

  var bucket: String { scripted == nil ? "bench" : "b" }

  /// What the client needs to know besides.
  var environment: [String: String?] {
    switch server {
    case .dav(nil):
      [
        "SLUICE_REMOTE_KEPT_TYPE": "dav", "SLUICE_REMOTE_KEPT_URL": "http://\(authority)/dav", "SLUICE_REMOTE_KEPT_USERNAME": "admin",
        "SLUICE_REMOTE_KEPT_PASSWORD": Loopback.password,
      ]
    case .s3:
      [
        "AWS_ENDPOINT_URL": "http://\(authority)", "AWS_ACCESS_KEY_ID": S3Server.accessKey, "AWS_SECRET_ACCESS_KEY": S3Server.secretKey,
      ]
    case .azure: ["AZURE_STORAGE_SAS_TOKEN": azure?.signature()]
    case .plugin: box.plugins
    default: [:]
    }
  }

  func client(_ arguments: [String], input: Program.Input = .nothing) -> Program {
    box.client(arguments, input: input, environment: environment)
  }

  func sluice(_ arguments: String..., input: Program.Input = .nothing) async throws -> Finished {
    try await box.start(client(arguments, input: input)).finish()
  }

  /// Uploads an object.
  func put(_ bytes: [UInt8], _ options: String..., to name: String = "x") async throws -> Finished {
    try await box.start(client(self.options + options + [destination(name)], input: .bytes(bytes))).finish()
  }

  // MARK: - What lies there

  /// Where an object is a file.
  func file(_ name: String) -> String? { folder.map { "\($0)/\(name)" } }

  /// The bytes that are under a name; nil if nothing is.
  func stored(_ name: String = "x") async throws -> [UInt8]? {
    if let scripted { return scripted.bytes(of: target(name)) }
    if let azure { return azure.blob(name)?.bytes }
    // What is there may be renamed away while it is looked at.
    if let file = file(name) { return try? contents(file) }
    let run = try await request("GET", name)
    return run.exit == 0 ? run.output : nil
  }

  /// The names of all objects; nil where nobody tells.
  func names() -> [String]? {
    if let scripted { return scripted.targets.compactMap { $0.dropFirst("/b/".count).removingPercentEncoding }.sorted() }
    return azure?.names ?? folder.map { Support.names(in: $0) }
  }

  /// Puts an object there that nobody wrote, or takes away what is there.
  func plant(_ bytes: [UInt8]?, _ name: String = "x") async throws {
    if let scripted { return scripted.plant(bytes, at: target(name)) }
    if let azure { return azure.plant(bytes, name) }
    // Servers of others remember what they have, and must be told.
    if server.program != nil {
      guard let bytes else {
        _ = try await request("DELETE", name)
        return
      }
      _ = try await request("PUT", name, "-T", box.file("planted", bytes))
    } else if let file = file(name) {
      if let bytes { try write(bytes, to: file, mode: 0o666) } else { try? FileManager.default.removeItem(atPath: file) }
    }
  }

  /// As `plant`, at a server of the tests and from any thread.
  func replace(_ bytes: [UInt8], _ name: String) throws {
    if let scripted { return scripted.plant(bytes, at: target(name)) }
    if let file = file(name) { try write(bytes, to: file, mode: 0o666) }
  }

  /// What lies beside the objects under names that no object has.
  func leftovers() -> [String] {
    (folder.map { Support.names(in: $0) } ?? []).filter { name in
      // nginx itself leaves a file when its disk is full, under the name that it was told with ten digits more.
      name.contains(".sluice-") && !name.hasPrefix(".sluice-\(getuid())") && name.wholeMatch(of: /.*\.[0-9]{10}/) == nil
    }
  }

  private func target(_ name: String) -> String { "/\(bucket)\(percentEncoded("/\(name)"))" }

  /// A request that curl makes, straight to the server.
  private func request(_ method: String, _ name: String, _ options: String...) async throws -> Finished {
    let isS3 = server.store == "s3"
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    let user = ["--user", "\(S3Server.accessKey):\(S3Server.secretKey)"]
    let url = "http://127.0.0.1:\(port)\(isS3 ? target(name) : percentEncoded("/\(name)"))"
    var curl = Program("/usr/bin/env", ["curl", "-fsS", "--noproxy", "*", "-X", method] + (isS3 ? signed + user : []) + options + [url])
    curl.directory = box.work
    return try await box.start(curl).finish()
  }

  // MARK: - What goes wrong

  /// The store behind something that does harm to uploads.
  ///
  /// - Parameters:
  ///   - times: to how many; nil for all until `heal`.
  ///   - object: how many bytes each of them has.
  ///   - isMeant: which requests are uploads.
  func failing(
    _ fault: StoreFault, times: Int? = 1, object: Int,
    at isMeant: @escaping @Sendable (ScriptedServer.Request) -> Bool = StoreBench.isUpload
  ) throws -> StoreBench {
    var bench = self
    bench.isHarmful = Flag(true)
    guard server.isRemote else {
      try harmPlugin(fault, times ?? .max)
      return bench
    }
    let (harmed, isHarmful) = (Counter(), bench.isHarmful)
    let (port, server) = (port, server)
    let relay = try box.scripted { exchange in
      guard isMeant(exchange.request), isHarmful.isSet, harmed.increment() <= times ?? .max else {
        exchange.send(bytes: exchange.handOn(to: port, exchange.readBody()))
        return exchange.close()
      }
      fault.act(on: exchange, before: port, object: object) { StoreBench.refusal($0, of: server) }
    }
    bench.authority = relay.authority
    return bench
  }

  /// Ends what `failing` began.
  func heal() throws {
    isHarmful.set(false)
    if server == .plugin { try healPlugin() }
  }

  /// A request that brings an object, or a part of one.
  static let isUpload: @Sendable (ScriptedServer.Request) -> Bool = {
    // AList's form is but asked for, and a condition that nothing meets is Azure's preflight.
    $0.method == "PUT" && $0.target != "/api/fs/form" && $0.header("If-Match") == nil || $0.target == "/api/file/putFile"
  }

  /// A request that gives an object its name when it is there.
  static let isPublication: @Sendable (ScriptedServer.Request) -> Bool = {
    $0.method == "MOVE" || $0.target == "/api/fs/rename" || $0.method == "POST" && $0.target.contains("uploadId=")
      || $0.target.contains("comp=blocklist") && $0.method == "PUT"
  }

  /// As a server refuses who reads no body.
  private static func refusal(_ status: Int, of server: StoreServer) -> String {
    let isJSON = status == 403 && (server == .alist || server == .siyuan)
    let words = #"{"code":\#(status),"message":"refused","msg":"refused","data":null}"#
    let xml = server.store == "s3" ? "<Error><Code>\(status == 403 ? "AccessDenied" : "No")</Code><Message>refused</Message></Error>" : ""
    let text = isJSON ? words : xml
    return "HTTP/1.1 \(status) No\r\nContent-Type: \(isJSON ? "application/json" : "application/xml")\r\nConnection: close\r\n"
      + "Content-Length: \(text.utf8.count)\r\n\r\n\(text)"
  }
}

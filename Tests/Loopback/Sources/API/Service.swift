/// The APIs and the faults: decides who answers a request.
struct Service: Sendable {
  let alist: AList
  let log: RequestLog?
  private let siyuan: SiYuan
  private let plain: Plain
  private let webDAV: WebDAV
  private let faults: FaultPlan
  let basePath: String

  init(options: Loopback, folders: ServedFolders, log: RequestLog?) {
    alist = AList(options: options, folders: folders)
    siyuan = SiYuan(options: options, folders: folders)
    plain = Plain(options: options, folders: folders)
    webDAV = WebDAV(alist, basePath: options.listen.cleanBasePath)
    faults = FaultPlan(options.faults)
    basePath = options.listen.cleanBasePath
    self.log = log
  }

  /// A path outside the base path gets a mark that no route has, so that it is answered as an unknown one.
  func pathBelowBase(_ path: String) -> String {
    if basePath.isEmpty { return path }
    return path.hasPrefix(basePath + "/") ? String(path.dropFirst(basePath.count)) : "outside:" + path
  }

  /// Answers one request, or does what the faults ask for.
  func serve(_ exchange: Exchange) async {
    // The real kernel takes this lock before anything else and holds it until the answer is written.
    let lock = exchange.method == "POST" ? siyuan.locks[exchange.path] : nil
    await lock?.acquire()
    do {
      if exchange.header("Expect").map({ $0.lowercased() != "100-continue" }) ?? false {
        try await exchange.send(Answer(status: 417, unread: .cutOff))
      } else if let fault = faults.next(for: exchange.path) {
        try await fault.act(on: exchange, in: self)
      } else {
        try await exchange.send(await route(exchange))
      }
    } catch {
      // The client is gone, or the fault has ended the connection: nobody is left to be told.
      exchange.finish(status: 0)
      await exchange.connection.hangUp()
    }
    lock?.release()
    await exchange.linger()
  }

  /// The answer of the well-behaved server.
  func route(_ exchange: Exchange) async throws -> Answer {
    do {
      if exchange.path.hasPrefix(Plain.prefix) { return try await plain.answer(exchange) }
      if WebDAV.serves(exchange.path) { return try await webDAV.answer(exchange) }
      return isSiYuan(exchange.path) ? try await siyuan.answer(exchange) : try await alist.answer(exchange)
    } catch let refusal as Refusal {
      return refusal.answer
    }
  }

  func isSiYuan(_ path: String) -> Bool {
    ["/api/file/", "/api/system/", "/api/asset/", "/assets/"].contains(where: path.hasPrefix)
  }
}

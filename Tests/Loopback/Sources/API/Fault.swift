/// One request's misbehaviour.
struct Fault {
  let options: FaultOptions

  func act(on exchange: Exchange, in service: Service) async throws {
    if let status = options.refuseEarly {
      return try await exchange.send(early(status, exchange, service))
    }
    if options.cutAfter == 0 { return await cut(exchange) }
    if let bytes = options.cutAfter { exchange.bodyLimit = BodyLimit(bytes: bytes, isStall: false) }
    if let bytes = options.stallAfter { exchange.bodyLimit = BodyLimit(bytes: bytes, isStall: true) }
    exchange.storeLimit = options.truncateStored
    var answer: Answer
    if options.hang || options.endlessHeaders || hasAnswerOfItsOwn {
      try await exchange.drain(sendingContinue: true)
      if options.hang { return await hang(exchange) }
      if options.endlessHeaders { return try await sendEndlessHeaders(exchange) }
      answer = ownAnswer(exchange, service)
    } else {
      answer = try await service.route(exchange)
    }
    if options.storeThenCut { return await cut(exchange) }
    if options.cutJson, case .bytes(let bytes) = answer.body { answer.body = .bytes(Array(bytes.prefix(bytes.count / 2))) }
    if let delay = options.delay { try await Task.sleep(for: .milliseconds(delay)) }
    try await exchange.send(answer)
  }

  private var hasAnswerOfItsOwn: Bool {
    options.status != nil || options.code != nil || options.html || options.endless || options.redirect != nil
  }

  private func ownAnswer(_ exchange: Exchange, _ service: Service) -> Answer {
    let isSiYuan = service.isSiYuan(exchange.path)
    if let status = options.redirect {
      let target = (options.location ?? "") + exchange.entry.path + (exchange.query.isEmpty ? "" : "?" + exchange.query)
      return Answer(status: status, headers: [("Location", target)])
    }
    if let status = options.status { return withRetryAfter(page(status)) }
    if let code = options.code {
      return isSiYuan ? SiYuan.envelope(code, options.message) : AList.envelope(code, options.message)
    }
    if options.endless {
      let beginning = isSiYuan ? "{\"code\":0,\"msg\":\"" : "{\"code\":200,\"message\":\""
      return Answer(headers: [("Content-Type", "application/json; charset=utf-8")], body: .endless(beginning))
    }
    return .html("<!doctype html><title>Sign in</title><form method=post><input name=user><input name=password></form>\n")
  }

  private func early(_ status: Int, _ exchange: Exchange, _ service: Service) -> Answer {
    // A proxy speaks HTML; an API that wants other credentials speaks JSON.
    guard status == 401 || status == 403 else { return withRetryAfter(page(status)).leaving(.cutOff) }
    let text = "refused before the body"
    var answer = service.isSiYuan(exchange.path) ? SiYuan.envelope(-1, text) : AList.envelope(status, text)
    answer.status = status
    return withRetryAfter(answer).leaving(.cutOff)
  }

  private func page(_ status: Int) -> Answer {
    .html("<html><head><title>\(status)</title></head><body><h1>\(status)</h1><hr>sluice-loopback</body></html>\n", status: status)
  }

  private func withRetryAfter(_ answer: Answer) -> Answer {
    guard let seconds = options.retryAfter else { return answer }
    var copy = answer
    copy.headers.append(("Retry-After", seconds))
    return copy
  }

  private func cut(_ exchange: Exchange) async {
    exchange.finish(status: 0)
    await exchange.connection.reset()
  }

  private func hang(_ exchange: Exchange) async {
    exchange.finish(status: 0)
    await exchange.connection.waitUntilPeerIsGone()
    await exchange.connection.hangUp()
  }

  private func sendEndlessHeaders(_ exchange: Exchange) async throws {
    exchange.finish(status: 200)
    try await exchange.connection.sendRaw("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n")
    var number = 0
    while true {
      var lines = ""
      for _ in 0..<64 {
        number += 1
        lines += "X-Endless-\(number): \(String(repeating: "x", count: 64))\r\n"
      }
      try await exchange.connection.sendRaw(lines)
    }
  }
}

import Support
import Testing

/// Proxies, as the environment names them.
@Suite(.sandboxed)
struct ProxyTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("HTTP_PROXY is asked with the whole address", arguments: ["HTTP_PROXY", "http_proxy"])
  func absolute(variable: String) async throws {
    let proxy = try box.scripted { exchange in
      let target = exchange.request.target
      if target.hasSuffix("/api/fs/get") {
        exchange.answer(#"{"code":500,"message":"failed to get obj: object not found","data":null}"#)
      } else if target.hasSuffix("/api/fs/list") {
        exchange.answer(#"{"code":200,"message":"success","data":{"content":null,"total":0,"write":true,"provider":"Local"}}"#)
      } else {
        exchange.answer(#"{"code":200,"message":"success","data":{"id":1,"username":"admin","role":2,"permission":65535,"base_path":"/"}}"#)
      }
    }
    let run = try await box.sluice(
      "--retries", "0", "alist+http://nas.invalid:5244/x", input: bytes, environment: [variable: "http://\(proxy.authority)"])
    try run.success()
    let targets = proxy.requests.map(\.target)
    #expect(targets.contains("http://nas.invalid:5244/api/fs/put"), "\(targets)")
    #expect(targets.allSatisfy { $0.hasPrefix("http://nas.invalid:5244/") })
    #expect(proxy.requests.allSatisfy { $0.header("Host") == "nas.invalid:5244" })
  }

  @Test("a proxy's user and password go to the proxy, and are seen nowhere else")
  func credentials() async throws {
    let proxy = try box.scripted { $0.answer(#"{"code":403,"message":"permission denied","data":null}"#) }
    let run = try await box.sluice(
      "-v", "--retries", "0", "alist+http://nas.invalid/x", input: bytes,
      environment: ["HTTP_PROXY": "http://user:proxy-secret@\(proxy.authority)"])
    #expect(run.exit == 77)
    #expect(proxy.requests.first?.header("Proxy-Authorization") == "Basic dXNlcjpwcm94eS1zZWNyZXQ=")
    #expect(!(run.outputText + run.errorText).contains("proxy-secret"))
  }

  @Test("NO_PROXY exempts hosts", arguments: ["127.0.0.1", "*", "other.example,127.0.0.1", "localhost, 127.0.0.1"])
  func exempt(list: String) async throws {
    let proxy = try box.scripted { $0.answer("{}") }
    let server = try await box.loopback()
    try await box.sluice(
      server.alist("/x"), input: bytes, environment: ["HTTP_PROXY": "http://\(proxy.authority)", "NO_PROXY": list]
    ).success()
    #expect(proxy.requests.isEmpty)
  }

  @Test("NO_PROXY of another host does not exempt this one")
  func notExempt() async throws {
    let proxy = try box.scripted { $0.answer(#"{"code":403,"message":"permission denied","data":null}"#) }
    let server = try await box.loopback()
    let run = try await box.sluice(
      server.alist("/x"), input: bytes, environment: ["HTTP_PROXY": "http://\(proxy.authority)", "NO_PROXY": "27.0.0.1,other"])
    #expect(run.exit == 77)
    #expect(!proxy.requests.isEmpty)
  }

  @Test("HTTPS goes through CONNECT, and the proxy sees no credentials")
  func connect() async throws {
    let proxy = try box.scripted { exchange in
      exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
      exchange.close()
    }
    let run = try await box.sluice(
      "--retries", "0", "alist+https://nas.invalid/x", input: bytes, environment: ["HTTPS_PROXY": "http://\(proxy.authority)"])
    #expect(run.exit == 69 || run.exit == 77, "\(run.summary)")
    let request = try #require(proxy.requests.first)
    #expect(request.method == "CONNECT")
    #expect(request.target == "nas.invalid:443")
    #expect(request.header("Authorization") == nil)
  }

  @Test("a proxy that refuses is named", arguments: ["407 Proxy Authentication Required"])
  func refuses(status: String) async throws {
    let proxy = try box.scripted { $0.answer("", status: status) }
    let run = try await box.sluice(
      "--retries", "0", "alist+http://nas.invalid/x", input: bytes, environment: ["HTTP_PROXY": "http://\(proxy.authority)"])
    try run.failure(77, "auth")
    #expect(run.errorText.contains("proxy"))
  }

  @Test("a proxy that is no http proxy is a config error", arguments: ["socks5://127.0.0.1:1", "http://"])
  func unknown(value: String) async throws {
    let run = try await box.sluice("alist+http://nas.invalid/x", input: .endless, environment: ["HTTP_PROXY": value])
    try run.failure(78, "config")
  }
}

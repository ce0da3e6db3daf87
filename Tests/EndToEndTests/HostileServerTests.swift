import Foundation
import Support
import Testing

/// Servers that mean harm, or behave so: the run ends in time, in bounded memory, and calls nothing a success that is none.
@Suite(.sandboxed)
struct HostileServerTests {
  /// What the server does with an upload.
  enum Attack: String, CaseIterable, Sendable {
    case endlessHeaders, endlessBody, endlessChunks, drippingHead, drippingBody, interimFlood, thousandsOfHeaders
    case negativeLength, twoLengths, hugeChunk, noProtocol, silence

    /// The exit statuses that are right. Plain HTTP has no word for success but the status, so a 200 that is followed by too much may be one
    /// or none.
    var statuses: Set<Int32> {
      switch self {
      case .drippingHead, .interimFlood, .silence: [69]
      case .thousandsOfHeaders: [0, 69, 76]
      default: [69, 76]
      }
    }

    /// Tells the client so until it goes.
    func perform(_ exchange: Exchange) {
      switch self {
      case .endlessHeaders:
        exchange.send("HTTP/1.1 200 OK\r\n")
        var number = 0
        repeat { number += 1 } while exchange.send("X-\(number): \(String(repeating: "x", count: 1000))\r\n")
      case .endlessBody:
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n")
        while exchange.send(String(repeating: "x", count: 65_536)) {}
      case .endlessChunks:
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while exchange.send("1000\r\n" + String(repeating: "x", count: 4096) + "\r\n") {}
      case .drippingHead: drip("HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 10_000), exchange)
      case .drippingBody:
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        drip(String(repeating: "x", count: 10_000), exchange)
      case .interimFlood:
        while exchange.send(String(repeating: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", count: 100)) {}
      case .thousandsOfHeaders:
        let headers = (0..<20_000).map { "X-\($0): y\r\n" }.joined()
        exchange.send("HTTP/1.1 200 OK\r\n\(headers)Content-Length: 0\r\n\r\n")
      case .negativeLength: exchange.send("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n")
      case .twoLengths: exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n")
      case .hugeChunk:
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nx")
      case .noProtocol: exchange.send("220 smtp.example ESMTP\r\n\r\n")
      case .silence: exchange.awaitClose()
      }
      exchange.close()
    }

    private func drip(_ text: String, _ exchange: Exchange) {
      for character in text {
        guard exchange.send(String(character)) else { return }
        usleep(200_000)
      }
    }
  }

  private static let memory = 100 << 10

  private let box = Sandbox.here

  @Test("an answer that is an attack is outlived, in bounded time and memory", arguments: Attack.allCases)
  func attack(attack: Attack) async throws {
    let server = try box.scripted { exchange in
      exchange.readBody()
      attack.perform(exchange)
    }
    var client = box.client(
      ["--no-preflight", "--retries", "0", "--timeout", "3s", "http://\(server.authority)/x"],
      input: .bytes([UInt8](repeating: 1, count: 300_000)))
    client.measuresMemory = true
    client.limit = .seconds(60)
    let run = try await box.start(client).finish()
    let status = try #require(run.exit, "\(run.summary)")
    #expect(attack.statuses.contains(status), "\(run.summary)")
    #expect(run.peakKiB <= HostileServerTests.memory, "peak: \(run.peakKiB) KiB")
    #expect(run.output.count < 100_000)
    let result = try run.result()
    #expect(result["ok"].bool == (status == 0))
    #expect(box.spoolNames.isEmpty == (status == 0), "what failed is held")
  }

  @Test("a compressed answer is not inflated", .enabled(if: Program.installed("gzip") != nil, "gzip is not installed"))
  func bomb() async throws {
    let made = try await box.shell("head -c 400000000 /dev/zero | gzip -9 > bomb")
    try #require(made.exit == 0, "\(made.summary)")
    let bomb = try contents("\(box.work)/bomb")
    let server = try box.scripted { exchange in
      exchange.readBody()
      exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: \(bomb.count)\r\n\r\n")
      exchange.send(bytes: bomb)
    }
    var client = box.client(
      ["--no-preflight", "--retries", "0", "siyuan+http://\(server.authority)/data/x"], input: .bytes([UInt8](repeating: 1, count: 3000)))
    client.measuresMemory = true
    let run = try await box.start(client).finish()
    try run.failure(76, "protocol")
    #expect(run.peakKiB <= HostileServerTests.memory, "peak: \(run.peakKiB) KiB")
  }

  @Test("an answer that was there before its request is no success")
  func beforeTheRequest() async throws {
    let answer = #"{"code":0,"msg":"","data":null}"#
    let server = box.keep(
      try ScriptedServer(greeting: "HTTP/1.1 200 OK\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)") { $0.awaitClose() })
    let run = try await box.start(
      box.client(
        ["--no-preflight", "--retries", "0", "--timeout", "5s", "siyuan+http://\(server.authority)/data/x"],
        input: .bytes([UInt8](repeating: 1, count: 9_000_000)))
    ).finish()
    #expect([69, 76].contains(run.exit), "\(run.summary)")
    #expect(try run.result()["held"].text != nil)
  }
}

import Foundation
import Support
import Synchronization
import Testing

/// What is named as left at a destination when an upload has failed: all of it, and nothing else.
@Suite(.sandboxed)
struct RemainsTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("a part that an attempt has left straight at the name is named, whatever the attempts after it meet", arguments: [true, false])
  func leftByEarlierAttempt(answers: Bool) async throws {
    let puts = Mutex(0)
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "PUT" else { return false }
      if puts.withLock({
        $0 += 1
        return $0
      }) == 1 {
        server.objects["/x"] = exchange.readBody(3)
        exchange.reset()
      } else if answers {
        exchange.answer("", status: "503 Service Unavailable")
      } else {
        // Before a byte of the object.
        exchange.reset()
      }
      return true
    }
    let run = try await box.sluice("-o", "direct", "--retries", "1", "dav+http://\(server.authority)/x", input: bytes)
    let result = try run.failure(69, answers ? "server" : "unreachable")
    #expect(result["attempts"].int == 2)
    #expect(result["error"]["left"] == .array([.string("/x")]), "\(run.summary)")
  }

  @Test("what a server stored that reported success too early is named")
  func early() async throws {
    let server = try ScriptedDAV(in: box) { exchange, server in
      guard exchange.request.method == "PUT" else { return false }
      server.objects["/x"] = exchange.readBody(3)
      exchange.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
      exchange.awaitClose()
      return true
    }
    let object = [UInt8](repeating: 7, count: 20_000_000)
    let run = try await box.sluice("-o", "direct", "--retries", "0", "dav+http://\(server.authority)/x", input: object)
    #expect(try run.failure(76, "protocol")["error"]["left"] == .array([.string("/x")]), "\(run.summary)")
  }

  @Test("a server that removes nothing keeps no object from its name, and what is left is told")
  func neverRemoved() async throws {
    let puts = Mutex(0)
    let server = try ScriptedDAV(in: box) { exchange, server in
      switch exchange.request.method {
      case "DELETE": exchange.answer("", status: "503 Service Unavailable")
      case "PUT"
      where puts.withLock({
        $0 += 1
        return $0
      }) == 1:
        server.objects[exchange.request.target] = exchange.readBody(3)
        exchange.reset()
      default: return false
      }
      return true
    }
    let run = try await box.sluice("--retries", "3", "dav+http://\(server.authority)/x", input: bytes)
    #expect(try run.success()["attempts"].int == 2)
    #expect(server.objects["/x"] == bytes)
    #expect(run.errorText.contains("a part of the object is left at /.x.sluice-"))
  }

  @Test("an object that got its name is not taken for another in its way, though the answer and the first question about it are lost")
  func renamedUnseen() async throws {
    let moves = Mutex(0)
    let server = try ScriptedDAV(in: box) { exchange, server in
      let target = exchange.request.target
      if exchange.request.method == "MOVE" {
        moves.withLock { $0 = 1 }
        server.objects["/x"] = server.objects.removeValue(forKey: target)
        exchange.reset()
        return true
      }
      let isFirst = moves.withLock { moves in
        guard moves == 1 else { return false }
        moves = 2
        return true
      }
      if isFirst { exchange.answer("", status: "503 Service Unavailable") }
      return isFirst
    }
    let run = try await box.sluice("--no-clobber", "--retries", "3", "dav+http://\(server.authority)/x", input: bytes)
    try run.success()
    #expect(server.objects == ["/x": bytes])
  }

  @Test("a temporary name that has been removed is not named, also where it begins with the name of the object")
  func dotted() async throws {
    let server = try ScriptedDAV(in: box) { exchange, _ in
      guard exchange.request.method == "MOVE" else { return false }
      exchange.answer("", status: "503 Service Unavailable")
      return true
    }
    let run = try await box.sluice(
      "--retries", "0", "--input", try box.file("in", bytes), "dav+http://\(server.authority)/.x", input: [])
    #expect(try run.failure(69, "server")["error"]["left"] == .null, "\(run.summary)")
    #expect(server.objects.isEmpty)
  }
}

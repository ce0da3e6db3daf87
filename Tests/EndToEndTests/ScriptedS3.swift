import Crypto
import Foundation
import Support
import Synchronization

/// An S3 server that holds hashes instead of bytes, unless it is told to keep them, and fails where a test wants it to. It has one bucket, `b`.
final class ScriptedS3: Sendable {
  enum Operation: Equatable, Sendable {
    case head, put, begin, part(Int), list, complete, abort
  }

  struct Call: Sendable {
    let operation: Operation
    let request: ScriptedServer.Request
    /// How many calls of this kind there were before it; parts are counted each by itself.
    let before: Int
    /// Puts the object of a call to complete together.
    let store: @Sendable () -> Void
  }

  /// An upload that has begun, or an object.
  private struct Stored {
    var parts: [Int: (md5: [UInt8], size: Int, bytes: [UInt8])] = [:]
    var tag: String { "\(hex(Insecure.MD5.hash(data: parts.sorted { $0.key < $1.key }.flatMap(\.value.md5))))-\(parts.count)" }
    var size: Int { parts.values.map(\.size).reduce(0, +) }
  }

  private struct State {
    var calls: [Operation] = []
    var uploads: [String: Stored] = [:]
    var objects: [String: (tag: String, size: Int, bytes: [UInt8])] = [:]
  }

  private let server: Mutex<ScriptedServer?> = Mutex(nil)
  private let state = Mutex(State())
  private let keepsBytes: Bool

  /// - Parameter fault: answers a call itself, or returns false to have it answered as it should be.
  init(_ box: Sandbox, keepsBytes: Bool = false, fault: @escaping @Sendable (Call, Exchange) -> Bool = { _, _ in false }) throws {
    self.keepsBytes = keepsBytes
    let made = try box.scripted { [self] exchange in answer(exchange, fault) }
    server.withLock { $0 = made }
  }

  var requests: [ScriptedServer.Request] { server.withLock { $0?.requests ?? [] } }
  var calls: [Operation] { state.withLock { $0.calls } }
  /// How often each part was sent.
  var sent: [Int: Int] {
    calls.reduce(into: [:]) { if case .part(let number) = $1 { $0[number, default: 0] += 1 } }
  }
  func count(of operation: Operation) -> Int { calls.count { $0 == operation } }
  func size(of target: String) -> Int? { state.withLock { $0.objects[target]?.size } }
  /// Of an object, if they are kept.
  func bytes(of target: String) -> [UInt8]? { state.withLock { $0.objects[target]?.bytes } }
  /// Puts an object there, or takes away what is there.
  func plant(_ bytes: [UInt8]?, at target: String) {
    state.withLock { $0.objects[target] = bytes.map { (hex(Insecure.MD5.hash(data: $0)), $0.count, $0) } }
  }
  /// What objects there are.
  var targets: [String] { state.withLock { $0.objects.keys.sorted() } }
  var port: Int { server.withLock { $0?.port ?? 0 } }
  var unfinished: Int { state.withLock { $0.uploads.count } }

  /// Loses all uploads that are not complete.
  func forget() { state.withLock { $0.uploads = [:] } }

  /// For `Sandbox.sluice`.
  var environment: [String: String?] {
    [
      "AWS_ENDPOINT_URL": "http://\(server.withLock { $0?.authority ?? "" })", "AWS_ACCESS_KEY_ID": "KEY",
      "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    ]
  }

  private func answer(_ exchange: Exchange, _ fault: (Call, Exchange) -> Bool) {
    let request = exchange.request
    let parts = request.target.split(separator: "?", maxSplits: 1).map(String.init)
    let query = Dictionary(
      (parts.count > 1 ? parts[1] : "").split(separator: "&").map { pair in
        let words = pair.split(separator: "=", omittingEmptySubsequences: false)
        return (String(words[0]), words.count > 1 ? String(words[1]) : "")
      }
    ) { $1 }
    let operation = ScriptedS3.operation(request.method, query)
    let before = state.withLock { state in
      defer { state.calls.append(operation) }
      return state.calls.count { $0 == operation }
    }
    let (target, id) = (parts[0], query["uploadId"] ?? "")
    let call = Call(operation: operation, request: request, before: before) { [self] in _ = complete(target, id) }
    if fault(call, exchange) { return }
    answer(exchange, operation, target: target, id: id)
  }

  private static func operation(_ method: String, _ query: [String: String]) -> Operation {
    switch method {
    case "HEAD": .head
    case "GET": .list
    case "DELETE": .abort
    case "POST": query["uploads"] == nil ? .complete : .begin
    default: query["partNumber"].flatMap { Int($0) }.map { .part($0) } ?? .put
    }
  }

  private func answer(_ exchange: Exchange, _ operation: Operation, target: String, id: String) {
    let body = exchange.readBody()
    guard Int(exchange.request.header("Content-Length") ?? "0") == body.count else { return }
    let md5 = Array(Insecure.MD5.hash(data: body))
    switch operation {
    case .head:
      guard let object = state.withLock({ $0.objects[target] }) else {
        return exchange.answer("", status: target == "/b" ? "200 OK" : "404 Not Found")
      }
      exchange.send("HTTP/1.1 200 OK\r\nETag: \"\(object.tag)\"\r\nContent-Length: \(object.size)\r\n\r\n")
    case .put:
      state.withLock { $0.objects[target] = (hex(md5), body.count, keepsBytes ? body : []) }
      exchange.answer("", headers: ["ETag: \"\(hex(md5))\""])
    case .begin:
      let id = "upload-\(UUID().uuidString)"
      state.withLock { $0.uploads[id] = Stored() }
      exchange.answer("<InitiateMultipartUploadResult><UploadId>\(id)</UploadId></InitiateMultipartUploadResult>")
    case .part(let number):
      let isKnown = state.withLock { state in
        state.uploads[id]?.parts[number] = (md5, body.count, keepsBytes ? body : [])
        return state.uploads[id] != nil
      }
      if isKnown { exchange.answer("", headers: ["ETag: \"\(hex(md5))\""]) } else { exchange.refuse("404 Not Found", "NoSuchUpload") }
    case .list:
      guard let upload = state.withLock({ $0.uploads[id] }) else { return exchange.refuse("404 Not Found", "NoSuchUpload") }
      let list = upload.parts.map {
        "<Part><PartNumber>\($0)</PartNumber><ETag>&quot;\(hex($1.md5))&quot;</ETag><Size>\($1.size)</Size></Part>"
      }
      exchange.answer("<ListPartsResult>\(list.joined())</ListPartsResult>")
    case .complete:
      guard let upload = complete(target, id) else { return exchange.refuse("404 Not Found", "NoSuchUpload") }
      exchange.answer("\n<CompleteMultipartUploadResult><ETag>\"\(upload)\"</ETag></CompleteMultipartUploadResult>")
    case .abort:
      state.withLock { _ = $0.uploads.removeValue(forKey: id) }
      exchange.send("HTTP/1.1 204 No Content\r\n\r\n")
    }
  }

  /// Makes an object of an upload. Returns its tag.
  private func complete(_ target: String, _ id: String) -> String? {
    state.withLock { state in
      guard let upload = state.uploads.removeValue(forKey: id) else { return nil }
      let bytes = upload.parts.sorted { $0.key < $1.key }.flatMap(\.value.bytes)
      state.objects[target] = (upload.tag, upload.size, bytes)
      return upload.tag
    }
  }
}

extension Exchange {
  /// An error as S3 writes it.
  func refuse(_ status: String, _ code: String, headers: [String] = [], _ more: String = "") {
    answer(
      "<?xml version=\"1.0\"?>\n<Error><Code>\(code)</Code><Message>So it is.</Message>\(more)</Error>", status: status,
      type: "application/xml", headers: headers)
  }
}

private func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { String(format: "%02x", $0) }.joined()
}

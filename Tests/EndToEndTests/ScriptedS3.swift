import Crypto
import Foundation
import Support
import Synchronization

/// An S3 server that holds hashes instead of bytes, unless it is told to keep them, and fails or differs where a test wants it to. It has one bucket, `b`.
final class ScriptedS3: Sendable {
  enum Operation: Equatable, Sendable {
    case head, put, get, remove, objects, begin, part(Int), list, complete, abort
  }

  /// What the entity tags are: the MD5 of the bytes and of the MD5s of the parts, other words of that length, or not told.
  enum Tags: Sendable {
    case digests, others, none

    fileprivate func tag(_ digest: String) -> String? {
      switch self {
      case .digests: digest
      case .others: String(digest.prefix(32).reversed() + digest.dropFirst(32))
      case .none: nil
      }
    }
  }

  /// How it differs from others.
  struct Manner: Sendable {
    var keepsBytes = false
    /// Of objects and parts.
    var tags = Tags.digests
    /// Of objects in parts.
    var wholeTags = Tags.digests
    /// Whether it tells the SHA-256 of what it has, of objects in parts that of those of the parts.
    var hasChecksums = false
    /// Whether another byte arrives than was sent.
    var corrupts: @Sendable (Operation, _ before: Int) -> Bool = { _, _ in false }
  }

  struct Call: Sendable {
    let operation: Operation
    let request: ScriptedServer.Request
    /// How many calls of this kind there were before it; parts are counted each by itself.
    let before: Int
    /// Puts the object of a call to complete together.
    let store: @Sendable () -> Void
    /// Keeps a part of these bytes; nil if the call is for none.
    var storePart: (@Sendable ([UInt8]) -> Void)?
  }

  private struct Part {
    let md5: [UInt8]
    let sha256: [UInt8]
    let size: Int
    let bytes: [UInt8]

    init(_ body: [UInt8], keepsBytes: Bool) {
      md5 = Array(Insecure.MD5.hash(data: body))
      sha256 = Array(SHA256.hash(data: body))
      size = body.count
      bytes = keepsBytes ? body : []
    }
  }

  private struct Object {
    /// The digest that a tag has that is one.
    let digest: String
    let size: Int
    let bytes: [UInt8]
    let checksum: String

    init(_ part: Part) {
      (digest, size, bytes, checksum) = (hex(part.md5), part.size, part.bytes, Data(part.sha256).base64EncodedString())
    }

    init(_ parts: [Int: Part]) {
      let parts = parts.sorted { $0.key < $1.key }.map(\.value)
      digest = "\(hex(Insecure.MD5.hash(data: parts.flatMap(\.md5))))-\(parts.count)"
      size = parts.map(\.size).reduce(0, +)
      bytes = parts.flatMap(\.bytes)
      checksum = "\(Data(SHA256.hash(data: parts.flatMap(\.sha256))).base64EncodedString())-\(parts.count)"
    }
  }

  private struct State {
    var calls: [Operation] = []
    var uploads: [String: [Int: Part]] = [:]
    var objects: [String: Object] = [:]
  }

  private let server: Mutex<ScriptedServer?> = Mutex(nil)
  private let state = Mutex(State())
  private let manner: Manner

  /// - Parameter fault: answers a call itself, or returns false to have it answered as it should be.
  init(_ box: Sandbox, _ manner: Manner = Manner(), fault: @escaping @Sendable (Call, Exchange) -> Bool = { _, _ in false }) throws {
    self.manner = manner
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
    state.withLock { $0.objects[target] = bytes.map { Object(Part($0, keepsBytes: true)) } }
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
    var call = Call(operation: operation, request: request, before: before, store: { [self] in complete(target, id) })
    if case .part(let number) = operation { call.storePart = { [self] in keep($0, number, of: id) } }
    if !fault(call, exchange) { answer(exchange, call, target: target, query: query) }
  }

  private static func operation(_ method: String, _ query: [String: String]) -> Operation {
    switch method {
    case "HEAD": .head
    case "GET": query["list-type"] != nil ? .objects : query["uploadId"] != nil ? .list : .get
    case "DELETE": query["uploadId"] != nil ? .abort : .remove
    case "POST": query["uploads"] == nil ? .complete : .begin
    default: query["partNumber"].flatMap { Int($0) }.map { .part($0) } ?? .put
    }
  }

  private func answer(_ exchange: Exchange, _ call: Call, target: String, query: [String: String]) {
    var body = exchange.readBody()
    guard Int(exchange.request.header("Content-Length") ?? "0") == body.count else { return }
    if !body.isEmpty, manner.corrupts(call.operation, call.before) { body[0] ^= 1 }
    let id = query["uploadId"] ?? ""
    switch call.operation {
    case .head, .get: read(exchange, target)
    case .objects: list(exchange, target, query)
    case .remove:
      state.withLock { _ = $0.objects.removeValue(forKey: target) }
      exchange.send("HTTP/1.1 204 No Content\r\n\r\n")
    case .put:
      let object = Object(Part(body, keepsBytes: manner.keepsBytes))
      state.withLock { $0.objects[target] = object }
      exchange.answer("", headers: tagLine(manner.tags, object.digest))
    case .begin:
      let id = "upload-\(UUID().uuidString)"
      state.withLock { $0.uploads[id] = [:] }
      exchange.answer("<InitiateMultipartUploadResult><UploadId>\(id)</UploadId></InitiateMultipartUploadResult>")
    case .part(let number):
      guard let part = keep(body, number, of: id) else { return exchange.refuse("404 Not Found", "NoSuchUpload") }
      exchange.answer("", headers: tagLine(manner.tags, hex(part.md5)))
    case .list:
      guard let upload = state.withLock({ $0.uploads[id] }) else { return exchange.refuse("404 Not Found", "NoSuchUpload") }
      let list = upload.map { number, part in
        let tag = manner.tags.tag(hex(part.md5)).map { "<ETag>&quot;\($0)&quot;</ETag>" } ?? ""
        let checksum = manner.hasChecksums ? "<ChecksumSHA256>\(Data(part.sha256).base64EncodedString())</ChecksumSHA256>" : ""
        return "<Part><PartNumber>\(number)</PartNumber>\(tag)<Size>\(part.size)</Size>\(checksum)</Part>"
      }
      exchange.answer("<ListPartsResult>\(list.joined())</ListPartsResult>")
    case .complete:
      guard let object = complete(target, id) else { return exchange.refuse("404 Not Found", "NoSuchUpload") }
      let tag = manner.wholeTags.tag(object.digest).map { "<ETag>\"\($0)\"</ETag>" } ?? ""
      exchange.answer("\n<CompleteMultipartUploadResult>\(tag)</CompleteMultipartUploadResult>")
    case .abort:
      state.withLock { _ = $0.uploads.removeValue(forKey: id) }
      exchange.send("HTTP/1.1 204 No Content\r\n\r\n")
    }
  }

  /// Returns nil if there is no such upload.
  @discardableResult
  private func keep(_ body: [UInt8], _ number: Int, of id: String) -> Part? {
    let part = Part(body, keepsBytes: manner.keepsBytes)
    return state.withLock { state in
      state.uploads[id]?[number] = part
      return state.uploads[id]?[number]
    }
  }

  private func tagLine(_ tags: Tags, _ digest: String) -> [String] { tags.tag(digest).map { ["ETag: \"\($0)\""] } ?? [] }

  /// Answers with an object, or with a range of it, or with its head.
  private func read(_ exchange: Exchange, _ target: String) {
    let request = exchange.request
    guard let object = state.withLock({ $0.objects[target] }) else {
      if request.method == "GET" { return exchange.refuse("404 Not Found", "NoSuchKey") }
      return exchange.answer("", status: target == "/b" ? "200 OK" : "404 Not Found")
    }
    var headers = tagLine(object.digest.contains("-") ? manner.wholeTags : manner.tags, object.digest)
    if let wanted = request.header("If-Match"), !headers.contains("ETag: \(wanted)") {
      return exchange.refuse("412 Precondition Failed", "PreconditionFailed")
    }
    if manner.hasChecksums, request.header("x-amz-checksum-mode") == "ENABLED" {
      headers.append("x-amz-checksum-sha256: \(object.checksum)")
    }
    var (status, range) = ("200 OK", 0..<object.size)
    let bounds = request.header("Range")?.dropFirst(6).split(separator: "-").compactMap { Int($0) } ?? []
    if bounds.count == 2, bounds[0] < object.size {
      range = bounds[0]..<min(bounds[1] + 1, object.size)
      headers.append("Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(object.size)")
      status = "206 Partial Content"
    }
    let lines = ["HTTP/1.1 \(status)", "Content-Length: \(range.count)"] + headers
    exchange.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
    if request.method == "GET" { exchange.send(bytes: Array(object.bytes.prefix(range.upperBound).dropFirst(range.lowerBound))) }
  }

  /// Answers with the objects of the bucket, two at a time, and with what they have in common up to the next slash.
  private func list(_ exchange: Exchange, _ target: String, _ query: [String: String]) {
    guard target == "/b" else { return exchange.refuse("404 Not Found", "NoSuchBucket") }
    let prefix = query["prefix"]?.removingPercentEncoding ?? ""
    let objects = state.withLock { $0.objects }
    var entries: [String: String] = [:]
    for (target, object) in objects {
      let key = String(target.dropFirst(3)).removingPercentEncoding ?? ""
      guard key.hasPrefix(prefix) else { continue }
      if query["delimiter"] != nil, let slash = key.dropFirst(prefix.count).firstIndex(of: "/") {
        let folder = String(key[...slash])
        entries[folder] = "<CommonPrefixes><Prefix>\(percentEncoded(folder))</Prefix></CommonPrefixes>"
      } else {
        let tag = manner.tags.tag(object.digest).map { "<ETag>&quot;\($0)&quot;</ETag>" } ?? ""
        entries[key] =
          "<Contents><Key>\(percentEncoded(key))</Key>\(tag)<Size>\(object.size)</Size><LastModified>2026-01-02T03:04:05.006Z</LastModified></Contents>"
      }
    }
    let last = query["continuation-token"]?.removingPercentEncoding?.removingPercentEncoding ?? ""
    let keys = entries.keys.sorted().filter { $0 > last }
    let page = keys.prefix(2)
    let next =
      keys.count > 2
      ? "<IsTruncated>true</IsTruncated><NextContinuationToken>\(percentEncoded(page.last ?? ""))</NextContinuationToken>" : ""
    exchange.answer(
      "<ListBucketResult><EncodingType>url</EncodingType>\(next)\(page.compactMap { entries[$0] }.joined())</ListBucketResult>")
  }

  /// Makes an object of an upload.
  @discardableResult
  private func complete(_ target: String, _ id: String) -> Object? {
    state.withLock { state in
      guard let object = state.uploads.removeValue(forKey: id).map(Object.init) else { return nil }
      state.objects[target] = object
      return object
    }
  }
}

extension Exchange {
  /// An error as S3 writes it; an answer to HEAD has no word of it.
  func refuse(_ status: String, _ code: String, headers: [String] = [], message: String = "So it is.", _ more: String = "") {
    if request.method == "HEAD" {
      send((["HTTP/1.1 \(status)"] + headers).joined(separator: "\r\n") + "\r\n\r\n")
      return
    }
    answer(
      "<?xml version=\"1.0\"?>\n<Error><Code>\(code)</Code><Message>\(message)</Message>\(more)</Error>", status: status,
      type: "application/xml", headers: headers)
  }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { String(format: "%02x", $0) }.joined()
}

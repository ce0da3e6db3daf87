import Foundation
import Synchronization

/// An Azure Blob Storage with one account, `acct`, and one container, `box`, that fails where a test wants it to. It is as strict as Azure where that
/// is known: a call with a header or a signature that is not as it should be is refused.
public final class ScriptedAzure: Sendable {
  public enum Operation: Hashable, Sendable {
    case head, get, list, put, probe, block(Int), blocks, commit, delete, unknown
  }

  public struct Call: Sendable {
    public let operation: Operation
    public let request: ScriptedServer.Request
    /// How many calls of this kind there were before it; blocks are counted each by itself.
    public let before: Int
  }

  public struct Blob: Sendable {
    public var bytes: [UInt8]
    public var tag: String
    /// As it was told, in Base64.
    public var md5: String?
    public var headers: [String: String] = [:]
  }

  private struct State {
    var calls: [Operation] = []
    var blobs: [String: Blob] = [:]
    var uncommitted: [String: [(id: String, bytes: [UInt8])]] = [:]
    var signatures: [String: (permissions: String, ends: Date)] = [:]
    var count = 0
  }

  private let server: Mutex<ScriptedServer?> = Mutex(nil)
  private let state = Mutex(State())
  private let md5: @Sendable ([UInt8]) -> [UInt8]
  private let pageSize: Int

  /// - Parameters:
  ///   - md5: computes it.
  ///   - pageSize: how many names a list has at the most.
  ///   - fault: answers a call itself, or returns false to have it answered as it should be.
  public init(
    _ box: Sandbox, md5: @escaping @Sendable ([UInt8]) -> [UInt8], pageSize: Int = 5000,
    fault: @escaping @Sendable (Call, Exchange) -> Bool = { _, _ in false }
  ) throws {
    self.md5 = md5
    self.pageSize = pageSize
    let made = try box.scripted { [self] exchange in answer(exchange, fault) }
    server.withLock { $0 = made }
  }

  public var port: Int { server.withLock { $0?.port ?? 0 } }
  public var requests: [ScriptedServer.Request] { server.withLock { $0?.requests ?? [] } }
  public var calls: [Operation] { state.withLock { $0.calls } }
  public var names: [String] { state.withLock { $0.blobs.keys.sorted() } }
  /// How often each block was sent.
  public var sent: [Int: Int] {
    calls.reduce(into: [:]) { if case .block(let number) = $1 { $0[number, default: 0] += 1 } }
  }
  /// How many blocks are in no blob.
  public var uncommitted: Int { state.withLock { $0.uncommitted.values.map(\.count).reduce(0, +) } }
  public func count(of operation: Operation) -> Int { calls.count { $0 == operation } }

  public func blob(_ name: String) -> Blob? { state.withLock { $0.blobs[name] } }

  /// Puts a blob there, or takes away what is there.
  public func plant(_ bytes: [UInt8]?, _ name: String) {
    state.withLock { state in
      state.count += 1
      state.blobs[name] = bytes.map { Blob(bytes: $0, tag: "\"0x8D\(state.count)\"", md5: Data(md5($0)).base64EncodedString()) }
    }
  }

  /// Loses all blocks that are in no blob.
  public func forget() { state.withLock { $0.uncommitted = [:] } }

  /// A signature that lets in who has it.
  ///
  /// - Parameter seconds: how long; it has ended if that is below zero.
  public func signature(_ permissions: String = "rcwdl", seconds: Double = 3600) -> String {
    let ends = Date.now + seconds
    let shown = ends.formatted(.iso8601).replacing(":", with: "%3A")
    let text = "sv=2020-10-02&sr=c&sp=\(permissions)&se=\(shown)&sig=K\(permissions)%2Bsecret%2Fy%3D"
    state.withLock { $0.signatures[text] = (permissions, ends) }
    return text
  }

  /// The URL of a blob, or with an empty name of the container.
  public func destination(_ name: String) -> String {
    "azure+http://127.0.0.1:\(port)/acct/box\(name.isEmpty ? "" : percentEncoded("/\(name)"))"
  }

  // MARK: - Answers

  private func answer(_ exchange: Exchange, _ fault: (Call, Exchange) -> Bool) {
    let request = exchange.request
    let words = request.target.split(separator: "?", maxSplits: 1).map(String.init)
    // The signature comes last.
    let text = words.count > 1 ? words[1] : ""
    let start = text.firstRange(of: "sv=")?.lowerBound ?? text.endIndex
    let query = Dictionary(
      text[..<start].split(separator: "&").map { pair in
        let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count > 1 ? parts[1].removingPercentEncoding ?? "" : "")
      }
    ) { $1 }
    let operation = ScriptedAzure.operation(request, query)
    let before = state.withLock { state in
      defer { state.calls.append(operation) }
      return state.calls.count { $0 == operation }
    }
    if fault(Call(operation: operation, request: request, before: before), exchange) { return }
    guard words[0] == "/acct/box" || words[0].hasPrefix("/acct/box/") else {
      return refuse(exchange, "404 The specified container does not exist.", "ContainerNotFound")
    }
    let name = (words[0].dropFirst("/acct/box/".count)).removingPercentEncoding ?? ""
    if let (status, code, detail) = refusal(of: String(text[start...]), operation, name) { return refuse(exchange, status, code, detail) }
    guard request.header("x-ms-version") == "2020-10-02" else {
      return refuse(exchange, "400 The value for one of the HTTP headers is not in the correct format.", "InvalidHeaderValue")
    }
    answer(exchange, operation, name, query)
  }

  private static func operation(_ request: ScriptedServer.Request, _ query: [String: String]) -> Operation {
    switch (request.method, query["comp"]) {
    case ("HEAD", nil): .head
    case ("GET", nil): .get
    case ("GET", "list"): .list
    case ("GET", "blocklist"): .blocks
    case ("DELETE", nil): .delete
    case ("PUT", nil): request.header("If-Match") == nil ? .put : .probe
    case ("PUT", "blocklist"): .commit
    case ("PUT", "block"): .block(number(query["blockid"] ?? ""))
    default: .unknown
    }
  }

  /// As the client counts: from 0 on.
  private static func number(_ id: String) -> Int {
    let text = Data(base64Encoded: id).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let words = text.split(separator: "-")
    return words.count > 1 ? (Int(words[1]) ?? 100_000) - 100_000 : -1
  }

  /// Why who has this signature is not let in.
  private func refusal(of signature: String, _ operation: Operation, _ name: String) -> (String, String, String)? {
    let failed = "403 Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly."
    guard let known = state.withLock({ $0.signatures[signature] }) else {
      return (failed, "AuthenticationFailed", "Signature did not match. String to sign used was \(signature.prefix(30))")
    }
    guard known.ends > .now else { return (failed, "AuthenticationFailed", "Signature not valid in the specified time frame") }
    let allowing: String
    switch operation {
    case .head, .get, .blocks: allowing = "r"
    case .list: allowing = "l"
    case .delete: allowing = "d"
    default: allowing = "cw"
    }
    guard known.permissions.contains(where: { allowing.contains($0) }) else {
      return ("403 This request is not authorized to perform this operation using this permission.", "AuthorizationPermissionMismatch", "")
    }
    let isWrite = [.put, .commit].contains(operation)
    guard !isWrite || known.permissions.contains("w") || state.withLock({ $0.blobs[name] == nil }) else {
      return ("403 This request is not authorized to perform blob overwrites.", "UnauthorizedBlobOverwrite", "")
    }
    return nil
  }

  /// An error as Azure writes it: the words stand in the status line too.
  public func refuse(_ exchange: Exchange, _ status: String, _ code: String, _ detail: String = "") {
    let words = status.drop { $0 != " " }.dropFirst()
    let body =
      exchange.request.method == "HEAD"
      ? ""
      : "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>\(code)</Code><Message>\(words)\nRequestId:1-2\nTime:2026-01-01</Message>"
        + (detail.isEmpty ? "" : "<AuthenticationErrorDetail>\(detail)</AuthenticationErrorDetail>") + "</Error>"
    exchange.answer(body, status: status, type: "application/xml", headers: ["x-ms-error-code: \(code)", "x-ms-request-id: 1-2"])
  }

  private func succeed(_ exchange: Exchange, _ status: String, _ headers: [String], _ body: [UInt8] = []) {
    exchange.readBody()
    let head = ["HTTP/1.1 \(status)", "x-ms-request-id: 1-2", "x-ms-version: 2020-10-02"] + headers
    let isLengthTold = headers.contains { $0.hasPrefix("Content-Length:") }
    exchange.send((head + (isLengthTold ? [] : ["Content-Length: \(body.count)"])).joined(separator: "\r\n") + "\r\n\r\n")
    exchange.send(bytes: body)
  }

  private func answer(_ exchange: Exchange, _ operation: Operation, _ name: String, _ query: [String: String]) {
    let request = exchange.request
    switch operation {
    case .head, .get: read(exchange, name, isHead: operation == .head)
    case .list: list(exchange, query)
    case .delete:
      guard state.withLock({ $0.blobs.removeValue(forKey: name) }) != nil else { return missing(exchange) }
      succeed(exchange, "202 Accepted", [])
    case .blocks:
      guard query["blocklisttype"] == "uncommitted" else { return refuse(exchange, "400 No.", "InvalidQueryParameterValue") }
      guard let blocks = state.withLock({ $0.uncommitted[name] ?? ($0.blobs[name].map { _ in [] }) }) else { return missing(exchange) }
      let list = blocks.map { "<Block><Name>\($0.id)</Name><Size>\($0.bytes.count)</Size></Block>" }.joined()
      succeed(
        exchange, "200 OK", [],
        Array("\u{feff}<?xml version=\"1.0\"?><BlockList><UncommittedBlocks>\(list)</UncommittedBlocks></BlockList>".utf8))
    case .put, .probe, .block, .commit:
      let body = exchange.readBody()
      guard Int(request.header("Content-Length") ?? "") == body.count else { return exchange.close() }
      if let told = request.header("Content-MD5"), told != Data(md5(body)).base64EncodedString() {
        // A condition that is not met comes first.
        guard operation == .probe else { return refuse(exchange, "400 The MD5 value did not match.", "Md5Mismatch") }
      }
      write(exchange, operation, name, query, body)
    case .unknown: refuse(exchange, "400 The requested URI does not represent any resource on the server.", "InvalidUri")
    }
  }

  private func missing(_ exchange: Exchange) { refuse(exchange, "404 The specified blob does not exist.", "BlobNotFound") }

  private func write(_ exchange: Exchange, _ operation: Operation, _ name: String, _ query: [String: String], _ body: [UInt8]) {
    let request = exchange.request
    let there = state.withLock { $0.blobs[name] }
    if let tag = request.header("If-Match"), tag != there?.tag {
      return refuse(exchange, "412 The condition specified using HTTP conditional header(s) is not met.", "ConditionNotMet")
    }
    if request.header("If-None-Match") == "*", there != nil {
      return refuse(exchange, "409 The specified blob already exists.", "BlobAlreadyExists")
    }
    var bytes = body
    var md5 = request.header("Content-MD5")
    switch operation {
    case .block:
      let id = query["blockid"] ?? ""
      guard let raw = Data(base64Encoded: id), !raw.isEmpty, raw.count <= 64, !body.isEmpty else {
        return refuse(exchange, "400 No.", "InvalidQueryParameterValue")
      }
      let fits = state.withLock { state in
        guard state.uncommitted[name]?.allSatisfy({ $0.id.count == id.count }) != false else { return false }
        state.uncommitted[name, default: []].removeAll { $0.id == id }
        state.uncommitted[name, default: []].append((id, body))
        return true
      }
      guard fits else { return refuse(exchange, "400 The specified blob or block content is invalid.", "InvalidBlobOrBlock") }
      return succeed(exchange, "201 Created", ["Content-MD5: \(Data(self.md5(body)).base64EncodedString())"])
    case .commit:
      let ids = String(decoding: body, as: UTF8.self).matches(of: /<Uncommitted>([^<]*)<\/Uncommitted>/).map { String($0.1) }
      let blocks = state.withLock { $0.uncommitted[name] ?? [] }
      let parts = ids.map { id in blocks.first { $0.id == id }?.bytes }
      guard !parts.contains(nil) else { return refuse(exchange, "400 The specified block list is invalid.", "InvalidBlockList") }
      bytes = parts.compactMap { $0 }.flatMap { $0 }
      md5 = request.header("x-ms-blob-content-md5")
    default:
      guard request.header("x-ms-blob-type") == "BlockBlob" else {
        return refuse(exchange, "400 An HTTP header that's mandatory for this request is not specified.", "MissingRequiredHeader")
      }
    }
    let names = ["x-ms-blob-content-type", "x-ms-meta-mtime"]
    let headers = Dictionary(uniqueKeysWithValues: names.compactMap { key in request.header(key).map { (key, $0) } })
    let tag = state.withLock { state in
      state.count += 1
      let tag = "\"0x8D\(state.count)\""
      state.blobs[name] = Blob(bytes: bytes, tag: tag, md5: md5, headers: headers)
      state.uncommitted[name] = nil
      return tag
    }
    succeed(exchange, "201 Created", ["ETag: \(tag)"])
  }

  private func read(_ exchange: Exchange, _ name: String, isHead: Bool) {
    guard let blob = state.withLock({ $0.blobs[name] }) else { return missing(exchange) }
    if let tag = exchange.request.header("If-Match"), tag != blob.tag { return refuse(exchange, "412 Not met.", "ConditionNotMet") }
    var headers = ["ETag: \(blob.tag)", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "x-ms-blob-type: BlockBlob"]
    if let time = blob.headers["x-ms-meta-mtime"] { headers.append("x-ms-meta-mtime: \(time)") }
    let range = exchange.request.header("Range")?.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) } ?? []
    if range.count == 2, !isHead {
      headers.append("Content-Range: bytes \(range[0])-\(range[1])/\(blob.bytes.count)")
      if let md5 = blob.md5 { headers.append("x-ms-blob-content-md5: \(md5)") }
      return succeed(exchange, "206 Partial Content", headers, Array(blob.bytes[range[0]...range[1]]))
    }
    if let md5 = blob.md5 { headers.append("Content-MD5: \(md5)") }
    succeed(exchange, "200 OK", headers + ["Content-Length: \(blob.bytes.count)"], isHead ? [] : blob.bytes)
  }

  private func list(_ exchange: Exchange, _ query: [String: String]) {
    guard query["restype"] == "container", query["delimiter"] == "/" else {
      return refuse(exchange, "400 No.", "InvalidQueryParameterValue")
    }
    let prefix = query["prefix"] ?? ""
    let all = state.withLock { $0.blobs.filter { $0.key.hasPrefix(prefix) } }
    let entries = Dictionary(grouping: all) { name, _ in
      let rest = name.dropFirst(prefix.count)
      return rest.firstIndex(of: "/").map { prefix + rest[...$0] } ?? name
    }
    let names = entries.keys.sorted().filter { $0 > query["marker"] ?? "" }
    let text = names.prefix(pageSize).map { name in
      guard let blob = all[name] else { return "<BlobPrefix><Name>\(escaped(name))</Name></BlobPrefix>" }
      return "<Blob><Name>\(escaped(name))</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified>"
        + "<Etag>\(blob.tag.filter { $0 != "\"" })</Etag><Content-Length>\(blob.bytes.count)</Content-Length>"
        + "<Content-MD5>\(blob.md5 ?? "")</Content-MD5></Properties></Blob>"
    }
    let next = names.count > pageSize ? names[pageSize - 1] : ""
    succeed(
      exchange, "200 OK", [],
      Array(
        "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Blobs>\(text.joined())</Blobs><NextMarker>\(escaped(next))</NextMarker></EnumerationResults>"
          .utf8))
  }

  private func escaped(_ text: String) -> String { text.replacing("&", with: "&amp;").replacing("<", with: "&lt;") }
}

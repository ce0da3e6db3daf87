public import BytePath
import Synchronization

/// Reading back what is there.
extension AList {
  /// From where `fs/get` says it is to be had: the server itself, or wherever the storage has it.
  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    let look = try await api.look(at: path)
    guard let stored = look.finding.stored, let data = look.data else { return look.finding }
    if stored.isDirectory == true { throw Failure(.rejected, "\(path) is a directory", hint: "name an object") }
    let replaced = Finding.untold(Failure(.server, "\(path) was replaced while it was read", retryable: true))
    if let version, stored.version != version { return replaced }
    let size = stored.size ?? .max
    let wanted = (range ?? 0..<size).clamped(to: 0..<size)
    guard !wanted.isEmpty else { return .stored(stored) }
    var request = HTTPRequest(method: .get, url: "")
    // Asked for as a part, an object comes with another status than AList's words about it, which have status 200.
    request.headers = [("Range", "bytes=\(wanted.lowerBound)-\(wanted.upperBound == .max ? "" : String(wanted.upperBound - 1))")]
    let gate = PartGate(sink)
    request.receiver = gate
    request.isWanted = { gate.opens(for: $0) }
    var answer = try await download(path, data, request)
    if answer.status == 206 {
      let total = answer.headers["content-range"]?.split(separator: "/").last.flatMap { Int64($0) }
      return total == nil || stored.size == nil || total == stored.size ? .stored(stored) : replaced
    }
    if let failure = answer.statusFailure(api.origin) { throw failure }
    answer.body = gate.words.beginning
    if let reply = AListReply(answer) { try AListCode.check(reply, path) }
    throw answer.withEvidence(Failure(.protocol, "\(api.origin) does not give \(path) in parts"))
  }

  private func download(_ path: String, _ data: JSONValue, _ request: HTTPRequest) async throws(Failure) -> HTTPAnswer {
    let isAList = data["virtual_path"] != nil
    // AList makes web pages of these (server/handles/down.go, localProxy), but not for WebDAV.
    if isAList, path.lowercased().hasSuffix(".md") { return try await api.downloadByDAV(path, request) }
    guard let url = data["raw_url"]?.string.flatMap({ api.downloadURL($0, of: path, isDecodedTwice: isAList) }) else {
      throw Failure(.protocol, "\(api.origin) does not say where \(path) is to be had")
    }
    var request = request
    request.url = url
    return try await api.download(request)
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    let number = page.flatMap { Int($0) } ?? 1
    // A server may remember what is there no more. It looks anew for who may put something there.
    var reply = try await api.list(directory, page: number, refreshing: number == 1)
    if number == 1, reply.code == 403 { reply = try await api.list(directory, page: 1, refreshing: false) }
    if reply.saysMissing { return nil }
    try AListCode.check(reply, directory)
    let (seen, overflows) = number.multipliedReportingOverflow(by: AListAPI.pageSize)
    let total = reply.data?["total"]?.integer ?? 0
    return Listing(reply.entries(in: directory), next: !overflows && Int64(seen) < total ? String(number + 1) : nil)
  }
}

/// Lets a part of an object through, and keeps the words that come in its stead.
private final class PartGate: ByteSink {
  let words = BodyReceiver(limit: 4096)
  private let sink: any ByteSink
  private let isOpen = Atomic(false)

  init(_ sink: any ByteSink) { self.sink = sink }

  func opens(for answer: HTTPAnswer) -> Bool {
    isOpen.store(answer.status == 206, ordering: .relaxed)
    return true
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool { (isOpen.load(ordering: .relaxed) ? sink : words).take(bytes) }
}

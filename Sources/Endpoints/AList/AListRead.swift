import BytePath
import Synchronization

/// One read of an object, or of a part of it, at the addresses where it may be had.
///
/// AList answers for faults with status 200 and words of its own in place of the bytes, and with web pages for some objects. So even all of an object
/// is asked for as a part: what comes with another status is not it.
struct AListRead {
  let path: String
  /// Nil for all.
  let range: Range<Int64>?
  let version: String?
  let sink: ByteCounter
  let api: AListAPI

  /// - Throws: a refusal, among others.
  func from(_ place: AListPlace) async throws(Failure) -> Finding {
    guard let stored = place.look.finding.stored, let data = place.look.data else { return place.look.finding }
    if stored.isDirectory == true { throw .directory(path) }
    if let version, stored.version != version { return .untold(.replaced(path)) }
    let size = stored.size ?? .max
    let wanted = (range ?? 0..<size).clamped(to: 0..<size)
    guard !wanted.isEmpty || range == nil else { return .untold(.replaced(path)) }
    let isAList = data["virtual_path"] != nil
    guard let raw = data["raw_url"]?.string, !raw.isEmpty else {
      throw Failure(.protocol, "\(api.origin) does not say where \(path) is to be had")
    }
    // AList makes web pages of these (server/handles/down.go, localProxy), unless it is told not to; but not for WebDAV.
    let mayBePage = isAList && path.lowercased().hasSuffix(".md")
    var first: Failure?
    for url in (mayBePage ? [nil] : []) + api.downloadURLs(raw, of: path, isDecodedTwice: isAList).map(Optional.some) {
      do throws(Failure) {
        return try await get(wanted, of: stored, at: url, place, refusesPages: mayBePage)
      } catch {
        guard error.httpStatus != nil, sink.count == 0 else { throw error }
        first = first ?? error
      }
    }
    if mayBePage, let status = first?.httpStatus, [401, 403].contains(status) {
      first?.message = "AList makes a web page of \(path), and its WebDAV does not let this user read it (HTTP \(status))"
      first?.hint =
        "it takes the token of the admin page, or a user name and password with the permission for WebDAV, but no token of a login"
    }
    throw first ?? Failure(.protocol, "\(api.origin) does not say where \(path) is to be had")
  }

  /// - Parameters:
  ///   - url: nil for AList's WebDAV.
  ///   - refusesPages: whether a web page is never the object.
  private func get(
    _ wanted: Range<Int64>, of stored: Stored, at url: String?, _ place: AListPlace, refusesPages: Bool
  ) async throws(Failure) -> Finding {
    var stored = stored
    let server = url.flatMap { RedirectTarget($0, from: api.origin)?.origin } ?? api.origin
    // Of nothing there is no part.
    let get = ObjectGet(path, wanted.isEmpty ? nil : wanted, from: server, into: sink)
    let gate = Gate(get) { [stored] answer in
      if answer.foreignCoding(of: path) != nil || refusesPages && answer.isPage { return false }
      guard get.fault(in: answer) == nil && !wanted.isEmpty || isWhole(answer, stored) else { return false }
      return place.isSame(answer, at: path)
    }
    var request = HTTPRequest(method: .get, url: url ?? "", headers: get.headers)
    request.receiver = gate
    request.isWanted = { gate.opens(for: $0) }
    var answer = if url == nil { try await api.downloadByDAV(path, request) } else { try await api.download(request) }
    if gate.isOpen {
      try get.checkEnd(of: answer)
      stored.size = stored.size ?? Stored(path, answer).size
      return .stored(stored)
    }
    if answer.status == 416, stored.size == nil, answer.headers["content-range"] == "bytes */0" {
      // Nobody knew that it is empty.
      stored.size = 0
      return .stored(stored)
    }
    if answer.status == 416 || !place.isSame(answer, at: path) {
      place.end()
      return .untold(answer.withEvidence(.replaced(path)))
    }
    if let failure = answer.statusFailure(server) { throw failure }
    answer.body = gate.words.beginning
    if let reply = AListReply(answer), reply.code != 200 { try AListCode.check(reply, path) }
    if wanted.isEmpty, gate.words.count == 0 { return .stored(stored) }
    throw answer.withEvidence(fault(answer, get, server, wanted))
  }

  /// What a success brings that is not what was asked for.
  private func fault(_ answer: HTTPAnswer, _ get: ObjectGet, _ server: String, _ wanted: Range<Int64>) -> Failure {
    if let coding = answer.foreignCoding(of: path) { return .coded(path, coding, from: answer.url) }
    if answer.isPage { return Failure(.protocol, "\(server) sends a web page in place of \(path)") }
    if wanted.isEmpty { return Failure(.protocol, "\(server) sends bytes of \(path), which has none as \(api.origin) says") }
    return get.fault(in: answer) ?? Failure(.protocol, "\(server) sends something else than \(path)")
  }

  /// Whether an answer that is no part has all of an object of which all is wanted. The servers' own words have none of these fields.
  private func isWhole(_ answer: HTTPAnswer, _ stored: Stored) -> Bool {
    guard range == nil, answer.status == 200, let length = answer.expectedLength, Int64(length) == stored.size, length > 0 else {
      return false
    }
    return ["etag", "last-modified", "accept-ranges", "content-disposition"].contains { answer.headers[$0] != nil }
  }
}

extension HTTPAnswer {
  fileprivate var isPage: Bool { headers["content-type"]?.lowercased().hasPrefix("text/html") == true }
}

/// Lets an object through, and keeps the words that come in its stead.
private final class Gate: ByteSink {
  let words = BodyReceiver(limit: 4096)
  private let sink: any ByteSink
  private let isGood: @Sendable (HTTPAnswer) -> Bool
  private let state = Atomic(false)

  init(_ sink: any ByteSink, if isGood: @escaping @Sendable (HTTPAnswer) -> Bool) {
    self.sink = sink
    self.isGood = isGood
  }

  var isOpen: Bool { state.load(ordering: .relaxed) }

  /// Whatever comes is for one or the other.
  func opens(for answer: HTTPAnswer) -> Bool {
    state.store(isGood(answer), ordering: .relaxed)
    return true
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool { (isOpen ? sink : words).take(bytes) }

  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { isOpen ? sink.isReady(go) : true }
}

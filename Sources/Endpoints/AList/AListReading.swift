public import BytePath
import Synchronization

/// Reading back what is there.
extension AList {
  /// Without the warning of long names: what is there has one already.
  public func sourcePath(_ text: String) throws(Failure) -> String { try AList.objectPath(text) }

  /// From where `fs/get` says it is to be had: the server itself, or wherever the storage has it.
  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    let read = AListRead(path: path, range: range, version: version, sink: ByteCounter(sink), api: api)
    let place = try await places.place(of: path)
    let refusal: Failure
    do throws(Failure) { return try await read.from(place) } catch { refusal = error }
    // The address may be good no more, as its sign ends; and OpenList answers for what is not there as for any other fault.
    guard refusal.httpStatus != nil, read.sink.count == 0 else { throw refusal }
    let isFresh = place.isFresh
    place.end()
    let next = try await places.place(of: path)
    guard next.look.finding.stored != nil, !isFresh || next.look.finding.stored?.version != place.look.finding.stored?.version else {
      guard next.look.finding.stored == nil else { throw refusal }
      return next.look.finding
    }
    return try await read.from(next)
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    let here = page.flatMap { AListPage($0) } ?? AListPage()
    // A server may remember what is there no more. It looks anew for who may put something there.
    var reply = try await api.list(directory, page: here.number, refreshing: here.number == 1)
    if reply.refusesRefresh { reply = try await api.list(directory, page: here.number, refreshing: false) }
    if reply.saysMissing {
      try await confirmNothing(at: directory)
      return nil
    }
    try AListCode.check(reply, directory)
    return Listing(try reply.entries(in: directory), next: try here.next(after: reply, of: directory)?.text)
  }

  /// The servers say `object not found` of what could not be listed, too (internal/op/fs.go of OpenList), so that what counts is the listing of the
  /// folder above, asked of the storage anew, in which it is not.
  public func confirmNothing(at path: String) async throws(Failure) {
    guard path != "/" else {
      throw Failure(.server, "\(api.origin) finds no folder of this user, which may be a fault of its storage", retryable: true)
    }
    let folder = AList.parent(of: path)
    var isRefreshed = true
    var page: AListPage? = AListPage()
    while let here = page {
      var reply = try await api.list(folder, page: here.number, refreshing: isRefreshed && here.number == 1)
      if reply.refusesRefresh {
        isRefreshed = false
        reply = try await api.list(folder, page: here.number, refreshing: false)
      }
      if reply.saysMissing { return try await confirmNothing(at: folder) }
      try AListCode.check(reply, folder)
      guard try !reply.entries(in: folder).contains(where: { $0.path.utf8.elementsEqual(path.utf8) }) else {
        throw reply.answer.withEvidence(
          Failure(.server, "\(api.origin) lists \(path) and says that it is not there", hint: "try again later", retryable: true))
      }
      page = try here.next(after: reply, of: folder)
    }
    // The driver of local files remembers no listing.
    if !isRefreshed, try await api.look(at: folder).driver?.lowercased() != "local" {
      throw Failure(
        .auth, "\(api.origin) may only remember that \(path) is not there, and this user may not have it look again",
        hint: "a user who may upload to the folder may")
    }
  }
}

/// Where one is in the list of a folder. A server may give shorter pages than it was asked for, so what came is counted, not what was to come.
struct AListPage {
  /// From 1 on.
  private(set) var number = 1
  /// How many entries were on the pages before.
  private var seen = 0

  init() {}

  /// Nil if it is no text of one.
  init?(_ text: String) {
    let numbers = text.split(separator: " ").compactMap { Int($0) }
    guard numbers.count == 2 else { return nil }
    (number, seen) = (numbers[0], numbers[1])
  }

  var text: String { "\(number) \(seen)" }

  /// - Parameter reply: what came as this page.
  /// - Returns: nil if it is the last one.
  /// - Throws: `protocol` if the list ends before it has as many entries as the server says.
  func next(after reply: AListReply, of folder: String) throws(Failure) -> AListPage? {
    let (count, total) = (reply.data?["content"]?.array?.count ?? 0, reply.data?["total"]?.integer ?? 0)
    var next = self
    next.number = number.addingSaturated(1)
    next.seen = seen.addingSaturated(count)
    guard Int64(next.seen) < total else { return nil }
    guard count > 0 else {
      throw reply.answer.withEvidence(Failure(.protocol, "the list of \(folder) ends after \(seen) of \(total) entries"))
    }
    return next
  }
}

/// What `fs/get` said of an object a moment ago, so that it need not be asked for each part of it.
final class AListPlace: Sendable {
  /// Short for what may be replaced at any time, long for what is asked many times a second.
  private static let validity = Duration.seconds(10)
  private static let freshness = Duration.seconds(1)

  private struct State {
    var hasEnded = false
    /// What the first answer with bytes of it told.
    var version: String?
  }

  let look: AListLook
  private let moment = ContinuousClock.now
  private let state = Mutex(State())

  init(_ look: AListLook) { self.look = look }

  /// Whether it was asked for just now.
  var isFresh: Bool { moment.duration(to: .now) < AListPlace.freshness }
  var isSpent: Bool { state.withLock { $0.hasEnded } || look.finding.stored == nil || moment.duration(to: .now) > AListPlace.validity }

  /// Has it asked for anew.
  func end() { state.withLock { $0.hasEnded = true } }

  /// Whether an answer that is a part is of the object that it told of, and of that which the first such answer was of.
  func isSame(_ answer: HTTPAnswer, at path: String) -> Bool {
    guard answer.status == 206 else { return true }
    let stored = Stored(path, answer)
    if let size = look.finding.stored?.size, let other = stored.size, other != size { return false }
    return state.withLock { state in
      guard let first = state.version, let other = stored.version else {
        state.version = stored.version
        return true
      }
      return Stored.mayBe(first, other)
    }
  }
}

/// The places of a run. Several parts of an object are asked for at once, and its place once.
final class AListPlaces: Sendable {
  private let api: AListAPI
  private let asked = SingleFlight<AListPlace>()

  init(_ api: AListAPI) { self.api = api }

  func place(of path: String) async throws(Failure) -> AListPlace {
    try await asked.value(of: path, unless: \.isSpent) { [api] () throws(Failure) in AListPlace(try await api.look(at: path)) }
  }
}

/// Counts what goes through.
final class ByteCounter: ByteSink {
  private let sink: any ByteSink
  private let taken = Atomic<Int64>(0)

  init(_ sink: any ByteSink) { self.sink = sink }

  var count: Int64 { taken.load(ordering: .relaxed) }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    taken.wrappingAdd(Int64(bytes.count), ordering: .relaxed)
    return sink.take(bytes)
  }

  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { sink.isReady(go) }
}

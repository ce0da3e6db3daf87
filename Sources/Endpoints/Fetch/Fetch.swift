public import BytePath
import Synchronization

/// One object, or the parts of a set one behind the other, on its way from a store: several pieces at a time where the store lets them be read so,
/// and after a cut what is missing alone. It is one version of an object or a failure, never a mixture.
public final class Fetch: Sendable {
  /// A part of what is fetched: all of one object at the store.
  struct Portion: Sendable {
    let stored: Stored
    /// What it must have.
    let checksum: Checksum?
    /// In the whole, in bytes; up to `Int64.max` if the length is not known.
    let range: Range<Int64>
  }

  /// How many pieces are on their way at a time.
  private static let lanes = 4
  /// Bytes of a piece, the least, and the most as long as there are few pieces.
  private static let pieceSizes: ClosedRange<Int64> = 8 << 20...64 << 20
  /// An object has about as many pieces as this if their size allows it.
  private static let pieceCount: Int64 = 32
  /// More pieces are not made whatever their size, and whatever length a server claims.
  private static let mostPieces: Int64 = 1 << 17
  /// An attempt that brings less than this, in bytes, counts as one that brings nothing.
  private static let progress: Int64 = 64 << 10

  let store: any Store
  let portions: [Portion]
  private let policy: @Sendable (Int, Failure, ContinuousClock.Instant) -> Duration?
  private let note: @Sendable (Failure, Duration) -> Void
  private let tries = Atomic(1)
  private let lacksProof = Atomic(false)
  private let mustBeginAnew = Atomic(false)

  /// - Parameters:
  ///   - objects: as they were found. One alone may be of unknown length.
  ///   - checksums: those that the parts of a set must have, which are checked when they are handed on in order; none for a lone object.
  ///   - retry: how long to wait after so many attempts without progress, of which the last one failed so and the first began then; nil if there
  ///     is to be no other.
  ///   - note: tells the user of an attempt that failed, and how long it is until the next one.
  public init(
    of objects: [Stored], checksums: [Checksum] = [], from store: any Store,
    retry: @escaping @Sendable (Int, Failure, ContinuousClock.Instant) -> Duration?,
    note: @escaping @Sendable (Failure, Duration) -> Void
  ) {
    self.store = store
    policy = retry
    self.note = note
    var offset: Int64 = 0
    portions = objects.enumerated().map { index, stored in
      let end = stored.size.map { offset.addingSaturated($0) } ?? .max
      defer { offset = end }
      return Portion(stored: stored, checksum: checksums.indices.contains(index) ? checksums[index] : nil, range: offset..<end)
    }
  }

  /// How often the store was asked for bytes until it gave them.
  public var attempts: Int { tries.load(ordering: .relaxed) }
  /// Whether nothing says that all bytes have come but the end of the connection.
  public var isUnproven: Bool { lacksProof.load(ordering: .relaxed) }
  /// Whether what has come in order is of no use to go on with, as the store can't read from there on.
  public var mayBeginAnew: Bool { mustBeginAnew.load(ordering: .relaxed) }
  /// In bytes, if that is known.
  public var length: Int64? { portions.last.map(\.range.upperBound).flatMap { $0 == .max ? nil : $0 } }

  /// How what is fetched is cut.
  public var pieces: [Range<Int64>] {
    let total = length ?? 0
    let mebibyte: Int64 = 1 << 20
    let wanted = (total / Fetch.pieceCount + mebibyte - 1) / mebibyte * mebibyte
    let size = max(min(max(wanted, Fetch.pieceSizes.lowerBound), Fetch.pieceSizes.upperBound), total / Fetch.mostPieces)
    return portions.flatMap { portion -> [Range<Int64>] in
      guard readsInParts(portion) else { return [portion.range] }
      return stride(from: portion.range.lowerBound, to: portion.range.upperBound, by: Int64.Stride(size)).map {
        $0..<min($0.addingSaturated(size), portion.range.upperBound)
      }
    }
  }

  private func readsInParts(_ portion: Portion) -> Bool {
    portion.range.upperBound != .max && !portion.range.isEmpty && !portion.stored.isYoung && store.readsInParts(portion.stored.path)
  }

  // MARK: Into a spool

  /// Brings what the spool lacks. It is told of the end, or of the failure.
  public func run(into spool: PartialSpool) async throws(Failure) {
    do throws(Failure) {
      do throws(Failure) {
        try await fetchPieces(into: spool)
      } catch {
        // Not every server knows parts, and some say so in odd ways.
        guard error.kind == .protocol, spool.count == spool.resumed else { throw error }
        for portion in portions { try await fetchWhole(portion, into: spool) }
      }
      guard spool.end() != nil else { throw Failure(.protocol, "\(portions[0].stored.path) did not come whole") }
    } catch {
      let failure = Task.isCancelled ? .interrupted : error
      spool.fail(failure)
      throw failure
    }
  }

  private func fetchPieces(into spool: PartialSpool) async throws(Failure) {
    let queue = Queue(spool.pieces.indices)
    let result = await withTaskGroup(of: Result<Void, Failure>.self) { group in
      for _ in 0..<(store.serialKey == nil ? Fetch.lanes : 1) {
        group.addTask { [self] in
          do throws(Failure) {
            while let index = queue.next() { try await fetch(piece: index, into: spool) }
            return .success(())
          } catch {
            return .failure(error)
          }
        }
      }
      var result = Result<Void, Failure>.success(())
      for await ended in group {
        guard case .failure = ended, case .success = result else { continue }
        result = ended
        group.cancelAll()
      }
      return result
    }
    try result.get()
  }

  private func fetch(piece index: Int, into spool: PartialSpool) async throws(Failure) {
    let piece = spool.pieces[index]
    guard let portion = portion(of: piece) else { return }
    guard readsInParts(portion) else { return try await fetchWhole(portion, into: spool) }
    let offset = portion.range.lowerBound
    try await trying(portion, progress: { spool.next(ofPiece: index) }) { () throws(Failure) in
      let start = spool.next(ofPiece: index)
      guard start < piece.upperBound else { return }
      let sink = SpoolSink(spool, at: start, limit: piece.upperBound)
      try await self.read(portion, (start - offset)..<(piece.upperBound - offset), into: sink)
    }
  }

  /// By bisection, as a set may have many parts.
  private func portion(of piece: Range<Int64>) -> Portion? {
    var (low, high) = (0, portions.count)
    while low < high {
      let middle = (low + high) / 2
      if portions[middle].range.upperBound < piece.upperBound { low = middle + 1 } else { high = middle }
    }
    return low < portions.count ? portions[low] : nil
  }

  /// Reads all of an object at the store. What another attempt has got of it is compared.
  private func fetchWhole(_ portion: Portion, into spool: PartialSpool) async throws(Failure) {
    try await trying(portion, progress: { spool.count }) { () throws(Failure) in
      let sink = SpoolSink(spool, at: portion.range.lowerBound, limit: portion.range.upperBound)
      try await self.read(portion, nil, into: sink)
      // Where the length is not known beforehand, another attempt may have got more.
      guard portion.range.upperBound < .max || spool.count == sink.count else { throw .replaced(portion.stored.path) }
    }
  }

  // MARK: In order

  /// Hands the bytes on as they come. It is told of the end, or of the failure.
  public func run(into feed: StreamFeed) async throws(Failure) {
    do throws(Failure) {
      for portion in portions { try await stream(portion, into: feed) }
      feed.end()
    } catch {
      let failure = Task.isCancelled ? .interrupted : error
      feed.fail(failure)
      throw failure
    }
  }

  private func stream(_ portion: Portion, into feed: StreamFeed) async throws(Failure) {
    let end = Int64(portion.range.count)
    let course = Course(portion.checksum?.algorithm)
    try await trying(portion, progress: { course.done }) { () throws(Failure) in
      let start = course.done
      guard start < end || end == 0 else { return }
      do throws(Failure) {
        try await self.read(portion, start == 0 ? nil : start..<end, into: PassingSink(feed, limit: end - start, course))
      } catch {
        // Not every server knows parts.
        let isWithoutParts = start > 0 && error.kind == .protocol && !error.isRetryable
        guard course.done > 0, isWithoutParts || !self.readsInParts(portion) else { throw error }
        self.mustBeginAnew.store(true, ordering: .relaxed)
        throw isWithoutParts ? Failure(.server, "\(error.message), and it was cut", retryable: true) : error
      }
    }
    if let checksum = portion.checksum, course.checksum != checksum { throw .foreignPart(portion.stored.path) }
  }

  // MARK: One request

  /// Asks again as often as that may help. An attempt that has got something makes the count begin anew.
  ///
  /// - Parameter progress: bytes that are there.
  private func trying(
    _ portion: Portion, progress: () -> Int64, _ attempt: () async throws(Failure) -> Void
  ) async throws(Failure) {
    var (count, start) = (0, ContinuousClock.now)
    while true {
      let before = progress()
      do throws(Failure) { return try await attempt() } catch {
        let failure = error
        if progress() - before < Fetch.progress { count += 1 } else { (count, start) = (1, .now) }
        guard !Task.isCancelled else { throw .interrupted }
        guard !mayBeginAnew, let wait = policy(count, failure, start) else { throw failure }
        tries.add(1, ordering: .relaxed)
        note(failure, wait)
        do { try await Task.sleep(for: wait) } catch { throw .interrupted }
      }
    }
  }

  /// Asks once for all of an object or for a part of it, and looks at what came.
  private func read(_ portion: Portion, _ range: Range<Int64>?, into sink: any FetchSink) async throws(Failure) {
    let (path, known) = (portion.stored.path, portion.stored)
    let finding: Finding
    do throws(Failure) { finding = try await store.read(path, range, of: known.version, into: sink) } catch {
      throw sink.failure ?? error
    }
    if let failure = sink.failure { throw failure }
    switch finding {
    case .nothing:
      guard known.size == nil, known.version == nil else { throw .replaced(path) }
      try await store.confirmNothing(at: path)
      throw .missing(path, in: store)
    case .untold(let failure): throw failure
    case .stored(let told):
      if let size = told.size, let expected = known.size, size != expected { throw .replaced(path) }
      guard let expected = range.map({ Int64($0.count) }) ?? told.size ?? known.size else {
        return lacksProof.store(true, ordering: .relaxed)
      }
      guard sink.count == expected else {
        throw Failure(.server, "\(store.kind.title) sent \(sink.count) bytes of \(path) instead of \(expected)", retryable: true)
      }
    }
  }
}

extension Failure {
  /// There is no such object, and that is certain.
  public static func missing(_ path: String, in store: any Store) -> Failure {
    Failure(.missing, "\(path) does not exist", hint: store.hasLists ? "sluice ls shows what is there" : nil)
  }
}

extension Failure {
  /// A part of a set has other bytes than its manifest says.
  public static func foreignPart(_ path: String) -> Failure {
    Failure(
      .input, "\(path) is not the part that the manifest lists: its SHA-256 is another", hint: "it is of another set, or was changed")
  }
}

/// Numbers that are handed out once each.
private final class Queue: Sendable {
  private let rest: Mutex<Range<Int>>

  init(_ numbers: Range<Int>) { rest = Mutex(numbers) }

  func next() -> Int? { rest.withLock { $0.popFirst() } }
}

/// A sink that knows what it has taken.
private protocol FetchSink: ByteSink {
  /// Bytes.
  var count: Int64 { get }
  /// Why it takes no more.
  var failure: Failure? { get }
}

/// Writes what comes into a spool.
private final class SpoolSink: FetchSink {
  private let spool: PartialSpool
  private let start: Int64
  private let limit: Int64
  private let state = Mutex<(count: Int64, failure: Failure?)>((0, nil))

  /// - Parameters:
  ///   - start: of the first byte in the spool.
  ///   - limit: where the last one may end.
  init(_ spool: PartialSpool, at start: Int64, limit: Int64) {
    self.spool = spool
    self.start = start
    self.limit = limit
  }

  var count: Int64 { state.withLock { $0.count } }
  var failure: Failure? { state.withLock { $0.failure } }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let offset = start + count
    do throws(Failure) {
      guard Int64(bytes.count) <= limit - offset else { throw .tooLong }
      try spool.write(bytes, at: offset)
      state.withLock { $0.count += Int64(bytes.count) }
      return true
    } catch {
      state.withLock { $0.failure = error }
      return false
    }
  }
}

/// What has been handed on of a portion by all attempts.
private final class Course: Sendable {
  private let state: Mutex<(bytes: Int64, hash: RunningHash?)>

  /// - Parameter algorithm: of the hash to compute, if one is wanted.
  init(_ algorithm: HashAlgorithm?) { state = Mutex((0, algorithm.map { RunningHash($0) })) }

  /// In bytes.
  var done: Int64 { state.withLock { $0.bytes } }
  var checksum: Checksum? { state.withLock { $0.hash?.finalized() } }

  func add(_ bytes: UnsafeRawBufferPointer) {
    state.withLock { state in
      state.bytes += Int64(bytes.count)
      state.hash?.update(bytes)
    }
  }
}

/// Hands on what comes.
private final class PassingSink: FetchSink {
  private let feed: StreamFeed
  private let limit: Int64
  private let course: Course
  private let state = Mutex<(count: Int64, failure: Failure?)>((0, nil))

  init(_ feed: StreamFeed, limit: Int64, _ course: Course) {
    self.feed = feed
    self.limit = limit
    self.course = course
  }

  var count: Int64 { state.withLock { $0.count } }
  var failure: Failure? { state.withLock { $0.failure } }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let isTooLong = state.withLock { state in
      guard Int64(bytes.count) > limit - state.count else {
        state.count += Int64(bytes.count)
        return false
      }
      state.failure = .tooLong
      return true
    }
    guard !isTooLong else { return false }
    guard feed.take(bytes) else {
      // The reader has gone, which is no fault of who brings the bytes.
      state.withLock { $0.failure = .interrupted }
      return false
    }
    course.add(bytes)
    return true
  }

  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { feed.isReady(go) }
}

extension Failure {
  /// Says nothing of the reason: another object may have come, or a page in its stead.
  fileprivate static let tooLong = Failure(.protocol, "more bytes came than were asked for")
}

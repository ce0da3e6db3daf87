import BytePath
import Synchronization

/// Sends the parts of an object that the server has not yet, some at a time.
struct S3Sending: Sendable {
  let session: S3Session
  let plan: S3PartPlan
  /// What every part's call has.
  let call: S3Call
  let upload: Upload
  let api: S3API
  /// What the server says it has.
  let listed: [Int: S3ListedPart]
  /// What this run sent itself.
  let known: [Int: S3Part]
  let memory: S3Memory
  var concurrency = 1

  init(
    session: S3Session, plan: S3PartPlan, call: S3Call, upload: Upload, api: S3API, listed: [Int: S3ListedPart], known: [Int: S3Part],
    memory: S3Memory
  ) {
    self.session = session
    self.plan = plan
    self.call = call
    self.upload = upload
    self.api = api
    self.listed = listed
    self.known = known
    self.memory = memory
  }

  /// - Returns: all parts by their numbers.
  /// - Throws: the failure that counts most: one that stays before one that may pass.
  func run() async throws(Failure) -> [Int: S3Part] {
    let queue = Queue(plan.numbers)
    await withTaskGroup(of: Failure?.self) { group in
      for _ in 0..<concurrency { group.addTask { await self.sendParts(of: queue) } }
      for await failure in group {
        guard let failure else { continue }
        // Those under way may end, so that they need not be sent again, unless nothing will come of it.
        if !failure.isRetryable { group.cancelAll() }
      }
    }
    if Task.isCancelled { throw .interrupted }
    if let failure = queue.failure { throw failure }
    return queue.parts
  }

  /// Sends one part after the other. While one is on its way the hashes of the next are made, which the head of its request needs.
  private func sendParts(of queue: Queue) async -> Failure? {
    var next = await prepared(queue.next())
    while let part = next {
      async let following = prepared(queue.next())
      do throws(Failure) {
        queue.add(try await send(part), part.number)
      } catch {
        queue.end(error)
        return error
      }
      next = await following
    }
    return nil
  }

  /// A part with what must be known of it before it is sent.
  private struct Prepared: Sendable {
    let number: Int
    let part: Result<S3Part, Failure>
    /// Whether the server has it.
    var isThere = false
  }

  private func prepared(_ number: Int?) async -> Prepared? {
    guard let number else { return nil }
    let range = plan.range(of: number)
    if let known = known[number], let listed = listed[number], listed.etag == known.etag, listed.size == range.count {
      return Prepared(number: number, part: .success(known), isThere: true)
    }
    do throws(Failure) {
      let digests = try await upload.payload.digests([.sha256, .md5], of: range)
      let part = S3Part(etag: listed[number]?.etag ?? "", md5: digests[1], sha256: digests[0])
      let isThere = listed[number]?.isSame(md5: part.md5, sha256: part.sha256, size: Int64(range.count)) == true
      return Prepared(number: number, part: .success(part), isThere: isThere)
    } catch {
      return Prepared(number: number, part: .failure(error))
    }
  }

  /// Sends the part if need be. Returns it as the server has it.
  private func send(_ prepared: Prepared) async throws(Failure) -> S3Part {
    var part = try prepared.part.get()
    let range = plan.range(of: prepared.number)
    let meter = Meter(partOf: upload.meter)
    if prepared.isThere {
      meter.setSent(Int64(range.count))
    } else {
      var call = call
      call.query = [("partNumber", "\(prepared.number)"), ("uploadId", session.id)]
      call.bodyHash = part.sha256
      if session.hasChecksums { call.headers.append(("x-amz-checksum-sha256", part.sha256.base64)) }
      call.body = HTTPBody(payload: upload.payload, part: range, meter: meter)
      call.isUpload = true
      call.rateShare = concurrency
      part.etag = try check(try await api.send(call), prepared.number, part.md5)
    }
    memory.add(part, prepared.number, to: session.id)
    return part
  }

  /// The entity tag of a part that was sent.
  private func check(_ answer: HTTPAnswer, _ number: Int, _ md5: Checksum) throws(Failure) -> String {
    if var failure = answer.s3Failure(api.origin, "put part \(number) of \(upload.path)") {
      // The next attempt finds that out and begins anew.
      if S3Error(answer)?.code == "NoSuchUpload" { (failure.kind, failure.isRetryable) = (.server, true) }
      throw failure
    }
    guard answer.isAfterWholeBody else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) reports success before it had part \(number)", retryable: true))
    }
    guard let etag = answer.etag else {
      throw answer.withEvidence(Failure(.protocol, "\(api.origin) gives no ETag to part \(number) of \(upload.path)"))
    }
    if let tag = answer.digestTag, call.object.hasDigestTags, tag != md5.hex {
      throw answer.withEvidence(
        Failure(.server, "part \(number) of \(upload.path) did not arrive as it was sent: its ETag is \(tag)", retryable: true))
    }
    return etag
  }
}

/// The numbers of the parts that are still to be sent, and what has come of the others.
private final class Queue: Sendable {
  private struct State {
    var waiting: ClosedRange<Int>.Iterator
    var parts: [Int: S3Part] = [:]
    var failure: Failure?
  }

  private let state: Mutex<State>

  init(_ numbers: ClosedRange<Int>) { state = Mutex(State(waiting: numbers.makeIterator())) }

  var parts: [Int: S3Part] { state.withLock { $0.parts } }
  var failure: Failure? { state.withLock { $0.failure } }

  /// Nil if there are no more, or one has failed.
  func next() -> Int? { state.withLock { $0.failure == nil ? $0.waiting.next() : nil } }

  func add(_ part: S3Part, _ number: Int) { state.withLock { $0.parts[number] = part } }

  /// Gives out no more numbers. Parts that were cancelled for the sake of one that stays say nothing new.
  func end(_ failure: Failure) {
    state.withLock { state in
      if state.failure.map({ $0.isRetryable && !failure.isRetryable && failure.kind != .interrupted }) ?? true { state.failure = failure }
    }
  }
}

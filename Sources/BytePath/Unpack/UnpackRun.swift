import Synchronization

/// One run that unpacks an object: its threads and child processes, wired together.
///
/// ```
/// reader ─► stored ─┬─► filters ─► drain ─► filtered ─► inflater ─► unpacked ─┬─► writer ─► spool, pipe
///                   └─► a hasher for each hash                                └─► hasher
/// ```
/// Members of an object that can be read at any place are unpacked side by side: the inflater is the leader of `MembersAhead`, and has a scanner and
/// helpers beside it.
///
/// Each `─►` with a name is a ring of blocks, each other word a thread or a child; stages that the plan does not have are left out. As in a
/// `FillRun`, whoever finds the first thing wrong says so in `fail`: that stops the rings and wakes the reader, closed pipes end the children,
/// and the first failure is the one that is reported.
final class UnpackRun: Sendable {
  /// Bytes on their way between two stages. The ring's consumer 0 takes them on, those behind it hash.
  private struct Flow: Sendable {
    let ring: BlockRing
    let hashes: [ObjectHash]

    init(hashing algorithms: Set<HashAlgorithm>) {
      hashes = algorithms.map(ObjectHash.init)
      ring = BlockRing(count: 8, hasWorkers: false, consumers: 1 + hashes.count)
    }

    var sha256: Checksum? { hashes.lazy.map(\.digest).first { $0.algorithm == .sha256 } }
  }

  private static let taker = 0
  /// Each has half a megabyte.
  private static let mostHelpers = 16

  private let feed: any ByteFeed
  private let plan: UnpackPlan
  private let meter: Meter
  private let interrupt: Interrupt
  private let filters: FilterChain?
  private let stored: Flow
  private let filtered: Flow?
  private let unpacked: Flow?
  private let writer: UnpackWriter
  /// Members that are unpacked side by side, where that can be.
  private let ahead: MembersAhead?
  private let target: UnpackWriter.Target
  /// Bytes of the object.
  private let storedCount = Atomic<Int64>(0)
  private let firstFailure = Mutex<Failure?>(nil)

  init(
    _ feed: any ByteFeed, _ plan: UnpackPlan, hashing: Set<HashAlgorithm>, to target: UnpackWriter.Target, _ meter: Meter
  ) throws(Failure) {
    self.feed = feed
    self.plan = plan
    self.meter = meter
    self.target = target
    interrupt = try Interrupt()
    filters = plan.filters.isEmpty ? nil : try FilterChain(plan.filters, interrupt)
    stored = Flow(hashing: hashing.union([.sha256]))
    filtered = filters == nil ? nil : Flow(hashing: plan.gunzips ? [] : [.sha256])
    unpacked = plan.gunzips ? Flow(hashing: [.sha256]) : nil
    writer = UnpackWriter(target, interrupt, meter)
    let isAnywhere = plan.gunzips && filters == nil && plan.threads > 1 && feed is any ByteStore
    ahead = isAnywhere ? target.spool.map { MembersAhead(leastSegment: plan.leastSegment, $0) } : nil
  }

  /// What the writer takes.
  private var output: Flow { unpacked ?? filtered ?? stored }

  /// Runs everything to its end.
  ///
  /// - Throws: the first failure.
  func result() async throws(Failure) -> Unpacked {
    await withTaskCancellationHandler {
      await withTaskGroup(of: Void.self) { group in
        for index in filters?.indices ?? 0..<0 {
          group.addTask { await self.runFilter(index) }
        }
        self.startThreads(in: &group)
        while await group.next() != nil {
          // Filters that wait for input, or produce output without end, are told to go.
          if self.firstFailure.withLock({ $0 != nil }) { group.cancelAll() }
        }
      }
    } onCancel: {
      self.fail(.interrupted)
    }
    if let failure = firstFailure.withLock({ $0 }) { throw failure }
    guard let sha256 = output.sha256 else { preconditionFailure("the SHA-256 of what comes out is always computed") }
    let length = storedCount.load(ordering: .relaxed)
    var payload: Payload?
    if let spool = target.spool { payload = Payload(spool: spool, length: writer.written, inputLength: length, digests: [sha256]) }
    return Unpacked(
      objectLength: length, objectDigests: stored.hashes.map(\.digest), outputLength: writer.written, outputDigest: sha256,
      payload: payload, handedOver: writer.handedOver, hasReaderGone: writer.hasReaderGone)
  }

  private func startThreads(in group: inout TaskGroup<Void>) {
    group.addTask { await self.thread { () throws(Failure) in try self.read() } }
    if filters != nil {
      group.addTask { await self.thread { () throws(Failure) in try self.filter() } }
      group.addTask { await self.thread { () throws(Failure) in try self.drain() } }
    }
    if plan.gunzips { group.addTask { await self.thread { () throws(Failure) in try self.inflate() } } }
    if let ahead, let store = feed as? any ByteStore {
      group.addTask { await self.thread { () throws(Failure) in MemberScanner.scan(store, ahead) } }
      for _ in 0..<min(plan.threads, UnpackRun.mostHelpers) {
        group.addTask { await self.thread { () throws(Failure) in try MemberHelper(store, ahead).run() } }
      }
    }
    group.addTask { await self.thread { () throws(Failure) in try self.write() } }
    for flow in [stored, filtered, unpacked].compactMap(\.self) {
      for (index, hash) in flow.hashes.enumerated() {
        group.addTask { await self.thread { () throws(Failure) in try self.compute(hash, of: flow, as: UnpackRun.taker + 1 + index) } }
      }
    }
  }

  private func thread(_ work: @escaping @Sendable () throws(Failure) -> Void) async {
    do throws(Failure) { try await onThread(work) } catch { fail(error) }
  }

  private func runFilter(_ index: Int) async {
    do throws(Failure) { try await filters?.run(index, hint: "what comes out of it is not to be trusted") } catch { fail(error) }
  }

  private func fail(_ failure: Failure) {
    firstFailure.withLock { first in
      if first == nil { first = failure }
    }
    for flow in [stored, filtered, unpacked] { flow?.ring.stop() }
    ahead?.stop()
    feed.stop()
    interrupt.trigger()
  }

  /// The reader thread.
  private func read() throws(Failure) {
    try fill(stored) { (buffer) throws(Failure) in
      let count = try feed.read(into: buffer)
      storedCount.add(Int64(count), ordering: .relaxed)
      meter.addInput(count)
      return count
    }
  }

  /// The thread before the first filter.
  private func filter() throws(Failure) {
    try consume(stored) { (block) throws(Failure) in try filters?.deliver(block.inputBytes) }
    filters?.end()
  }

  /// The thread behind the last filter.
  private func drain() throws(Failure) {
    guard let output = filters?.output, let filtered else { return }
    let source = Source(output, name: "the filter's output", interrupt: interrupt)
    try fill(filtered) { (buffer) throws(Failure) in try source.read(into: buffer, whole: false) }
    try? output.close()
  }

  /// The inflater thread.
  private func inflate() throws(Failure) {
    guard let unpacked else { return }
    defer { ahead?.stop() }
    var gunzip = try Gunzip(filters == nil ? plan.name : "the filter's output", ahead: ahead)
    let packer = BlockPacker(unpacked.ring, target.spool)
    try consume(filtered ?? stored) { (block) throws(Failure) in try gunzip.take(block.inputBytes, to: packer) }
    try gunzip.end()
    packer.end()
  }

  /// The writer thread.
  private func write() throws(Failure) {
    try consume(output) { (block) throws(Failure) in try writer.append(block.inputBytes, isInPlace: block.isInPlace) }
  }

  /// A hasher thread.
  private func compute(_ hash: ObjectHash, of flow: Flow, as consumer: Int) throws(Failure) {
    try consume(flow, as: consumer) { (block) throws(Failure) in hash.update(block.inputBytes) }
  }

  /// Fills blocks with what `read` gets until that is nothing.
  private func fill(_ flow: Flow, _ read: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int) throws(Failure) {
    while let block = flow.ring.blockToFill() {
      block.inputCount = try read(block.input)
      guard block.inputCount > 0 else { break }
      flow.ring.filled()
    }
    flow.ring.close()
  }

  /// Takes the blocks from the ring in their order.
  ///
  /// - Throws: `interrupted` if something else has failed, so that what has been given on does not look complete.
  private func consume(
    _ flow: Flow, as consumer: Int = UnpackRun.taker, _ take: (Block) throws(Failure) -> Void
  ) throws(Failure) {
    while let block = flow.ring.block(for: consumer) {
      try take(block)
      flow.ring.consumed(by: consumer)
    }
    if firstFailure.withLock({ $0 != nil }) { throw .interrupted }
  }
}

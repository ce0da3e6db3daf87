import Synchronization

/// One run of the byte path: its threads and child processes, wired together.
///
/// ```
/// reader thread ─► ring of blocks ─► (gzip workers) ─┬─► writer thread ─► spool
///      └─► guards, tee                               ├─► a hasher thread for each hash of the object
///                                                    └─► one for the input, if the object is another one
/// ```
/// With filters the object is what comes out of them:
/// ```
/// … ─► writer thread ─► first filter ─► … ─► last filter ─► drain thread ─► hash, spool
/// ```
/// All pipes are made before the first child is started. Whoever finds the first thing wrong says so in `fail`: that stops the ring and
/// wakes the reader, closed pipes end the children, and the first failure is the one that is reported.
final class FillRun: Sendable {
  /// The consumer of the ring that writes; those behind it hash.
  private static let writer = 0

  private let plan: FillPlan
  private let meter: Meter
  private let ring: BlockRing
  private let interrupt: Interrupt
  private let source: Source
  /// The write end of the pipe that a command fills.
  private let commandOutput: Descriptor?
  /// What the writer's bytes go through, if there is something.
  private let filters: FilterChain?
  private let guards: [Guard]
  private let object: any ObjectSink
  /// That of the input; nil if the object is the input.
  private let inputHash: ObjectHash?
  private let firstFailure = Mutex<Failure?>(nil)
  /// What a regular file that was named was when it was opened; nil for any other input.
  private let opened: stat?
  /// The CRC-32 of what was read of it.
  private let checksum = Atomic<UInt>(0)

  /// - Parameters:
  ///   - file: the opened file or named pipe of an input that is one.
  ///   - object: where the object goes.
  /// - Throws: `input` if the input can't be opened, `spool` if the process has no descriptors left.
  init(_ plan: FillPlan, _ file: Descriptor?, to object: any ObjectSink, _ meter: Meter) throws(Failure) {
    self.plan = plan
    self.meter = meter
    self.object = object
    inputHash = plan.changesInput ? ObjectHash(.sha256) : nil
    interrupt = try Interrupt()
    let hashers = (plan.filters.isEmpty ? object.hashes.count : 0) + (inputHash == nil ? 0 : 1)
    ring = BlockRing(count: plan.ringSize, hasWorkers: plan.gzip != nil, consumers: 1 + hashers)
    opened = file.flatMap { try? $0.status() }.flatMap { $0.isRegularFile ? $0 : nil }
    switch (plan.input, file) {
    case (.command, _):
      let pipe = try makePipe()
      source = Source(pipe.read, name: "the command's output", isCommand: true, interrupt: interrupt)
      commandOutput = pipe.write
    case (.path(let path), let file?):
      source = Source(file, name: path, interrupt: interrupt)
      commandOutput = nil
    default:
      source = try Source.standardInput(interrupt)
      commandOutput = nil
    }
    guards = try plan.guards.map { (line) throws(Failure) in Guard(line: line, pipe: try makePipe()) }
    filters = plan.filters.isEmpty ? nil : try FilterChain(plan.filters, interrupt)
  }

  /// Bytes of the object, where they can be known before: the input is a regular file and nothing changes it.
  var expectedObjectLength: Int64? { plan.gzip == nil && filters == nil ? source.rest : nil }

  /// Runs everything to its end.
  ///
  /// - Returns: the hashes of the object, and the SHA-256 of the input if the object is another one.
  /// - Throws: the first failure.
  func result() async throws(Failure) -> (object: [Checksum], input: Checksum?) {
    await withTaskCancellationHandler {
      await withTaskGroup(of: Void.self) { group in
        if let commandOutput { group.addTask { await self.runInputCommand(commandOutput) } }
        for index in filters?.indices ?? 0..<0 {
          group.addTask { await self.runFilter(index) }
        }
        for item in guards {
          group.addTask { await self.run(item) }
        }
        group.addTask { await self.thread { () throws(Failure) in try self.read() } }
        group.addTask { await self.thread { () throws(Failure) in try self.write() } }
        if let output = filters?.output {
          group.addTask { await self.thread { () throws(Failure) in try self.drain(output) } }
        } else {
          for (index, hash) in object.hashes.enumerated() {
            group.addTask { await self.thread { () throws(Failure) in try self.compute(hash, consumer: FillRun.writer + 1 + index) } }
          }
        }
        if let inputHash { group.addTask { await self.thread { () throws(Failure) in try self.computeOfInput(inputHash) } } }
        while await group.next() != nil {
          // Children that wait for input, or produce it without end, are told to go.
          if self.firstFailure.withLock({ $0 != nil }) { group.cancelAll() }
        }
      }
    } onCancel: {
      self.fail(.interrupted)
    }
    if let failure = firstFailure.withLock({ $0 }) { throw failure }
    try await checkInput()
    return (object.hashes.map(\.digest), inputHash?.digest)
  }

  /// What was read of a file that changed meanwhile never was the file. Rights and names change the last of its times too, and that is no harm;
  /// but so does who puts back the time of a file that he has changed, so that such a file is read again.
  private func checkInput() async throws(Failure) {
    guard let opened else { return }
    try source.checkUnchanged(since: opened)
    guard try !source.isUntouched(since: opened) else { return }
    let (source, checksum) = (source, checksum.load(ordering: .relaxed))
    try await onThread { (isCancelled) throws(Failure) in
      guard try source.checksum(isCancelled) == checksum else { throw source.changed("not by its size or time, but its bytes") }
    }
    try source.checkUnchanged(since: opened)
  }

  private func fail(_ failure: Failure) {
    firstFailure.withLock { first in
      if first == nil { first = failure }
    }
    ring.stop()
    object.stop()
    interrupt.trigger()
  }

  private func thread(_ work: @escaping @Sendable () throws(Failure) -> Void) async {
    do throws(Failure) { try await onThread(work) } catch { fail(error) }
  }

  /// The command that makes the input. When it fails nobody waits for the end of its output, which a child of its own may hold open.
  private func runInputCommand(_ output: Descriptor) async {
    guard case .command(let words) = plan.input else { return }
    let command = Command(program: words)
    do throws(Failure) {
      if let ending = try await command.run(input: nil, output: output) {
        throw Failure(.input, "\(command.description) \(ending)", hint: "nothing was uploaded; run the command by itself to see why")
      }
    } catch {
      fail(error)
    }
  }

  private func runFilter(_ index: Int) async {
    do throws(Failure) {
      try await filters?.run(index, hint: "nothing was uploaded, as its output is not to be trusted")
    } catch {
      fail(error)
    }
  }

  /// A guard, for which nobody waits without end.
  private func run(_ item: Guard) async {
    await withTaskGroup { group in
      group.addTask {
        do throws(Failure) {
          if let ending = try await item.command.run(input: item.input, output: nil) {
            throw Failure(
              .input, "\(item.command.description) \(ending)", hint: "nothing was uploaded, as the input is not to be trusted")
          }
        } catch {
          self.fail(error)
        }
        item.commandHasEnded()
      }
      group.addTask { [patience = plan.guardPatience] in
        do throws(Failure) { try await item.watch(patience: patience) } catch { self.fail(error) }
      }
      await group.next()
      group.cancelAll()
    }
  }

  /// The reader thread: fills blocks, and copies what it read to guards and tee.
  private func read() throws(Failure) {
    let compressor = plan.gzip.map { options in GzipCompressor(options, ring: ring) { [self] in fail($0) } }
    var tee = plan.tee
    var previous: Block?
    while let block = ring.blockToFill() {
      if compressor != nil, let previous { block.prime(with: previous) }
      let count = try source.read(into: block.input, whole: compressor != nil)
      if count == 0, meter.input == 0, plan.minimumBytes == nil { try source.checkMayBeEmpty(hint: plan.hintIfEmpty) }
      block.inputCount = count
      if compressor == nil { block.appendInput(block.inputBytes) }
      block.isLast = compressor == nil ? count == 0 : count < block.input.count
      let isLast = block.isLast
      meter.addInput(count)
      for item in guards { item.write(block.inputBytes, interrupt) }
      do throws(SystemError) { if let tee { _ = try interrupt.writeAll(block.inputBytes, to: tee) } } catch {
        plan.copyEnded(error)
        tee = nil
      }
      let waiting = ring.filled()
      compressor?.blockIsWaiting(waiting)
      if isLast { break }
      previous = block
    }
    ring.close()
    for item in guards { item.close() }
  }

  /// The writer thread: takes the blocks in order to the spool or to the first filter.
  private func write() throws(Failure) {
    var inputCount: Int64 = 0
    var checksum: UInt = 0
    let frame = try consume(as: FillRun.writer) { block in
      inputCount += Int64(block.inputCount)
      if plan.gzip != nil {
        meter.levels.add(block.level)
      } else if opened != nil {
        for piece in block.objectPieces { checksum = updatedChecksum(checksum, piece) }
      }
    } each: { (piece) throws(Failure) in
      try deliver(piece)
    }
    precondition(inputCount == meter.input, "a block of the input was lost on its way")
    self.checksum.store(frame?.checksum ?? checksum, ordering: .relaxed)
    filters?.end()
  }

  /// A hasher thread, which looks at the blocks that the writer writes meanwhile.
  private func compute(_ hash: ObjectHash, consumer: Int) throws(Failure) {
    _ = try consume(as: consumer) { (piece) throws(Failure) in hash.update(piece) }
  }

  /// The last hasher thread, which looks at what the blocks were made of.
  private func computeOfInput(_ hash: ObjectHash) throws(Failure) {
    let consumer = FillRun.writer + 1 + (filters == nil ? object.hashes.count : 0)
    _ = try consume(as: consumer) { block in
      hash.update(block.inputBytes)
    } each: { (_) throws(Failure) in
    }
  }

  /// Takes the blocks from the ring, and gives the bytes of the object on in their order: those of the blocks, with gzip in their frame.
  ///
  /// - Returns: the frame, if there is one.
  /// - Throws: `interrupted` if something else has failed, so that what has been given on does not look complete.
  private func consume(
    as consumer: Int, seeing block: (Block) -> Void = { _ in }, each piece: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) -> GzipFrame? {
    var frame = plan.gzip.map { GzipFrame(level: $0.level) }
    if let frame { try frame.header.span.bytes.withUnsafeBytes(piece) }
    while let next = ring.block(for: consumer) {
      frame?.add(next)
      block(next)
      for bytes in next.objectPieces { try piece(bytes) }
      ring.consumed(by: consumer)
    }
    if firstFailure.withLock({ $0 != nil }) { throw .interrupted }
    if let frame { try frame.trailer.span.bytes.withUnsafeBytes(piece) }
    return frame
  }

  private func deliver(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    if let filters { try filters.deliver(bytes) } else { try object.append(bytes) }
  }

  /// The thread behind the last filter.
  private func drain(_ output: Descriptor) throws(Failure) {
    let filtered = Source(output, name: "the filter's output", interrupt: interrupt)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Block.size, alignment: 4096)
    defer {
      buffer.deallocate()
      try? output.close()
    }
    while true {
      let count = try filtered.read(into: buffer, whole: false)
      if count == 0 { return }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      for hash in object.hashes { hash.update(bytes) }
      try object.append(bytes)
    }
  }
}

extension FillPlan {
  /// How many blocks are under way at the most. Those that wait for a worker also tell how fast the input comes, so a level that follows
  /// the input needs room for what a producer writes at once.
  fileprivate var ringSize: Int {
    guard let gzip else { return 8 }
    return gzip.threads * (gzip.level == .automatic ? 5 : 2) + 3
  }
}

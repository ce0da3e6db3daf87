import Synchronization

/// Where the bytes of the object go. Used by one thread, but for `stop`.
protocol ObjectSink: Sendable {
  /// Those of the whole object that are computed while it passes.
  var hashes: [ObjectHash] { get }

  /// - Throws: `spool`, or `interrupted` after `stop`.
  func append(_ bytes: UnsafeRawBufferPointer) throws(Failure)

  /// Ends a wait of `append`: the run has failed.
  func stop()
}

extension ObjectSink {
  func stop() {}
}

/// A sink that keeps the object in one spool, or nowhere.
final class ObjectWriter: ObjectSink {
  let hashes: [ObjectHash]
  private let spool: Spool?
  private let meter: Meter
  private let limit: Int64?

  init(_ spool: Spool?, _ meter: Meter, _ plan: FillPlan) {
    self.spool = spool
    self.meter = meter
    limit = plan.maximumSpool
    hashes = plan.hashes.union([.sha256]).map(ObjectHash.init)
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    guard let spool else { return }
    if let limit, meter.object.addingSaturated(Int64(bytes.count)) > limit {
      throw Failure(
        .spool, "the object has more than the \(limit) bytes of --max-spool", hint: "raise --max-spool, or make the input shorter")
    }
    try spool.append(bytes, after: meter.object)
    meter.addObject(bytes.count)
  }
}

/// A hash of the object. Used by one thread, and asked for the digest when that has ended.
final class ObjectHash: Sendable {
  private let hash: Mutex<RunningHash>

  init(_ algorithm: HashAlgorithm) { hash = Mutex(RunningHash(algorithm)) }

  func update(_ bytes: UnsafeRawBufferPointer) {
    hash.withLock { $0.update(bytes) }
  }

  var digest: Checksum { hash.withLock { $0.finalized() } }
}

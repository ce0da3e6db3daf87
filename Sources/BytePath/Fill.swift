/// What becomes of the input before it is sent.
public struct FillPlan: Sendable {
  public var input: Input
  public var gzip: GzipOptions?
  /// Lines for `sh -c`, each a filter behind the one before.
  public var filters: [String] = []
  /// Lines for `sh -c` that must accept the input as it came.
  public var guards: [String] = []
  /// How long a guard may take no bytes that it is given, and how long it may go on after the last of them.
  public var guardPatience: Duration = .seconds(600)
  /// The least number of input bytes; nil for any, but for an empty pipe, socket or device: nearly always its producer died, or it is
  /// `/dev/null` and a path was given in the wrong place.
  public var minimumBytes: Int64?
  /// What to do if the input is refused because it is empty.
  public var hintIfEmpty = "look at what makes the input; --min-size 0 uploads an empty object"
  /// Hashes of the object to compute in passing, besides SHA-256.
  public var hashes: Set<HashAlgorithm> = []
  /// The most bytes that the spool may have; nil for as many as the disk takes.
  public var maximumSpool: Int64?
  /// Gets a copy of the input.
  public var tee: Descriptor?
  /// Told once if the copy could not be written to its end.
  public var copyEnded: @Sendable (SystemError) -> Void = { _ in }

  public init(input: Input) {
    self.input = input
  }

  /// True if the object is the input as it is.
  public var isPlain: Bool { !changesInput && tee == nil }

  /// True if the object is another one than the input.
  var changesInput: Bool { gzip != nil || !filters.isEmpty }

  /// True if the object is a regular file as it lies there now, which needs no spool.
  public var needsNoSpool: Bool {
    var status = stat()
    guard isPlain, case .path(let path) = input, stat(path, &status) == 0, status.isFileWithContent else { return false }
    return (try? openInputFile(path))?.isAsLongAsItSays == true
  }
}

/// Reads the input to its end and makes the object.
///
/// A regular file that nothing is done to is not copied: it is the object where it lies.
///
/// - Throws: `input`, `spool` or `interrupted` (the task was cancelled); nothing stays in the spool then.
public func fill(_ plan: FillPlan, into directory: @autoclosure () throws(Failure) -> SpoolDirectory, _ meter: Meter) async throws(Failure)
  -> Payload
{
  var file: Descriptor?
  if case .path(let path) = plan.input {
    // Opened once: whoever writes to a named pipe would lose what he wrote between two readers.
    let opened = try openInputFile(path)
    file = opened
    if plan.isPlain, opened.isAsLongAsItSays {
      let payload = try Payload(file: opened, path: path)
      try plan.checkMinimum(payload.length)
      if !plan.guards.isEmpty {
        let digests = try await FillRun(plan, file, to: ObjectWriter(nil, meter, plan), meter).result()
        payload.know(digests.object)
      }
      return payload
    }
  }
  let spool = try Spool.create(in: try directory())
  do throws(Failure) {
    let run = try FillRun(plan, file, to: ObjectWriter(spool, meter, plan), meter)
    // A disk that is too small is told of now, not when it is full.
    if let bytes = run.expectedObjectLength { try spool.checkRoom(for: bytes) }
    let digests = try await run.result()
    try plan.checkMinimum(meter.input)
    return Payload(spool: spool, length: meter.object, inputLength: meter.input, digests: digests.object, inputSHA256: digests.input)
  } catch {
    spool.remove()
    throw error
  }
}

/// As `fill`, for an object that is cut into parts of a size while it is made, of which the first ones may be gone when the last ones come.
///
/// - Parameters:
///   - size: bytes of each part but the last, at least 1.
///   - most: how many parts may be in spools at a time, 1 or more; the input waits until an earlier one has come to its `end`.
///   - next: gets each part as soon as it is whole, from any thread. The last one comes only when all is well with the input, but those
///     before it come earlier: they are no object as long as the last is missing.
/// - Returns: the SHA-256 of the whole object, and that of the input if the object is another one.
/// - Throws: as `fill`. Parts that were handed on stay in their spools.
public func fillParts(
  _ plan: FillPlan, of size: Int64, atATime most: Int, into directory: @escaping @Sendable () throws(Failure) -> SpoolDirectory,
  _ meter: Meter, _ next: @escaping @Sendable (Part) -> Void
) async throws(Failure) -> (object: Checksum, input: Checksum?) {
  var file: Descriptor?
  if case .path(let path) = plan.input { file = try openInputFile(path) }
  let writer = PartWriter(size: size, atATime: most, meter, in: directory, next)
  do throws(Failure) {
    let digests = try await FillRun(plan, file, to: writer, meter).result()
    try plan.checkMinimum(meter.input)
    try await withInterrupt(of: writer) { () throws(Failure) in try writer.finish() }
    guard let digest = digests.object.first(where: { $0.algorithm == .sha256 }) else {
      preconditionFailure("a part writer computes SHA-256")
    }
    return (digest, digests.input)
  } catch {
    writer.discard()
    throw error
  }
}

/// Runs work that may wait for room on a thread, and ends the wait if the task is cancelled.
private func withInterrupt(of writer: PartWriter, _ work: @escaping @Sendable () throws(Failure) -> Void) async throws(Failure) {
  let result = await withTaskCancellationHandler {
    do throws(Failure) {
      return Result<Void, Failure>.success(try await onThread(work))
    } catch {
      return .failure(error)
    }
  } onCancel: {
    writer.stop()
  }
  try result.get()
}

extension stat {
  /// False for the files of /proc and the like too, which say that they are empty and are not.
  fileprivate var isFileWithContent: Bool { isRegularFile && st_size > 0 }
}

extension Descriptor {
  /// False for what is no regular file, and for those that have not what they say: the files of /sys say that they have a whole page.
  fileprivate var isAsLongAsItSays: Bool {
    guard let status = try? status(), status.isFileWithContent else { return false }
    var byte: UInt8 = 0
    return withUnsafeMutableBytes(of: &byte) { (try? read(into: $0, at: Int64(status.st_size) - 1)) != 0 }
  }
}

extension FillPlan {
  fileprivate func checkMinimum(_ bytes: Int64) throws(Failure) {
    guard let minimumBytes, bytes < minimumBytes else { return }
    throw Failure(
      .input, "the input has \(bytes) bytes, fewer than the \(minimumBytes) of --min-size",
      hint: "look at what makes the input, or lower --min-size")
  }
}

/// What is done to an object before it is handed on: what `put` did, undone.
public struct UnpackPlan: Sendable {
  /// Lines for `sh -c`, each a filter behind the one before; they undo `--through`.
  public var filters: [String] = []
  /// Whether what comes out of them, or the object itself, is then unpacked with gzip.
  public var gunzips = false
  /// How many gzip members are unpacked side by side, 1 or more: as many as there are cores, from three on. What comes out does not depend on it.
  /// On two cores the stages of one member fill both, and members side by side took a fifth more of them for nothing.
  public var threads = processorCount > 2 ? processorCount : 1
  /// How much of the object, in bytes, is unpacked as one piece, at least.
  var leastSegment: Int64 = 512 * 1024
  /// What the object is called in messages.
  public var name = "the object"

  public init() {}
}

private let processorCount = Int(sysconf(CInt(_SC_NPROCESSORS_ONLN)))

/// Where what comes out goes.
public enum UnpackOutput: Sendable {
  /// A new spool in the folder that this opens.
  case spool(@Sendable () throws(Failure) -> SpoolDirectory)
  /// The write end of a pipe, whose other end another process reads. No other process shares it, as it is made to not block. It is not
  /// closed: only the caller knows whether an end of the bytes may look like one.
  case descriptor(Descriptor)
  case nowhere
}

/// An object that was read to its end.
public struct Unpacked: Sendable {
  /// Bytes of the object as it is stored.
  public let objectLength: Int64
  /// Its hashes: SHA-256 and those that were asked for.
  public let objectDigests: [Checksum]
  /// Bytes that came out.
  public let outputLength: Int64
  /// SHA-256 of what came out.
  public let outputDigest: Checksum
  /// What came out, if it is in a spool; its SHA-256 is known.
  public let payload: Payload?
  /// How many bytes the reader of the pipe was handed; 0 for other outputs.
  public let handedOver: Int64
  /// True if the reader of the pipe had enough before the end, as `head` has. All is read and checked even so.
  public let hasReaderGone: Bool
}

/// Reads an object to its end, unpacks it and hands on what comes out, all at once: each stage has a thread of its own. The object is hashed as
/// it is stored, which is the proof of it, and so is what comes out.
///
/// What has been handed to a pipe when a failure comes is what `meter.sent` says.
///
/// - Parameters:
///   - hashing: the hashes of the object to compute, besides SHA-256.
///   - meter: its `input` is what was read of the object, its `object` what came out.
/// - Throws: what the feed fails with; `input` for a filter that fails and for what is no gzip; `spool`; `interrupted` (the task was cancelled).
///   Nothing stays in the spool then, and no child.
public func unpack(
  _ feed: any ByteFeed, _ plan: UnpackPlan, hashing: Set<HashAlgorithm>, to output: UnpackOutput, _ meter: Meter
) async throws(Failure) -> Unpacked {
  let target: UnpackWriter.Target =
    switch output {
    case .spool(let directory): .spool(try Spool.create(in: try directory()))
    case .descriptor(let pipe): .descriptor(pipe)
    case .nowhere: .nowhere
    }
  do throws(Failure) {
    return try await UnpackRun(feed, plan, hashing: hashing, to: target, meter).result()
  } catch {
    target.spool?.remove()
    throw error
  }
}

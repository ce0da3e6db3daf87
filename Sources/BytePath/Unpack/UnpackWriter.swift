import Synchronization

/// Where what comes out goes. Used by one thread.
final class UnpackWriter: Sendable {
  enum Target: Sendable {
    case spool(Spool)
    case descriptor(Descriptor)
    case nowhere

    var spool: Spool? { if case .spool(let spool) = self { spool } else { nil } }
  }

  private let target: Target
  private let interrupt: Interrupt
  private let meter: Meter
  private let made = Atomic<Int64>(0)
  private let taken = Atomic<Int64>(0)
  private let readerIsGone = Atomic(false)

  init(_ target: Target, _ interrupt: Interrupt, _ meter: Meter) {
    self.target = target
    self.interrupt = interrupt
    self.meter = meter
    if case .descriptor(let pipe) = target {
      pipe.stopBlocking()
      enlargePipe(pipe.raw, to: 1 << 20)
    }
  }

  /// Bytes that came out.
  var written: Int64 { made.load(ordering: .relaxed) }
  /// Bytes that the reader of the pipe has been handed.
  var handedOver: Int64 { taken.load(ordering: .relaxed) }
  /// Whether the reader of the pipe wanted no more.
  var hasReaderGone: Bool { readerIsGone.load(ordering: .relaxed) }

  /// - Parameter isInPlace: whether they are in the spool already.
  /// - Throws: `spool`, `input` if the pipe can't be written to, `interrupted`.
  func append(_ bytes: UnsafeRawBufferPointer, isInPlace: Bool) throws(Failure) {
    switch target {
    case .spool(let spool): if !isInPlace { try spool.write(bytes, at: written) }
    case .descriptor(let pipe): try handOver(bytes, to: pipe)
    case .nowhere: break
    }
    made.add(Int64(bytes.count), ordering: .relaxed)
    meter.addObject(bytes.count)
  }

  private func handOver(_ bytes: UnsafeRawBufferPointer, to pipe: Descriptor) throws(Failure) {
    guard !hasReaderGone else { return }
    let isTaken: Bool
    do throws(SystemError) {
      isTaken = try interrupt.writeAll(
        bytes, to: pipe, moved: { count in meter.setSent(taken.add(Int64(count), ordering: .relaxed).newValue) })
    } catch {
      guard error.code == EPIPE else { throw Failure(.input, "cannot hand on what was unpacked: \(error.words)") }
      readerIsGone.store(true, ordering: .relaxed)
      return
    }
    if !isTaken { throw .interrupted }
  }
}

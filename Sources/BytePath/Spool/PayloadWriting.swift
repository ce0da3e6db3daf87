import CFiles

extension Payload {
  /// Writes all of it to a descriptor that others may share. Blocks; ends early if the interrupt comes.
  ///
  /// - Parameter written: told now and then how many bytes have been written.
  /// - Throws: `spool` if the descriptor takes no more or the bytes can't be read; `interrupted`.
  public func write(to output: Descriptor, _ interrupt: Interrupt, _ written: (Int64) -> Void) throws(Failure) {
    var offset: Int64 = 0
    do throws(SystemError) {
      if try output.status().isPipe {
        enlargePipe(output.raw, to: 1 << 20)
        offset = try splice(to: output, interrupt, written)
      }
    } catch { throw Payload.unwritable(error) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    while offset < length {
      let count = try read(into: buffer, at: offset)
      do throws(SystemError) {
        let isTaken = try interrupt.writeAll(UnsafeRawBufferPointer(rebasing: buffer[..<count]), to: output)
        guard isTaken else { throw SystemError("write", ECANCELED) }
      } catch { throw Payload.unwritable(error) }
      offset += Int64(count)
      written(offset)
    }
  }

  /// Lets the kernel move the bytes into a pipe.
  ///
  /// - Returns: how many it has moved, as not every kernel and file system does.
  private func splice(to pipe: Descriptor, _ interrupt: Interrupt, _ written: (Int64) -> Void) throws(SystemError) -> Int64 {
    var offset: Int64 = 0
    while offset < length {
      guard try interrupt.waitUntilWritable(pipe) else { throw SystemError("splice", ECANCELED) }
      let count = splice_without_waiting(descriptor.raw, &offset, pipe.raw, UInt(min(length - offset, 1 << 20)))
      guard count <= 0 else {
        written(offset)
        continue
      }
      if count < 0, errno == EAGAIN || errno == EINTR { continue }
      if count < 0, errno == EPIPE { throw SystemError("splice", EPIPE) }
      return offset
    }
    return offset
  }

  private static func unwritable(_ error: SystemError) -> Failure {
    switch error.code {
    case ECANCELED: .interrupted
    case EPIPE: Failure(.spool, "nobody reads standard output any more")
    default: Failure(.spool, "cannot write to standard output: \(error.words)")
    }
  }
}

/// Filters, each behind the one before, and the pipes between them, which are all made before the first child is started.
final class FilterChain: Sendable {
  private struct Filter: Sendable {
    let command: Command
    let input: Descriptor
    let output: Descriptor
  }

  private let filters: [Filter]
  private let input: Descriptor
  /// What comes out of the last one.
  let output: Descriptor
  private let interrupt: Interrupt

  /// - Parameters:
  ///   - lines: for `sh -c`, one at least.
  ///   - interrupt: ends a wait of `deliver`.
  /// - Throws: `spool` if the process has no descriptors left.
  init(_ lines: [String], _ interrupt: Interrupt) throws(Failure) {
    let pipes = try (0...lines.count).map { (_) throws(Failure) in try makePipe() }
    filters = lines.enumerated().map { index, line in
      Filter(command: Command(shell: line, role: "filter"), input: pipes[index].read, output: pipes[index + 1].write)
    }
    input = pipes[0].write
    output = pipes[lines.count].read
    self.interrupt = interrupt
    input.stopBlocking()
    enlargePipe(input.raw, to: 1 << 20)
  }

  /// The numbers of the filters.
  var indices: Range<Int> { filters.indices }

  /// Runs a filter to its end.
  ///
  /// - Parameter hint: of the failure that it is one.
  /// - Throws: `input` if it is.
  func run(_ index: Int, hint: String) async throws(Failure) {
    let filter = filters[index]
    guard let ending = try await filter.command.run(input: filter.input, output: filter.output) else { return }
    throw Failure(.input, "\(filter.command.description) \(ending)", hint: hint)
  }

  /// Hands bytes to the first filter. It may end before its input, as `head` does: the rest is let go, and its exit status says whether that was
  /// right. Blocks; used by one thread.
  ///
  /// - Throws: `input`, `interrupted`.
  func deliver(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    guard input.raw >= 0 else { return }
    let isTaken: Bool
    do throws(SystemError) {
      isTaken = try interrupt.writeAll(bytes, to: input)
    } catch {
      guard error.code == EPIPE else { throw Failure(.input, "cannot write to \(filters[0].command.description): \(error.words)") }
      try? input.close()
      return
    }
    if !isTaken { throw .interrupted }
  }

  /// Says that no bytes will follow. Not to be called for an input that has failed: what a filter makes of the part of it must not look whole.
  func end() { try? input.close() }
}

func makePipe() throws(Failure) -> (read: Descriptor, write: Descriptor) {
  do throws(SystemError) { return try Descriptor.pipe() } catch { throw Failure(.spool, "cannot make a pipe: \(error.words)") }
}

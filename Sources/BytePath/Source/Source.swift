/// Where a stream comes from. Exactly one in a run.
public enum Input: Sendable, Equatable {
  case standardInput
  /// A named pipe, read to its end, or a regular file.
  case path(String)
  /// A command and its arguments; its standard output is the stream.
  case command([String])
}

/// An opened input from which one thread reads to the end.
final class Source: Sendable {
  let descriptor: Descriptor
  private let name: String
  private let interrupt: Interrupt
  private let mayBeEmpty: Bool

  /// - Parameter isCommand: whether it is the output of a command, whose exit status says whether all of it is there.
  init(_ descriptor: Descriptor, name: String, isCommand: Bool = false, interrupt: Interrupt) {
    self.descriptor = descriptor
    self.name = name
    self.interrupt = interrupt
    mayBeEmpty = isCommand || descriptor.isAtStartOrInsideFile
    enlargePipe(descriptor.raw, to: 1 << 20)
  }

  /// Is asked when the source has ended without a byte. A regular file may have none, and so may a command that says that all is well.
  ///
  /// - Throws: `input` for anything else.
  func checkMayBeEmpty(hint: String) throws(Failure) {
    guard !mayBeEmpty else { return }
    throw Failure(.input, "\(name) is empty", hint: hint)
  }

  /// Bytes from here to the end of a regular file that says how long it is; nil for anything else.
  var rest: Int64? {
    guard let status = try? descriptor.status(), status.isRegularFile, status.st_size > 0 else { return nil }
    return max(0, Int64(status.st_size) - max(0, Int64(lseek(descriptor.raw, 0, SEEK_CUR))))
  }

  /// Asks whether a regular file still has the size and the time of last change that it had.
  ///
  /// - Throws: `input` if not.
  func checkUnchanged(since opened: stat) throws(Failure) {
    let status = try status()
    guard status.isUnchanged(since: opened) else {
      throw changed(
        status.st_size == opened.st_size ? "its time of last change is another" : "\(opened.st_size) bytes before, \(status.st_size) now")
    }
  }

  /// Whether not even the rights or the names of a regular file were changed.
  func isUntouched(since opened: stat) throws(Failure) -> Bool { try status().isUntouched(since: opened) }

  /// The CRC-32 of a regular file as it is now. Blocks.
  func checksum(_ isCancelled: CancelFlag) throws(Failure) -> UInt {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Payload.hashedAtATime, alignment: 4096)
    defer { buffer.deallocate() }
    var (checksum, offset): (UInt, Int64) = (0, 0)
    while true {
      if isCancelled.isSet { throw .interrupted }
      do throws(SystemError) {
        let count = try descriptor.read(into: buffer, at: offset)
        if count == 0 { return checksum }
        checksum = updatedChecksum(checksum, UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        offset += Int64(count)
      } catch {
        throw Failure(.input, "cannot read \(name): \(error.words)")
      }
    }
  }

  /// The failure of a file that changed while it was read.
  func changed(_ how: String) -> Failure {
    Failure(
      .input, "\(name) changed while it was read (\(how))",
      hint: "pipe it in to send what is there at the moment: sluice … < \(name)")
  }

  private func status() throws(Failure) -> stat {
    do throws(SystemError) { return try descriptor.status() } catch {
      throw Failure(.input, "cannot read \(name): \(error.words)")
    }
  }

  /// - Throws: `input` if it is closed.
  static func standardInput(_ interrupt: Interrupt) throws(Failure) -> Source {
    let copy = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else {
      throw Failure(.input, "standard input is closed", hint: "pipe something into sluice, or name a file with --input")
    }
    return Source(Descriptor(adopting: copy), name: "standard input", interrupt: interrupt)
  }

  /// Fills `buffer` from the front with what comes. With `whole` it returns less than a full buffer only at the end of the input, so that
  /// the cut into blocks depends on the bytes alone. 0 is the end. Blocks.
  ///
  /// - Throws: `input` if the input can't be read (a read error is not an end of file), `interrupted`.
  func read(into buffer: UnsafeMutableRawBufferPointer, whole: Bool) throws(Failure) -> Int {
    var count = 0
    while count < buffer.count {
      do throws(SystemError) {
        guard try interrupt.waitUntilReadable(descriptor) else { throw SystemError("poll", ECANCELED) }
        let more = try descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
        count += more
        if more == 0 || !whole { return count }
      } catch {
        switch error.code {
        case EAGAIN: continue
        case ECANCELED: throw .interrupted
        default: throw Failure(.input, "cannot read \(name): \(error.words)")
        }
      }
    }
    return count
  }
}

extension Descriptor {
  /// False also for a regular file that somebody else has read to its end already, as a loop over its lines does.
  fileprivate var isAtStartOrInsideFile: Bool {
    guard let status = try? status(), status.isRegularFile else { return false }
    return status.st_size == 0 || lseek(raw, 0, SEEK_CUR) < status.st_size
  }
}

/// Opens what `--input` names.
///
/// - Throws: `input` if it is neither a regular file nor a pipe, or can't be opened.
func openInputFile(_ path: String) throws(Failure) -> Descriptor {
  do throws(SystemError) {
    // Without O_NONBLOCK the call would wait for a named pipe's writer where nothing can interrupt it.
    let descriptor = try Descriptor.open(path, O_RDONLY | O_NONBLOCK)
    let status = try descriptor.status()
    if status.isDirectory {
      throw SystemError("open", EISDIR)
    }
    return descriptor
  } catch {
    let hint = error.code == EISDIR ? "pack it first: tar c \(path) | sluice …" : nil
    throw Failure(.input, "cannot read \(path): \(error.words)", hint: hint)
  }
}

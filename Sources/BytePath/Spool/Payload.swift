import Synchronization

/// The finished object: bytes of a known number that do not change, read by offset so that destinations and attempts never share one.
///
/// It is a spool, or a regular file that is sent from where it lies; whoever sends it can't tell.
public final class Payload: Sendable {
  /// Bytes of the object.
  public let length: Int64
  /// Bytes of the input it was made from.
  public let inputLength: Int64
  /// The SHA-256 of that input; nil if the object is the input.
  public let inputSHA256: Checksum?
  /// The file's own time of last change in milliseconds since 1970; nil for a spool.
  public let modified: Int64?
  /// The spool behind it; nil for a regular file.
  public let spool: Spool?

  /// True if the destination it is for is the only one, which may move the spool to itself.
  public var mayBeMoved: Bool { movable.load(ordering: .relaxed) }
  private let movable = Atomic(false)

  let descriptor: Descriptor
  let kernelSending = KernelSending()
  let name: String
  /// What a regular file was when it was opened; nil for a spool.
  private let opened = Mutex<stat?>(nil)
  private let hashesSent = Atomic(false)
  private let sentHashes = SentHashes()
  private let digests: Mutex<[HashAlgorithm: Task<Result<Checksum, Failure>, Never>]>

  /// The kind of the failure that its bytes can't be read.
  var failureKind: Failure.Kind { spool == nil ? .input : .spool }

  /// - Parameter digests: those that are known.
  public init(spool: Spool, length: Int64, inputLength: Int64, digests: [Checksum], inputSHA256: Checksum? = nil) {
    self.length = length
    self.inputLength = inputLength
    self.inputSHA256 = inputSHA256
    self.spool = spool
    modified = nil
    descriptor = spool.data
    name = "the spool \(spool.id)"
    self.digests = Mutex([:])
    know(digests)
  }

  /// A spool that an earlier run held, checked against what its job says of it.
  ///
  /// - Throws: `spool` if the bytes are not those that were held.
  public static func held(
    _ spool: Spool, length: Int64, inputLength: Int64, sha256: Checksum?, inputSHA256: Checksum? = nil
  ) async throws(Failure) -> Payload {
    let digests = sha256.map { [$0] } ?? []
    let payload = Payload(spool: spool, length: length, inputLength: inputLength, digests: digests, inputSHA256: inputSHA256)
    var size: Int64 = -1
    if let status = try? spool.data.status() { size = Int64(status.st_size) }
    guard length >= 0, size == length, try await payload.computedDigest(.sha256) == sha256 else {
      throw Failure(.spool, "the spool \(spool.id) is not what it was when it was held", hint: "its bytes are in \(spool.id).data")
    }
    return payload
  }

  /// An object that is not here any more, to be asked about: its length and perhaps its hash are known, its bytes can't be read.
  ///
  /// - Parameter name: what it is, for messages.
  /// - Throws: `spool`.
  public init(remembered length: Int64, sha256: Checksum?, name: String) throws(Failure) {
    do throws(SystemError) { descriptor = try Descriptor.open("/dev/null", O_RDONLY) } catch {
      throw Failure(.spool, "cannot open /dev/null: \(error.words)")
    }
    self.length = length
    inputLength = length
    inputSHA256 = nil
    spool = nil
    modified = nil
    self.name = name
    digests = Mutex([:])
    if let sha256 { know([sha256]) }
  }

  /// A few bytes in a spool.
  ///
  /// - Throws: `spool`.
  public static func made(
    of bytes: [UInt8], in directory: @escaping @Sendable () throws(Failure) -> SpoolDirectory
  ) async throws(Failure) -> Payload {
    let spool = try await onThread { () throws(Failure) -> Spool in
      let spool = try Spool.create(in: try directory())
      do throws(Failure) {
        try bytes.span.bytes.withUnsafeBytes { (buffer) throws(Failure) in try spool.append(buffer, after: 0) }
      } catch {
        spool.remove()
        throw error
      }
      return spool
    }
    return Payload(spool: spool, length: Int64(bytes.count), inputLength: Int64(bytes.count), digests: [])
  }

  /// A regular file that is sent as it is.
  ///
  /// - Throws: `input`.
  init(file descriptor: Descriptor, path: String) throws(Failure) {
    let status: stat
    do throws(SystemError) { status = try descriptor.status() } catch {
      throw Failure(.input, "cannot read \(path): \(error.words)")
    }
    length = Int64(status.st_size)
    modified = status.modifiedMilliseconds
    opened.withLock { $0 = status }
    inputLength = length
    inputSHA256 = nil
    spool = nil
    self.descriptor = descriptor
    name = path
    digests = Mutex([:])
  }

  private let endings = Mutex<[@Sendable () -> Void]>([])

  /// Calls `action` when nobody needs the payload any more in this run, though the run goes on.
  public func whenEnded(_ action: @escaping @Sendable () -> Void) {
    endings.withLock { $0.append(action) }
  }

  /// Says that nobody needs it any more: what was opened for it is closed.
  public func end() {
    let actions = endings.withLock { endings in
      defer { endings = [] }
      return endings
    }
    for action in actions { action() }
  }

  /// Says that there is one destination alone.
  public func allowMoving() { movable.store(true, ordering: .relaxed) }

  /// A hash of the bytes. One that was not computed while they came is computed on a thread of its own at the first call,
  /// beside whatever else is done with them, and once only.
  ///
  /// - Throws: `input` or `spool` if the bytes can't be read.
  public func digest(_ algorithm: HashAlgorithm) async throws(Failure) -> Checksum {
    try await startHashing(algorithm).value.get()
  }

  /// Begins to compute what `digest` will give.
  @discardableResult
  public func startHashing(_ algorithm: HashAlgorithm) -> Task<Result<Checksum, Failure>, Never> {
    digests.withLock { digests in
      if digests[algorithm] == nil, algorithm == .sha256, let sent = sentHashes.whole { digests[algorithm] = Task { .success(sent) } }
      if let known = digests[algorithm] { return known }
      let started = Task { [self] in
        do throws(Failure) {
          return Result<Checksum, Failure>.success(try await computedDigest(algorithm))
        } catch {
          return .failure(error)
        }
      }
      digests[algorithm] = started
      return started
    }
  }

  /// Is told hashes that were computed elsewhere: what is sent must have them.
  func know(_ known: [Checksum]) {
    digests.withLock { digests in
      for digest in known { digests[digest.algorithm] = Task { .success(digest) } }
    }
  }

  private func computedDigest(_ algorithm: HashAlgorithm) async throws(Failure) -> Checksum {
    try await digests([algorithm], of: 0..<length)[0]
  }

  /// What fits into the cache of a core is read five times as fast as what does not.
  static let hashedAtATime = 128 * 1024

  /// Hashes of a part of the bytes, in the order of `algorithms`, computed on a thread of their own in one pass.
  ///
  /// - Throws: `input` or `spool` if the bytes can't be read.
  public func digests(_ algorithms: [HashAlgorithm], of range: Range<Int64>) async throws(Failure) -> [Checksum] {
    try await onThread { () throws(Failure) -> [Checksum] in try self.hashed(algorithms, of: range) }
  }

  private func hashed(_ algorithms: [HashAlgorithm], of range: Range<Int64>) throws(Failure) -> [Checksum] {
    var hashes = algorithms.map { RunningHash($0) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Payload.hashedAtATime, alignment: 4096)
    defer { buffer.deallocate() }
    var offset = range.lowerBound
    while offset < range.upperBound {
      let wanted = Int(min(Int64(buffer.count), range.upperBound - offset))
      let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
      for index in hashes.indices { hashes[index].update(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
      offset += Int64(count)
    }
    return hashes.map { $0.finalized() }
  }

  /// Fills `buffer` from `offset`, less only at the end of the object; returns the bytes read, at least one.
  ///
  /// - Throws: `spool`, or `input` for a regular file: a read error, or fewer bytes than there were.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Failure) -> Int {
    let wanted = Int(min(Int64(buffer.count), length - offset))
    var count = 0
    while count < wanted {
      do throws(SystemError) {
        let more = try descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count..<wanted]), at: offset + Int64(count))
        guard more > 0 else { throw SystemError("read", 0) }
        count += more
      } catch {
        let reason = error.code == 0 ? "it is shorter than it was" : error.words
        throw Failure(failureKind, "cannot read \(name): \(reason)")
      }
    }
    return count
  }

  /// All of it, if it is short. Blocks.
  ///
  /// - Throws: as `read`; `spool` if there are more than `limit` bytes.
  public func contents(limit: Int64) throws(Failure) -> [UInt8] {
    guard length <= limit else { throw Failure(.spool, "\(name) is longer than it should be") }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, Int(length)), alignment: 1)
    defer { buffer.deallocate() }
    return length == 0 ? [] : Array(buffer[..<(try read(into: buffer, at: 0))])
  }

  /// Asks whether there is a byte at `offset`.
  ///
  /// - Throws: as `read`.
  public func checkReadable(at offset: Int64) throws(Failure) {
    var byte: UInt8 = 0
    _ = try withUnsafeMutableBytes(of: &byte) { (buffer) throws(Failure) in try read(into: buffer, at: offset) }
  }

  /// A second descriptor of the file, for a library that wants to own one; it is read by offset.
  ///
  /// - Throws: `spool` if the process has no descriptors left.
  public func duplicateDescriptor() throws(Failure) -> CInt {
    let copy = fcntl(descriptor.raw, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw Failure(.spool, "cannot read \(name): \(SystemError("fcntl", errno).words)") }
    return copy
  }

  /// Opens the file anew for another process: read-only, at offset 0, with an offset that nobody shares.
  ///
  /// - Throws: `input` if another file has its name now, `spool`.
  public func reopened() throws(Failure) -> Descriptor {
    do throws(SystemError) {
      let again = if let spool { try spool.reopened() } else { try Descriptor.open(name, O_RDONLY) }
      guard try again.status().isSameFile(as: try descriptor.status()) else {
        throw SystemError("open", ESTALE)
      }
      return again
    } catch {
      let reason = error.code == ESTALE || error.code == ENOENT ? "its name is not that of the same file any more" : error.words
      throw Failure(failureKind, "cannot open \(name) again: \(reason)")
    }
  }

  /// Brings the bytes to the disk. Blocks.
  public func synchronize() throws(SystemError) { try descriptor.synchronize() }

  /// The failure that an error of `synchronize` stands for.
  public func unsynchronized(_ error: SystemError) -> Failure {
    Failure(.spool, "cannot bring \(name) to the disk: \(error.words)", hint: "name another disk with --spool-dir")
  }

  /// Sets the time of last change of the spool's file.
  ///
  /// - Parameter milliseconds: since 1970.
  public func setModified(_ milliseconds: Int64) throws(SystemError) { try descriptor.setModified(milliseconds) }

  /// Asks whether a regular file still is what it was when it was opened.
  ///
  /// - Throws: `input` if its size or its time of change is another one.
  public func checkUnchanged() throws(Failure) {
    guard let opened = opened.withLock({ $0 }) else { return }
    let status = try status()
    guard status.isUnchanged(since: opened) else {
      throw changed(status.st_size == length ? "its time of last change is another" : "\(length) bytes before, \(status.st_size) now")
    }
  }

  private func status() throws(Failure) -> stat {
    do throws(SystemError) { return try descriptor.status() } catch {
      throw Failure(.input, "cannot read \(name): \(error.words)")
    }
  }

  private func changed(_ how: String) -> Failure {
    Failure(
      .input, "\(name) changed while it was sent (\(how))",
      hint: "pipe it in to send what is there at the moment: sluice … < \(name)")
  }
}

/// The bytes of a regular file as they were sent; see `SentHashes`.
extension Payload {
  /// True if the bytes must be read by this program to be sent, so that they are hashed as they go.
  public var isHashedWhileSent: Bool { hashesSent.load(ordering: .relaxed) }

  /// Says that the SHA-256 of what is sent is wanted. A spool's is known: nobody else writes to it.
  public func hashWhileSent() {
    if spool == nil { hashesSent.store(true, ordering: .relaxed) }
  }

  /// To be fed with the bytes of a part as they are sent.
  public func sendingHash(of range: Range<Int64>) -> SendingHash { SendingHash(self, range, isWanted: isHashedWhileSent) }

  func sent(_ range: Range<Int64>, _ digest: Checksum) throws(Failure) {
    guard range != 0..<length else {
      guard sentHashes.add(whole: digest) else { throw differs }
      return
    }
    sentHashes.add(digest, of: range)
    startThread { [self] in sentHashes.follow { (buffer, offset) throws(Failure) in try read(into: buffer, at: offset) } }
  }

  /// Asks, before the last bytes of an object in one piece go, whether what was sent is what a server or a check was told, and what the file is.
  ///
  /// - Throws: `input` if it is not.
  public func checkSent() async throws(Failure) {
    guard let sent = sentHashes.whole else { return }
    try await checkTold(sent)
    if try isTouched { try await onThread { [self] () throws(Failure) in try lookAgain(for: sent) } }
  }

  /// Asks whether the file is what was sent in one piece. Blocks.
  ///
  /// - Throws: `input` if it is not.
  public func checkCopied() throws(Failure) {
    try checkUnchanged()
    if let sent = sentHashes.whole { try lookAgain(for: sent) }
  }

  /// Whether something of a regular file was changed, be it but the last of its times.
  private var isTouched: Bool {
    get throws(Failure) {
      guard let opened = opened.withLock({ $0 }) else { return false }
      return try !status().isUntouched(since: opened)
    }
  }

  /// Reads a file again that was touched. Rights and names change the last of its times too, and that is no harm; but so does who puts back the
  /// time of a file that he has changed. Blocks.
  private func lookAgain(for sent: Checksum) throws(Failure) {
    guard try isTouched else { return }
    let now = try status()
    guard try hashed([.sha256], of: 0..<length)[0] == sent else { throw differs }
    try checkUnchanged()
    opened.withLock { $0 = now }
  }

  private func checkTold(_ sent: Checksum?) async throws(Failure) {
    guard let sent else { return }
    let told = digests.withLock { digests in
      if digests[.sha256] == nil { digests[.sha256] = Task { .success(sent) } }
      return digests[.sha256]
    }
    if let told, try await told.value.get() != sent { throw differs }
  }

  /// The SHA-256 of the bytes that were sent.
  ///
  /// - Throws: `input` if not all that was sent, and what was said to be sent, is of the same bytes.
  public func digestOfSent() async throws(Failure) -> Checksum {
    guard isHashedWhileSent else { return try await digest(.sha256) }
    var sent = sentHashes.whole
    if sentHashes.hadParts {
      let whole = sent
      sent = try await onThread { [self] () throws(Failure) -> Checksum in
        let digest = try sentHashes.finish(length: length) { (buffer, offset) throws(Failure) in try read(into: buffer, at: offset) }
        guard let digest, whole == nil || whole == digest else { throw differs }
        return digest
      }
    }
    try await checkTold(sent)
    let digest = try await digest(.sha256)
    if try isTouched { try await onThread { [self] () throws(Failure) in try lookAgain(for: digest) } }
    return digest
  }

  /// Reads a regular file again, and compares it with what it was.
  ///
  /// - Throws: `input` if it is not what its SHA-256 says.
  public func checkBytes() async throws(Failure) {
    guard spool == nil else { return }
    let before = try await digest(.sha256)
    guard try await computedDigest(.sha256) == before else { throw differs }
    try checkUnchanged()
  }

  private var differs: Failure { changed("not by its size or time, but the bytes that were read twice are not the same") }
}

import BytePath
import Endpoints
import Synchronization

/// One source that is read back: what is there, what it must be, and whether what came is that.
struct Retrieval: Sendable {
  /// What was found.
  struct Found: Sendable {
    /// One object, or the parts of a set in their order.
    var objects: [Stored]
    var manifest: PartManifest?
    var proof: Proof

    /// The time of last change in milliseconds since 1970.
    var modified: Int64?
  }

  let target: Target
  let options: FetchOptions
  let policy: RetryPolicy
  let messages: Messages

  private var store: any Store { target.store }
  private var path: String { target.path }

  /// - Throws: `missing` if there is no such object, and no set of parts of that name.
  func find() async throws(Failure) -> Found {
    var proof = Proof()
    if let sha256 = options.sha256 { proof.add(given: sha256) }
    if let receipt = options.receipt {
      let file = try ReceiptFile(expandingHome(receipt))
      let (entry, otherName) = try file.entry(for: target.text, endpoint: target.kind.name, path: path)
      if let otherName { messages.warning("the receipt \(receipt) is of \(otherName); \(target.text) must be a copy of that") }
      proof.add(entry, of: file)
    }
    let isKnown = proof.isHash
    async let sum = isKnown ? .success(nil) : sumBeside()
    let found = try await found(proof)
    return try withSum(await sum, found)
  }

  private func found(_ proof: Proof) async throws(Failure) -> Found {
    let finding = try await asking { () async throws(Failure) in try await store.stat(path, fresh: true) }
    var found = Found(objects: [], proof: proof)
    switch finding {
    case .stored(let stored) where stored.isDirectory == true:
      throw Failure(.rejected, "\(path) is a directory", hint: store.hasLists ? "sluice ls \(target.text) shows what is in it" : nil)
    case .stored(let stored):
      found.objects = [stored]
      found.modified = stored.modified
      found.proof.add(stored)
    case .untold(let failure):
      // Who may not ask may be allowed to read, and the answer to that says more.
      messages.detail("\(target.text): \(failure.message); reading it all the same")
      let first = try? await store.read(path, 0..<1, of: nil, into: SmallObject(limit: 1))
      if first?.isNothing == true { try await findParts(&found) } else { found.objects = [Stored(path, isDirectory: nil)] }
    case .nothing: try await findParts(&found)
    }
    return found
  }

  private func withSum(_ sum: Result<Checksum?, Failure>, _ found: Found) throws(Failure) -> Found {
    var found = found
    if found.manifest == nil, let checksum = try sum.get() {
      found.proof.add(Proof.Word(source: .sum, speaker: "\(path)\(SumFile.suffix)", checksum: checksum))
    }
    if options.requireHash, found.proof.hints.isEmpty { try found.proof.requireHash(of: target.text) }
    return found
  }

  /// What `NAME.sha256` says; nil if it is not there or may not be read.
  private func sumBeside() async -> Result<Checksum?, Failure> {
    let place = path + SumFile.suffix
    do throws(Failure) {
      guard let bytes = try await small(place, limit: Int(SumFile.limit)) else { return .success(nil) }
      return .success(try SumFile.checksum(of: path, in: bytes, at: place))
    } catch {
      // Who may not see it may be told so of one that is not there, too, as by S3. What can't be had now may be there, and be the proof.
      guard [.auth, .rejected, .protocol].contains(error.kind), !error.isRetryable else {
        var failure = error
        if ![.input, .interrupted].contains(error.kind) {
          failure.message = "cannot read \(place), which may say what the object must be: \(error.message)"
        }
        return .failure(failure)
      }
      messages.detail("\(target.text): cannot read \(place): \(error.message)")
      return .success(nil)
    }
  }

  // MARK: Parts

  private func findParts(_ found: inout Found) async throws(Failure) {
    let place = path + PartsRun.manifestSuffix
    guard let bytes = try await small(place, limit: Int(PartManifest.limit)) else {
      try await asking { () async throws(Failure) in try await store.confirmNothing(at: path) }
      throw .missing(path, in: store)
    }
    let manifest = try PartManifest(parsing: bytes, at: place)
    found.manifest = manifest
    found.proof.add(manifest, at: place)
    if manifest.parts.count < PartManifest.mostParts { try await checkEnd(of: manifest, isProven: options.sha256 != nil) }
    found.objects = try await looks(at: manifest.parts)
    found.modified = found.objects.compactMap(\.modified).max()
  }

  /// Asks for all of them, several at a time where the server lets us.
  private func looks(at parts: [PartManifest.Part]) async throws(Failure) -> [Stored] {
    let width = store.serialKey == nil ? 8 : 1
    let results = await withTaskGroup(of: (Int, Result<Stored, Failure>).self) { group in
      var results: [Int: Result<Stored, Failure>] = [:]
      for (index, part) in parts.enumerated() {
        if index >= width, let (place, result) = await group.next() {
          results[place] = result
          if case .failure = result { break }
        }
        group.addTask {
          do throws(Failure) { return (index, .success(try await look(at: part))) } catch { return (index, .failure(error)) }
        }
      }
      for await (place, result) in group { results[place] = result }
      return results.sorted { $0.key < $1.key }.map(\.value)
    }
    return try results.map { (result) throws(Failure) in try result.get() }
  }

  private func look(at part: PartManifest.Part) async throws(Failure) -> Stored {
    let place = path + part.suffix
    let finding = try await asking { () async throws(Failure) in try await store.stat(place, fresh: false) }
    var stored = Stored(place)
    switch finding {
    case .nothing:
      throw Failure(.input, "\(place) is missing, a part of \(path)", hint: "the manifest \(path)\(PartsRun.manifestSuffix) lists it")
    case .untold(let failure): messages.detail("\(place): \(failure.message); reading it all the same")
    case .stored(let told): stored = told
    }
    if let size = stored.size, size != part.bytes {
      throw Failure(.input, "\(place) has \(size) bytes, and \(part.bytes) by the manifest", hint: "it is of another set, or was changed")
    }
    stored.size = part.bytes
    return stored
  }

  /// A part behind the last one shows that the parts are not of one set.
  private func checkEnd(of manifest: PartManifest, isProven: Bool) async throws(Failure) {
    let place = path + PartFacts.suffix(manifest.parts.count + 1)
    guard try await asking({ () async throws(Failure) in try await store.stat(place, fresh: false) }).stored != nil else { return }
    let message = "\(place) is there, and the manifest ends with part \(manifest.parts.count)"
    guard !isProven else { return messages.warning(message) }
    throw Failure(
      .input, message, hint: "remove it if it is of an older set, or read without it: --sha256 \(manifest.sha256.hex)")
  }

  // MARK: Asking

  /// A small object; nil if there is none.
  private func small(_ path: String, limit: Int) async throws(Failure) -> [UInt8]? {
    try await asking { () async throws(Failure) -> [UInt8]? in
      let keeper = SmallObject(limit: limit)
      let finding = try await store.read(path, nil, of: nil, into: keeper)
      guard !keeper.isTooLong else { throw Failure(.input, "\(path) has more than \(limit) bytes") }
      switch finding {
      case .nothing: return nil
      case .untold(let failure): throw failure
      case .stored: return keeper.bytes
      }
    }
  }

  private func asking<Answer: Sendable>(_ question: @Sendable () async throws(Failure) -> Answer) async throws(Failure) -> Answer {
    var tries = 0
    return try await policy.attempt(target.text, messages, tries: &tries, question)
  }

  func note(_ failure: Failure, _ wait: Duration) { messages.note("\(target.text): \(failure.message); the next try in \(wait.rounded)") }

  // MARK: Fetching

  func fetch(_ found: Found) -> Fetch {
    let policy = policy
    return Fetch(
      of: found.objects, checksums: found.manifest?.parts.map(\.sha256) ?? [], from: store,
      retry: { policy.wait(after: $0, $1, since: $2) }, note: { note($0, $1) })
  }

  /// Brings the bytes and unpacks them meanwhile.
  ///
  /// - Parameter bring: tells the feed of the end, or of the failure.
  func unpacked(
    _ feed: any ByteFeed, _ found: Found, to output: UnpackOutput, _ meter: Meter,
    bring: @escaping @Sendable () async throws(Failure) -> Void
  ) async throws(Failure) -> Unpacked {
    let plan = options.plan
    let result = await withTaskGroup(of: Result<Unpacked?, Failure>.self) { group in
      group.addTask {
        do throws(Failure) {
          try await bring()
          return .success(nil)
        } catch { return .failure(error) }
      }
      group.addTask {
        do throws(Failure) {
          return .success(try await unpack(feed, plan, hashing: found.proof.hashes, to: output, meter))
        } catch { return .failure(error) }
      }
      var result = Result<Unpacked?, Failure>.success(nil)
      for await ended in group {
        switch (ended, result) {
        // Who was ended by the failure of the other one may be first.
        case (.failure, .failure(.interrupted)): result = ended
        // What came first is the reason of what came next.
        case (.failure, .success):
          result = ended
          feed.stop()
          group.cancelAll()
        case (.success(let unpacked?), .success): result = .success(unpacked)
        default: break
        }
      }
      return result
    }
    guard let unpacked = try result.get() else { throw .interrupted }
    return unpacked
  }

  /// Compares what came with what is known of it, as `Proof.check` does, and what comes out with what went in.
  ///
  /// - Returns: `verified` of the result.
  /// - Throws: `input` if it is not what was stored; `protocol` if nobody can tell.
  func prove(_ found: Found, _ unpacked: Unpacked, _ fetch: Fetch) throws(Failure) -> String {
    var proof = found.proof
    try proof.check(path, length: unpacked.objectLength, digests: unpacked.objectDigests)
    if options.requireHash { try proof.requireHash(of: target.text) }
    guard proof.isHash || !fetch.isUnproven else {
      throw Failure(
        .protocol, "the server does not say how long \(path) is, so that a cut would not be noticed",
        hint: "say what it must be with --sha256 or --receipt")
    }
    let output = proof.expectsInput(gunzips: options.gunzip, filters: options.through.count)
    try output?.check(path, length: unpacked.outputLength, sha256: unpacked.outputDigest)
    return proof.verified ?? Proof.Source.size.rawValue
  }

  /// Which part of a set is not what the manifest lists, as far as they have come.
  func foreignPart(_ found: Found, in spool: PartialSpool) async -> Failure? {
    guard let manifest = found.manifest else { return nil }
    do throws(Failure) {
      return try await onThread { () throws(Failure) -> Failure? in
        var offset: Int64 = 0
        for (part, stored) in zip(manifest.parts, found.objects) {
          guard try spool.sha256(of: offset..<offset + part.bytes) == part.sha256 else { return .foreignPart(stored.path) }
          offset += part.bytes
        }
        return nil
      }
    } catch {
      return nil
    }
  }
}

/// Keeps a few bytes.
private final class SmallObject: ByteSink {
  private let limit: Int
  private let state = Mutex<[UInt8]>([])

  init(limit: Int) { self.limit = limit }

  var bytes: [UInt8] { state.withLock { $0 } }
  var isTooLong: Bool { bytes.count > limit }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { kept in
      kept.append(contentsOf: bytes.prefix(limit + 1 - kept.count))
      return kept.count <= limit
    }
  }
}

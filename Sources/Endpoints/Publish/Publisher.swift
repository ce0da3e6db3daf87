public import BytePath
import Synchronization

/// What is promised of an upload, over any store: that an object appears whole or not at all, and until then what was there stays; that nothing
/// is replaced which is not to be; that what a failed attempt left is removed, or named; that a lost answer is found out; and what `--verify`
/// says. Trying again is not its business.
public struct Publisher: Sendable {
  public let store: any Store
  let context: EndpointContext
  let looks = Looks()
  let names = TemporaryNames()

  public init(_ store: any Store, _ context: EndpointContext) {
    self.store = store
    self.context = context
  }

  /// Asks whether an upload to `path` may succeed. Stores nothing.
  ///
  /// - Throws: `exists` or `rejected` for what is there, or whatever the server says against it.
  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let place = try store.place(of: path)
    if store.probesFirst { try await store.probe(place, attributes) }
    async let probing = answer { () throws(Failure) in if !store.probesFirst { try await store.probe(place, attributes) } }
    // What it asks is remembered for the upload, and may tell by the way what is there; what it can't be told now is asked then.
    let learned = await answer { () throws(Failure) in try await store.traits(of: place, attributes) }
    let looked = await answer { () throws(Failure) in try await store.stat(place, fresh: false) }
    _ = try await probing.get()
    let finding = try looked.get()
    looks.note(finding, at: place)
    if let traits = try? learned.get() { try refuseUntold(finding, traits, attributes) }
    try refuse(finding, path, attributes.existing)
    if finding.isNothing { try await store.probeNew(place) }
  }

  /// What the object at `path` may need to be known of it besides its bytes. Asked after `check`.
  public func wantedHashes(for path: String, _ attributes: Attributes) async -> Set<HashAlgorithm> {
    guard let place = try? store.place(of: path) else { return [] }
    return (try? await store.traits(of: place, attributes))?.wantedHashes ?? []
  }

  /// What is at `path`, asked anew.
  public func find(_ path: String) async throws(Failure) -> Finding {
    try await store.stat(try store.place(of: path), fresh: true)
  }

  /// Sends the whole payload once.
  ///
  /// - Throws: any failure; `isOutcomeUnknown` is set if the server may have stored the object although it did not say so.
  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let attempt = PutAttempt(publisher: self, upload: upload, place: try store.place(of: upload.path))
    // What is there now is another object, or nobody knows what.
    defer { looks.forget(attempt.place) }
    do throws(Failure) { return try await attempt.receipt() } catch {
      var failure = error
      // The attempt that ends a run need not be the one that left something.
      failure.left += attempt.keeper.left.filter { !failure.left.contains($0) }
      throw failure
    }
  }

  /// Lets go of what the server keeps of an upload that will not go on, as its checkpoint tells. What is not there any more needs nothing.
  public func abandon(_ upload: Upload) async throws(Failure) {
    let keeper = NoteKeeper(checkpoint: upload.checkpoint, place: try store.place(of: upload.path))
    defer { looks.forget(keeper.place) }
    guard let note = keeper.note else { return upload.checkpoint.set(nil) }
    let name = note.temporary.map(keeper.path) ?? keeper.place
    if let session = note.session, let sessions = store as? any SessionStore {
      try await sessions.abort(session, at: name, length: upload.payload.length)
    }
    if let renaming = store as? any RenamingStore {
      if let aside = note.aside.map(keeper.path), try await store.stat(aside, fresh: true).stored != nil {
        // Where something has the name, the older object was replaced.
        if try await store.stat(keeper.place, fresh: true).isNothing {
          if case .impossible(let failure) = try await renaming.rename(aside, to: keeper.place, .absent) { throw failure }
        } else {
          try await renaming.remove(aside)
        }
      }
      if note.temporary != nil { try await renaming.remove(name) }
    }
    keeper.clear()
  }

  /// Asks whether the object at `path` is the payload.
  ///
  /// - Returns: what was compared.
  /// - Throws: `Failure.mismatch` if it is not, or whatever the asking fails with.
  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    let place = try store.place(of: path)
    let traits = try await store.traits(of: place, Attributes())
    return try await compare(place, path, with: payload, reads: traits.readsToVerify)
  }

  /// Compares what is at a place with the payload, as far as the server tells.
  ///
  /// - Parameters:
  ///   - name: what it is to be called, for messages.
  ///   - reads: whether to read it where the server tells too little.
  func compare(_ place: String, _ name: String, with payload: Payload, reads: Bool = false) async throws(Failure) -> Verification {
    var stored: Stored
    switch try await store.stat(place, fresh: true) {
    case .nothing: throw .mismatch("\(name) is not there after the upload")
    case .stored(let found): stored = found
    case .untold(let failure):
      guard reads else { throw failure }
      stored = Stored(place)
    }
    guard stored.isDirectory != true else { throw .mismatch("\(name) is a directory after the upload") }
    stored.path = name
    if let failure = store.explanation(of: stored, insteadOf: payload) { throw failure }
    if let size = stored.size, size != payload.length {
      throw .mismatch("\(name) has \(size) bytes there instead of \(payload.length)")
    }
    switch try await store.isSame(stored, as: payload) {
    case true?: return .sizeAndHash
    case false?: throw .mismatch("\(name) has other bytes there than were sent")
    case nil: break
    }
    // Apache, for one, tells how long an empty object is to those alone who read it.
    if reads || stored.size == nil && payload.length == 0 { return try await compareByReading(place, name, with: payload) }
    guard stored.size != nil else { throw Failure(.protocol, "the server does not say how long \(name) is, so --verify can't tell") }
    return .size
  }

  private func compareByReading(_ place: String, _ name: String, with payload: Payload) async throws(Failure) -> Verification {
    let receiver = BodyReceiver(limit: payload.length)
    switch try await store.read(place, nil, of: nil, into: receiver) {
    case .nothing: throw .mismatch("\(name) is not there after the upload")
    case .untold(let failure): throw failure
    case .stored: break
    }
    guard receiver.count <= payload.length else {
      throw .mismatch("\(name) has more bytes there than the \(payload.length) that were sent")
    }
    guard receiver.count == payload.length else {
      throw .mismatch("\(name) has \(receiver.count) bytes there instead of \(payload.length)")
    }
    guard try await payload.digest(.sha256) == receiver.sha256 else {
      throw .mismatch("\(name) has other bytes there than were sent")
    }
    return .sizeAndHash
  }

  /// - Throws: why nobody said what is there, if that must be known: of a server that does not tell it is not known either what a rename would do.
  func refuseUntold(_ finding: Finding, _ traits: Traits, _ attributes: Attributes) throws(Failure) {
    guard case .untold(let failure) = finding, !traits.guardsNewNames, !goesDirectly(traits, attributes) else { return }
    throw knows(.direct) ? failure.withHint("an upload straight to its name may be allowed: -o direct") : failure
  }

  /// Whether an object goes to its own name from the first byte on.
  func goesDirectly(_ traits: Traits, _ attributes: Attributes) -> Bool {
    traits.publishesAtomically || traits.renames == .never || !(store is any RenamingStore) || isToldToGoDirectly(attributes)
  }

  /// The options are for all destinations of a run, of which each takes those that it knows.
  private func isToldToGoDirectly(_ attributes: Attributes) -> Bool { attributes.has(StoreOption.direct.key) && knows(.direct) }

  private func knows(_ option: StoreOption) -> Bool { store.kind.options.contains { $0.key == option.key } }

  /// - Throws: `rejected` if a directory is there, `exists` if an object is that is not to be replaced.
  func refuse(_ finding: Finding, _ path: String, _ existing: Existing) throws(Failure) {
    guard let stored = finding.stored else { return }
    if stored.isDirectory == true {
      throw Failure(.rejected, "\(path) is a directory", hint: "add the name of the object: \(path)/NAME")
    }
    if existing == .refuse { throw .alreadyThere(path) }
  }
}

extension Failure {
  /// - Parameter mayPass: whether another attempt may replace it.
  static func alreadyThere(_ path: String, mayPass: Bool = false) -> Failure {
    Failure(.exists, "\(path) exists already", hint: mayPass ? nil : "leave out --no-clobber to replace it", retryable: mayPass)
  }
}

/// What was found at places a moment ago, so that a small upload need not ask again what was asked before it.
final class Looks: Sendable {
  /// Within it, what somebody else has put there may go unseen, as it may between any question and what is done after it.
  private static let validity = Duration.seconds(5)

  private let known = Mutex<[String: (finding: Finding, moment: ContinuousClock.Instant)]>([:])

  func note(_ finding: Finding, at place: String) { known.withLock { $0[place] = (finding, .now) } }

  func forget(_ place: String) { known.withLock { $0[place] = nil } }

  /// Nil if nobody has looked lately.
  func recent(_ place: String) -> Finding? {
    known.withLock { known in
      guard let look = known[place], look.moment.duration(to: .now) < Looks.validity else { return nil }
      return look.finding
    }
  }
}

/// Tasks of their own have no typed throws.
func answer<Value: Sendable>(_ work: () async throws(Failure) -> Value) async -> Result<Value, Failure> {
  do throws(Failure) { return .success(try await work()) } catch { return .failure(error) }
}

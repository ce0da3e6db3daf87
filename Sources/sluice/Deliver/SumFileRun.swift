import BytePath
import Endpoints

/// `--sum`: sees to it that `NAME.sha256` beside an object is never of another one.
///
/// An older one is removed before the object is sent, and the new one comes when the object is there. Who dies between leaves an object without
/// one. All this happens while no other run may upload to the object's name, so that the sum of one run and the object of another never meet;
/// and as the sum has a name too, that is taken as well.
struct SumFileRun: Sendable {
  /// Where the sum goes.
  let target: Target
  /// The name of the object, without its folder.
  private let name: String
  private let existing: Existing
  private let verifies: Bool
  private let options: [String: String]
  private let settings: DeliverySettings
  private let index: Int
  private let order: RunOrder

  private var messages: Messages { settings.messages }

  /// Begins the work for an object, whose turn has come.
  ///
  /// - Parameter index: of the destination.
  /// - Throws: as `objectPath`; `interrupted`.
  init(of object: Target, _ index: Int, _ job: HeldJob, number: Int64?, _ settings: DeliverySettings) async throws(Failure) {
    target = try object.beside(SumFile.suffix)
    name = SumFile.base(of: object.path)
    (existing, verifies, options) = (job.attributes.existing, job.verifies, object.attributes(job.attributes).options)
    self.settings = settings
    self.index = index
    order = RunOrder(in: settings.place, id: nil, bytes: 0, number: number, [index: target], settings.messages)
    _ = try await order.turn(index, target, .refuse)
  }

  /// Lets other runs upload to the sum's name.
  func end() {
    order.endTurn(index)
    order.end { _ in false }
  }

  /// Asks before the input is read whether a sum may be put there, and an older one removed.
  ///
  /// - Throws: `exists` or `rejected` for what is there, `usage` if it can never be done, or whatever the asking fails with.
  static func check(beside object: Target, _ given: Attributes) async throws(Failure) {
    let target = try object.beside(SumFile.suffix)
    let attributes = Attributes(existing: given.existing, options: object.attributes(given).options)
    try await target.publisher.check(target.path, attributes)
    _ = try await isInTheWay(target, given.existing)
  }

  /// Whether an older sum may be there and has to be removed.
  private static func isInTheWay(_ target: Target, _ existing: Existing) async throws(Failure) -> Bool {
    guard let store = target.store as? any RemovingStore else {
      throw Failure(.usage, "--sum has no effect: \(target.kind.title) cannot remove an older sum")
    }
    let lack = await store.permanence(at: target.path)
    switch try await target.publisher.find(target.path) {
    case .nothing: return false
    case .stored(let stored):
      if stored.isDirectory == true { throw Failure(.rejected, "\(target.path), where the sum is to go, is a directory") }
      if existing == .refuse {
        throw Failure(.exists, "\(target.path) exists already", hint: "it is the sum of no object: remove it, or leave out --no-clobber")
      }
      guard let lack else { return true }
      throw Failure(.rejected, "\(target.path) is there, and \(lack.message)", hint: "remove it by hand, or leave out --sum")
    case .untold(let failure):
      // What removes objects may remove folders as well, where there are some.
      if existing == .refuse || target.store is any DirectoryStore && !target.kind.isPlugin { throw failure }
      if let lack { throw Failure(.usage, "\(target.text): --sum has no effect: \(lack.message)", hint: lack.hint) }
      return true
    }
  }

  /// Removes an older sum: from here on there is none until the object is whole.
  func clear() async throws(Failure) {
    do throws(Failure) {
      var tries = 0
      try await settings.retries.attempt(target.text, messages, tries: &tries) { () throws(Failure) in
        guard try await SumFileRun.isInTheWay(target, existing), let store = target.store as? any RemovingStore else { return }
        try await store.remove(try store.place(of: target.path))
        messages.detail("\(target.text): an older sum is removed")
      }
    } catch {
      var failure = error
      failure.message = "the object was not sent, as an older sum may be beside it: \(error.message)"
      throw failure
    }
  }

  /// Puts the sum beside the object, which is there.
  ///
  /// - Parameter isLate: whether an earlier run has put the object there. Then a sum that has come since is of that one too, or of none.
  /// - Returns: its path.
  func write(_ sha256: Checksum, isLate: Bool) async throws(Failure) -> String {
    do throws(Failure) {
      let place = settings.place
      let line = Array(SumFile.line(sha256, name).utf8)
      let payload = try await Payload.made(of: line, in: { () throws(Failure) in try place.open() })
      defer { payload.spool?.remove() }
      let order = order
      let index = index
      let attributes = Attributes(existing: isLate ? .overwrite : existing, options: options)
      let upload = Upload(payload, to: target.path, attributes, Meter(), Checkpoint(nil) { order.remember($0, index) })
      let retry = Retry(target: target, policy: settings.retries, verifies: verifies, messages: messages)
      _ = try await retry.put(upload).result.get()
      return target.path
    } catch {
      var failure = error
      failure.message = "the object is there, but its sum \(target.path) is not: \(error.message)"
      throw failure
    }
  }
}

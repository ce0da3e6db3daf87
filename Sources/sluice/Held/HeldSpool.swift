import BytePath
import Endpoints
import Synchronization

/// The spool of a run while its destinations end one by one: removed when all have the object, kept for those that have not.
///
/// That the spool is kept is a safety net under the upload, which does not need it: it reads from the open descriptor. So a job that can't be
/// written, on a disk that has become full for instance, is told of and tried again when an upload has failed; nothing ends because of it.
///
/// A job is on the disk, and so outlives a loss of power, from the fifth second of an upload on, and whenever an object is held in the end.
/// An upload that takes less long pays nothing for it. From then on each change of the job is brought there before it has its name: some file
/// systems keep the name and lose the bytes otherwise, and a job without bytes is worse than an older one.
final class HeldSpool: Sendable {
  /// Each is more than the one before it.
  private enum Stage: Comparable {
    /// The spool dies with the process.
    case loose
    /// It is to outlive the process, and its job could not be written.
    case wanted
    /// It does: the job is beside it.
    case kept
    /// It outlives a loss of power as well: the data is on the disk, and the job gets there with each change.
    case safe
  }

  private struct State {
    var job: HeldJob
    var stage: Stage
    /// Whether the run has done with it.
    var isClosed = false

    var isKept: Bool { stage >= .kept }
    var isSafe: Bool { stage == .safe }
  }

  /// The run's place among others.
  let order: RunOrder
  private let spool: Spool?
  private let state: Mutex<State>
  private let messages: Messages

  private init(_ spool: Spool?, _ order: RunOrder, _ state: sending State, _ messages: Messages) {
    self.spool = spool
    self.order = order
    self.messages = messages
    var state = state
    state.job.number = order.number ?? state.job.number
    for index in state.job.destinations.indices {
      state.job.destinations[index].name = order.hash(index) ?? state.job.destinations[index].name
    }
    self.state = Mutex(state)
  }

  /// One that outlives the process from now on, if its job can be written.
  ///
  /// - Parameters:
  ///   - spool: nil if the object is a regular file, which stays where it lies.
  ///   - holds: false with `--no-hold`.
  convenience init(_ spool: Spool?, _ job: HeldJob, _ order: RunOrder, holds: Bool, _ messages: Messages) {
    self.init(spool, order, State(job: job, stage: holds ? .wanted : .loose), messages)
    if holds { keepOrWarn() }
  }

  /// One that does not outlive the process until `keep` says so.
  convenience init(leaving spool: Spool?, _ job: HeldJob, _ order: RunOrder, _ messages: Messages) {
    self.init(spool, order, State(job: job, stage: .loose), messages)
  }

  /// Goes on with a spool whose job is beside it already: a disk that is full must not keep it from being sent.
  convenience init(resuming spool: Spool, _ job: HeldJob, _ order: RunOrder, _ messages: Messages) {
    self.init(spool, order, State(job: job, stage: .safe), messages)
    order.hold(spool, for: job.waiting, isDurable: false)
  }

  /// What is to be done with the spool, as it is known by now.
  var job: HeldJob { state.withLock { $0.job } }

  /// Whether no more than one destination waits for the bytes, be it one that can't be opened now.
  var isWantedOnce: Bool { job.destinations.count { !$0.isDone } == 1 }

  /// The ID of the spool if it is kept.
  var id: String? { state.withLock { $0.isKept ? spool?.id : nil } }

  /// Makes the spool outlive the process from now on, unless it is gone, or no destination waits for it.
  ///
  /// - Parameter change: what is still to be said in its job.
  /// - Throws: `spool` if the job can't be written.
  func keep(_ change: (inout HeldJob) -> Void) throws(Failure) {
    guard let spool, !spool.isMoved else { return }
    let isNew = try state.withLock { (state) throws(Failure) in
      guard !state.isClosed else { return false }
      change(&state.job)
      state.stage = max(state.stage, .wanted)
      guard !state.job.isDone else { return false }
      // First, so that none is held of which a later success does not know.
      if !state.isKept { order.hold(spool, for: state.job.waiting, isDurable: state.isSafe) }
      try state.job.write(to: spool, isDurable: state.isSafe)
      defer { state.stage = max(state.stage, .kept) }
      return !state.isKept
    }
    if isNew { point(isDurable: false) }
  }

  /// As `keep`; says what can't be done.
  func keepOrWarn(_ change: (inout HeldJob) -> Void = { _ in }) {
    do throws(Failure) { try keep(change) } catch {
      messages.warning("\(error.message); the object is sent all the same, and is not held if that fails")
    }
  }

  /// Notes in the usual folder where the spool is, if it is in another that nobody would look into.
  private func point(isDurable: Bool) {
    guard let spool, spool.directory.isTransient else { return }
    do throws(Failure) { try SpoolPlace.index.get().point(to: spool, isDurable: isDurable) } catch { messages.warning(error.message) }
  }

  /// Whether a later run can go on with what an endpoint remembers of this one.
  var isResumable: Bool { state.withLock { $0.isKept } }

  /// What the endpoint of a destination remembers between attempts and runs: kept in the job, so that a later push goes on with it, and in the
  /// record of the name, so that another run can let go of it. Asked for when its turn has come.
  func checkpoint(for index: Int) -> Checkpoint {
    let known = state.withLock { state in state.isKept ? state.job.destinations[index].checkpoint : nil }
    return Checkpoint(order.isAbandoned(index) ? nil : known) { [self] text in
      order.remember(text, index)
      change { job in job.destinations[index].checkpoint = text }
    }
  }

  /// Notes that the object of a newer run stands at a destination. Returns the spool's ID if it is kept.
  func superseded(_ index: Int) -> String? {
    change { job in
      job.destinations[index].isSuperseded = true
      job.destinations[index].checkpoint = nil
    }
    return id
  }

  /// Notes that a destination has the object, and lacks its sum still.
  func stored(_ index: Int) { change { $0.destinations[index].lacksSum = true } }

  /// Notes how a destination ended. Returns the spool's ID if it is kept for it.
  func ended(_ index: Int, _ failure: Failure?) -> String? {
    let failureToTell = change { job in
      // One that is done stays so, also if it is done because it gets nothing more.
      guard !job.destinations[index].isDone else { return }
      job.destinations[index].isDone = failure == nil
      job.destinations[index].error = failure?.message
      job.destinations[index].errorKind = failure?.kind.rawValue
      job.destinations[index].isRefused = failure?.isRefusal == true ? true : nil
    }
    if let failureToTell { messages.warning(failureToTell.message) }
    // There may be room for the job by now.
    if failure != nil, state.withLock({ $0.stage == .wanted }) { try? keep { _ in } }
    return failure == nil || spool?.isMoved != false ? nil : id
  }

  /// Changes the job, and writes it if it is kept. Returns why that could not be done: then a later run does some things again, no more.
  @discardableResult
  private func change(_ body: (inout HeldJob) -> Void) -> Failure? {
    guard let spool, !spool.isMoved else { return nil }
    return state.withLock { state in
      body(&state.job)
      // With the last one the spool goes, or is gone.
      guard state.isKept, !state.job.isDone else { return nil }
      do throws(Failure) { try state.job.write(to: spool, isDurable: state.isSafe) } catch { return error }
      return nil
    }
  }

  /// Brings the spool to the disk while an upload that takes long goes on, so that it outlives a loss of power too. A short one is over before
  /// that would be, and pays nothing for it.
  func bringToDiskIfLong() async {
    guard spool != nil, (try? await Task.sleep(for: .seconds(5))) != nil else { return }
    do throws(Failure) { try await onThread { () throws(Failure) in try self.bringToDisk() } } catch { messages.warning(error.message) }
  }

  /// Brings what is kept to the disk: the data, then the job, then their folder. Blocks.
  ///
  /// - Throws: `spool` if the disk does not take it.
  func bringToDisk() throws(Failure) {
    guard let spool, id != nil else { return }
    try spool.synchronizeData()
    order.synchronizeCounter()
    let isNeeded = try state.withLock { (state) throws(Failure) in
      state.stage = .safe
      guard !state.isClosed || !state.job.isDone, !spool.isMoved else { return false }
      try state.job.write(to: spool, isDurable: true)
      return true
    }
    guard isNeeded else { return }
    point(isDurable: true)
    order.hold(spool, for: state.withLock { $0.job.waiting }, isDurable: true)
  }

  /// Removes the spool if nobody needs it any more. Returns whether it stays; then nothing changes any more.
  func close() -> Bool {
    let (wasKept, isNeeded) = state.withLock { state in
      state.isClosed = true
      return (state.isKept, state.isKept && spool?.isMoved == false && !state.job.isDone)
    }
    guard let spool, !isNeeded else {
      if spool == nil { order.end { _ in false } }
      return isNeeded
    }
    if wasKept, spool.directory.isTransient, let index = try? SpoolPlace.index.get() { index.forget(spool.id) }
    spool.remove()
    order.end { _ in false }
    return false
  }

  /// Of what stays after `close`: brings it to the disk, and lets go of the names. Blocks.
  func settle() {
    // Gigabytes may take long to reach the disk, and who has pressed Ctrl-C does not wait for them.
    if !Task.isCancelled {
      do throws(Failure) { try bringToDisk() } catch { messages.failure(error) }
    }
    let waiting = state.withLock { $0.job.waiting }
    order.end { waiting.contains($0) }
  }

  /// As `close`; what stays is brought to the disk. Blocks.
  ///
  /// - Returns: for the user's last line how to send what stays, or that it does not although it should; nil if nothing waits to be sent.
  func finish() -> String? {
    let isLost = state.withLock { $0.stage == .wanted && !$0.job.waiting.isEmpty } && spool?.isMoved == false
    guard close(), let spool else { return isLost ? "the object could not be held, because its job could not be written" : nil }
    settle()
    guard state.withLock({ !$0.job.waiting.isEmpty }) else { return nil }
    let isFound = spool.directory.isTransient || spool.directory.path == SpoolPlace(option: nil).path
    let place = isFound ? "" : "--spool-dir \(spool.directory.path) "
    return "the object is held; send it with: sluice held push \(place)\(spool.id)"
  }
}

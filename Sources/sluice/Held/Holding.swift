import BytePath
import Endpoints
import Synchronization

/// The spool of a run while its destinations end one by one: removed when all have the object, kept for those that have not.
final class Holding: Sendable {
  private struct State {
    var job: HeldJob?
    /// Whether the spool outlives the process.
    var isKept = false
    var isClosed = false
  }

  private let spool: Spool?
  private let state: Mutex<State>
  private let messages: Messages

  /// - Parameters:
  ///   - spool: nil if the object is a regular file, which stays where it lies.
  ///   - holds: false with `--no-hold`.
  /// - Throws: `spool` if the job can't be written.
  init(_ spool: Spool?, _ job: HeldJob?, holds: Bool, _ messages: Messages) throws(Failure) {
    self.spool = spool
    self.messages = messages
    state = Mutex(State(job: job))
    if holds { try keep { _ in } }
  }

  /// The ID of the spool if it is kept.
  var id: String? { state.withLock { $0.isKept ? spool?.id : nil } }

  /// Makes the spool outlive the process from now on, unless it is gone.
  ///
  /// - Parameter change: what is still to be said in its job.
  /// - Throws: `spool` if the job can't be written.
  func keep(_ change: (inout HeldJob) -> Void) throws(Failure) {
    guard let spool else { return }
    let isNew = try state.withLock { (state) throws(Failure) in
      guard !state.isClosed, var job = state.job else { return false }
      change(&job)
      guard !job.isDone else { return false }
      try job.write(to: spool)
      state.job = job
      defer { state.isKept = true }
      return !state.isKept
    }
    guard isNew, spool.directory.isTransient else { return }
    do throws(Failure) { try SpoolPlace.index.get().point(to: spool) } catch { messages.warning(error.message) }
  }

  /// One that does not outlive the process until `keep` says so.
  init(leaving spool: Spool?, _ job: HeldJob, _ messages: Messages) {
    self.spool = spool
    self.messages = messages
    state = Mutex(State(job: job))
  }

  /// Goes on with a spool whose job is beside it already: a disk that is full must not keep it from being sent.
  init(resuming spool: Spool, _ job: HeldJob, _ messages: Messages) {
    self.spool = spool
    self.messages = messages
    state = Mutex(State(job: job, isKept: true))
  }

  /// What the endpoint of a destination remembers between attempts and runs, kept in the job.
  func checkpoint(for index: Int) -> Checkpoint {
    guard let text = state.withLock({ state in state.isKept ? .some(state.job?.destinations[index].checkpoint) : nil }) else {
      return Checkpoint()
    }
    return Checkpoint(text) { [self] text in
      change { job in job.destinations[index].checkpoint = text }
    }
  }

  /// Notes how a destination ended. Returns the spool's ID if it is kept for it.
  func ended(_ index: Int, _ failure: Failure?) -> String? {
    let failureToTell = change { job in
      // One that is done stays so, also if it is done because it gets nothing more.
      guard !job.destinations[index].isDone else { return }
      job.destinations[index].isDone = failure == nil
      job.destinations[index].error = failure?.message
    }
    if let failureToTell { messages.warning(failureToTell.message) }
    return failure == nil || spool?.isMoved != false ? nil : id
  }

  /// Changes the job, and writes it if it is kept. Returns why that could not be done: then a later run does some things again, no more.
  @discardableResult
  private func change(_ body: (inout HeldJob) -> Void) -> Failure? {
    guard let spool, !spool.isMoved else { return nil }
    return state.withLock { state in
      guard var job = state.job else { return nil }
      body(&job)
      state.job = job
      // With the last one the spool goes, or is gone.
      guard state.isKept, !job.isDone else { return nil }
      do throws(Failure) { try job.write(to: spool) } catch { return error }
      return nil
    }
  }

  /// Brings the spool to the disk while an upload that takes long goes on, so that it outlives a loss of power too. A short one is over before
  /// that would be, and pays nothing for it.
  func bringToDiskIfLong() async {
    guard let spool, (try? await Task.sleep(for: .seconds(5))) != nil, id != nil else { return }
    do throws(Failure) { try await onThread { () throws(Failure) in try spool.synchronize() } } catch { messages.warning(error.message) }
  }

  /// Removes the spool if nobody needs it any more. Returns whether it stays; then nothing changes any more.
  func close() -> Bool {
    guard let spool else { return false }
    let (wasKept, isNeeded) = state.withLock { state in
      state.isClosed = true
      return (state.isKept, state.isKept && !spool.isMoved && state.job?.isDone == false)
    }
    guard !isNeeded else { return true }
    if wasKept, spool.directory.isTransient, let index = try? SpoolPlace.index.get() { index.forget(spool.id) }
    spool.remove()
    return false
  }

  /// Brings what is kept to the disk. Blocks.
  func bringToDisk() {
    guard let spool, id != nil else { return }
    do throws(Failure) { try spool.synchronize() } catch { messages.warning(error.message) }
  }

  /// As `close`; what stays is brought to the disk, and how to send it is said. Blocks.
  func finish() {
    guard close(), let spool else { return }
    // Gigabytes may take long to reach the disk, and who has pressed Ctrl-C does not wait for them.
    if !Task.isCancelled {
      do throws(Failure) { try spool.synchronize() } catch { messages.failure(error) }
    }
    let isFound = spool.directory.isTransient || spool.directory.path == SpoolPlace(option: nil).path
    let place = isFound ? "" : "--spool-dir \(spool.directory.path) "
    messages.note("the object is held; send it with: sluice held push \(place)\(spool.id)")
  }
}

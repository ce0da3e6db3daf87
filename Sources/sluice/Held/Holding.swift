import BytePath
import Endpoints
import Synchronization

/// The spool of a run while its destinations end one by one: removed when all have the object, kept for those that have not.
final class Holding: Sendable {
  private let spool: Spool?
  private let job: Mutex<HeldJob?>
  private let isHeld: Bool
  private let messages: Messages

  /// - Parameters:
  ///   - spool: nil if the object is a regular file, which stays where it lies.
  ///   - holds: false with `--no-hold`.
  /// - Throws: `spool` if the job can't be written.
  init(_ spool: Spool?, _ job: HeldJob?, holds: Bool, _ messages: Messages) throws(Failure) {
    self.spool = spool
    self.messages = messages
    isHeld = holds && spool != nil
    self.job = Mutex(job)
    guard isHeld, let spool, let job else { return }
    try job.write(to: spool)
    guard spool.directory.isTransient else { return }
    do throws(Failure) { try SpoolPlace.index.get().point(to: spool) } catch { messages.warning(error.message) }
  }

  /// What the endpoint of a destination remembers between attempts and runs, kept in the job.
  func checkpoint(for index: Int) -> Checkpoint {
    guard isHeld else { return Checkpoint() }
    return Checkpoint(job.withLock { $0?.destinations[index].checkpoint }) { [self] text in
      guard let spool, !spool.isMoved else { return }
      job.withLock { job in
        job?.destinations[index].checkpoint = text
        // Without it a later run begins anew, and that is all there is to lose.
        try? job?.write(to: spool)
      }
    }
  }

  /// Notes how a destination ended. Returns the spool's ID if it is kept for it.
  func ended(_ index: Int, _ failure: Failure?) -> String? {
    guard isHeld, let spool, !spool.isMoved else { return nil }
    job.withLock { job in
      job?.destinations[index].isDone = failure == nil
      job?.destinations[index].error = failure?.message
      // With the last one the spool goes, or is gone.
      guard job?.isDone == false else { return }
      do throws(Failure) { try job?.write(to: spool) } catch { messages.warning(error.message) }
    }
    return failure == nil ? nil : spool.id
  }

  /// Brings the spool to the disk while an upload that takes long goes on, so that it outlives a loss of power too. A short one is over before
  /// that would be, and pays nothing for it.
  func bringToDiskIfLong() async {
    guard isHeld, let spool, (try? await Task.sleep(for: .seconds(5))) != nil else { return }
    do throws(Failure) { try await onThread { () throws(Failure) in try spool.synchronize() } } catch { messages.warning(error.message) }
  }

  /// Removes the spool if nobody needs it any more, otherwise brings it to the disk and says how to send it. Blocks.
  func finish() {
    guard let spool else { return }
    let isNeeded = isHeld && !spool.isMoved && job.withLock { $0?.isDone == false }
    guard isNeeded else {
      if isHeld, spool.directory.isTransient, let index = try? SpoolPlace.index.get() { index.forget(spool.id) }
      return spool.remove()
    }
    // Gigabytes may take long to reach the disk, and who has pressed Ctrl-C does not wait for them.
    if !Task.isCancelled {
      do throws(Failure) { try spool.synchronize() } catch { messages.failure(error) }
    }
    let isFound = spool.directory.isTransient || spool.directory.path == SpoolPlace(option: nil).path
    let place = isFound ? "" : "--spool-dir \(spool.directory.path) "
    messages.note("the object is held; send it with: sluice held push \(place)\(spool.id)")
  }
}

import BytePath
import Endpoints
import Synchronization

/// Which run's object stands under a name in the end: never that of an older run once one of a newer run was stored there.
///
/// Newer is the run whose input ended later. At that moment a run takes a number from a counter in the spool folder, not from the clock, which
/// may have run ahead, and its number goes into its job. The counter is shared by those who share the folder; nothing is promised beyond.
///
/// A name is a kind of endpoint, a server, a user name if one is given, and a path; of a plugin, the text of the destination. One run at a time
/// uploads to a name; a later one waits. When its turn has come it looks at the name's record (`NameRecord`, in a `NameFile`):
/// - Was the object of a newer run stored there, this one is superseded: it is not sent, which is no failure, since the name has what it would
///   have if both had been. The spool stays until it is dropped, and can be sent all the same if the user says so.
/// - Did another run fail or die there, what it left at the server is let go of first (`Endpoint.abandon`), as its checkpoint tells, whether its
///   input was a spool or a file.
///
/// After a success the jobs that older runs hold for the name are marked as superseded. What a run cannot mark, because another process
/// has the spool open, is told by `stored` in the record. A record is there as long as a run is held or has left something, or one that runs
/// must know what was stored; after that nothing is left of it.
///
/// All this is beside the upload. Where it can't be noted, on a full or read-only disk, the upload goes on without it.
final class RunOrder: Sendable {
  /// Whether a run may upload to a name.
  enum Turn: Sendable {
    case go
    /// The object of a newer run stands there.
    case superseded
  }

  private struct Name: Sendable {
    let file: NameFile
    /// This run, as it is noted first.
    let run: NameRecord.Run
    /// Whether the record has it.
    var isNoted = false
  }

  /// Of the run: higher than those of all runs whose input ended before; nil if it can't be known.
  let number: Int64?
  /// The folder that has the records.
  private let directory: SpoolDirectory?
  private let messages: Messages
  /// By the index of the destination.
  private let names: Mutex<[Int: Name]>

  /// - Parameters:
  ///   - place: where the records are.
  ///   - id: of the spool; nil if the object is a regular file.
  ///   - number: that of a run that has one already.
  ///   - targets: by the index of the destination.
  init(in place: SpoolPlace, id: String?, bytes: Int64, number: Int64? = nil, _ targets: [Int: Target], _ messages: Messages) {
    self.messages = messages
    do throws(Failure) {
      let opened = try RunOrder.opened(place, id ?? Spool.newID(), bytes, number, targets)
      self.number = opened.number
      directory = opened.directory
      names = Mutex(opened.names)
    } catch {
      messages.detail("\(error.message); the order of uploads to the same name is not kept")
      self.number = nil
      directory = nil
      names = Mutex([:])
    }
  }

  private static func opened(
    _ place: SpoolPlace, _ id: String, _ bytes: Int64, _ known: Int64?, _ targets: [Int: Target]
  ) throws(Failure) -> (number: Int64, directory: SpoolDirectory, names: [Int: Name]) {
    let directory = try place.open()
    let folder = NameFolder(in: directory)
    do throws(SystemError) {
      let number = if let known { known } else { try folder.nextNumber { lastNumber(in: directory) } }
      var names: [Int: Name] = [:]
      for (index, target) in targets {
        let file = try folder.open(NameFolder.hash(of: target.identity))
        names[index] = Name(file: file, run: NameRecord.Run(id: id, index: index, number: number, bytes: bytes))
      }
      return (number, directory, names)
    } catch {
      throw Failure(.spool, "cannot use \(directory.path)/.names: \(error.words)")
    }
  }

  /// The highest number of what is held, if the counter was lost.
  private static func lastNumber(in directory: SpoolDirectory) -> Int64 {
    let here = ((try? directory.completeIDs()) ?? []).map { (directory, $0) }
    let elsewhere = ((try? directory.idsElsewhere()) ?? []).compactMap { id in directory.other(having: id).map { ($0, id) } }
    return (here + elsewhere).lazy.compactMap { (try? HeldJob(reading: $1, in: $0))?.number }.max() ?? 0
  }

  /// The hash of the name of a destination, for the job.
  func hash(_ index: Int) -> String? { names.withLock { $0[index]?.file.hash } }

  /// Notes that a spool is kept for the destinations of these indices, so that a later success finds it.
  ///
  /// - Parameter isDurable: as of `Spool.keep`.
  func hold(_ spool: Spool, for indices: [Int], isDurable: Bool) {
    guard let number, let place = realpath(spool.directory.path, nil) else { return }
    defer { free(place) }
    let folder = String(cString: place)
    for index in indices {
      note(index, isDurable: isDurable) { run in
        run.folder = folder
        run.number = number
      }
    }
  }

  /// Brings the counter to the disk: a number that is in a job there is not given again after a loss of power. Blocks.
  func synchronizeCounter() {
    guard let directory else { return }
    do throws(SystemError) { try NameFolder(in: directory).synchronize() } catch { tell(error) }
  }

  /// Notes what the endpoint remembers.
  func remember(_ text: String?, _ index: Int) {
    guard text != nil || names.withLock({ $0[index]?.isNoted == true }) else { return }
    note(index) { run in
      run.checkpoint = text
      run.isAbandoned = nil
    }
  }

  /// Notes that the spool, whose job is there, may become the object from now on: a run that dies after that can't note it any more.
  func mayMove(_ index: Int) {
    guard names.withLock({ $0[index]?.isNoted == true }) else { return }
    note(index) { $0.mayBeMoved = true }
  }

  /// Changes what the record says of this run. One of which there is nothing to be remembered is not in it.
  private func note(_ index: Int, isDurable: Bool = false, _ body: (inout NameRecord.Run) -> Void) {
    guard let name = names.withLock({ $0[index] }) else { return }
    do throws(SystemError) {
      var isNoted = false
      try name.file.change(isDurable: isDurable) { record in
        var run = record[name.run] ?? name.run
        body(&run)
        isNoted = run.folder != nil || run.checkpoint != nil
        if isNoted { record.put(run) } else { record.remove(run) }
      }
      names.withLock { $0[index]?.isNoted = isNoted }
    } catch {
      tell(error)
    }
  }

  /// Waits until this run may upload to the name, and makes it clean.
  ///
  /// - Parameter existing: who replaces nothing need not be kept from replacing what is newer.
  /// - Throws: `interrupted`.
  func turn(_ index: Int, _ target: Target, _ existing: Existing) async throws(Failure) -> Turn {
    guard let name = names.withLock({ $0[index] }) else { return .go }
    do throws(SystemError) {
      try await name.file.waitForUpload(to: target.text, messages)
      let record = NameRecord(reading: try name.file.record())
      let stored = record.runs.lazy.filter { $0.hasMoved }.map(\.number).reduce(record.stored ?? 0, max)
      if existing == .overwrite, stored > name.run.number { return .superseded }
      for other in record.runs where !other.isSame(as: name.run) && other.checkpoint != nil {
        guard await abandon(other, target) else { break }
        try name.file.change { record in
          guard var other = record[other] else { return }
          other.checkpoint = nil
          other.isAbandoned = true
          if other.folder == nil { record.remove(other) } else { record.put(other) }
        }
      }
    } catch {
      if error.code == ECANCELED { throw .interrupted }
      tell(error)
    }
    return .go
  }

  /// Whether another run has let go of what this one had at the server, so that its own checkpoint means nothing any more.
  func isAbandoned(_ index: Int) -> Bool {
    guard let name = names.withLock({ $0[index] }), let bytes = try? name.file.record() else { return false }
    return NameRecord(reading: bytes)[name.run]?.isAbandoned == true
  }

  private func abandon(_ other: NameRecord.Run, _ target: Target) async -> Bool {
    guard let payload = try? Payload(remembered: other.bytes, sha256: nil, name: "the object of an earlier run") else { return false }
    let upload = Upload(payload, to: target.path, Attributes(), Meter(), Checkpoint(other.checkpoint) { _ in })
    let failure = await cleaningUp { () throws(Failure) in try await target.publisher.abandon(upload) }
    if let failure { messages.detail("\(target.text): what an earlier run left is not removed yet: \(failure.message)") }
    return failure == nil
  }

  func endTurn(_ index: Int) { names.withLock { $0[index] }?.file.endUpload() }

  /// The object of this run stands under the name: older ones that are held are not to replace it. Blocks.
  func stored(_ index: Int) {
    guard let directory, let name = names.withLock({ $0[index] }) else { return }
    do throws(SystemError) {
      let older = NameRecord(reading: try name.file.record()).runs.filter { $0.number < name.run.number && !$0.isSame(as: name.run) }
      let settled = older.filter { $0.folder != nil && Superseding.settle($0, in: directory) }
      var isNoted = false
      try name.file.change(isDurable: settled.count < older.count) { record in
        record.stored = max(record.stored ?? 0, name.run.number)
        // As long as its spool is there the run is one that a newer one must tell: it may die before that is gone.
        if var run = record[name.run], run.folder != nil {
          run.checkpoint = nil
          run.isAbandoned = nil
          record.put(run)
          isNoted = true
        } else {
          record.remove(name.run)
        }
        for run in settled {
          if run.checkpoint == nil { record.remove(run) } else { record.put(run.withoutSpool) }
        }
      }
      names.withLock { $0[index]?.isNoted = isNoted }
    } catch {
      tell(error)
    }
  }

  /// The run has ended.
  ///
  /// - Parameter isHeld: whether the spool stays for the destination of an index.
  func end(_ isHeld: (Int) -> Bool) {
    for (index, name) in names.withLock({ $0 }) {
      // What is left at the server is remembered also if the object is not.
      if name.isNoted, !isHeld(index) { note(index) { $0.folder = nil } }
      name.file.leave()
    }
    names.withLock { $0 = [:] }
  }

  /// Forgets a run for one of its destinations: its object is not to be sent there any more.
  ///
  /// - Parameter place: where the records are.
  static func forget(_ id: String, _ job: HeldJob, _ index: Int, in place: SpoolPlace) {
    guard let hash = job.destinations[index].name, let directory = try? place.open(), let file = try? NameFolder(in: directory).open(hash)
    else { return }
    let run = NameRecord.Run(id: id, index: index, number: 0, bytes: job.bytes)
    // What it left at the server is for the next run to remove.
    try? file.change { record in
      guard let known = record[run] else { return }
      if known.checkpoint == nil { record.remove(run) } else { record.put(known.withoutSpool) }
    }
    file.leave()
  }

  private func tell(_ error: SystemError) {
    messages.detail("cannot note the order of uploads in \(directory?.path ?? "the spool folder"): \(error.call): \(error.words)")
  }
}

extension NameRecord.Run {
  /// Whether its spool has become the object. One whose folder is not there, as on a disk that is not mounted, is not known to have.
  fileprivate var hasMoved: Bool {
    guard mayBeMoved == true, let folder, access(folder, F_OK) == 0 else { return false }
    return access("\(folder)/\(id).data", F_OK) != 0 && errno == ENOENT
  }

  /// What is left to be remembered when the spool is gone.
  var withoutSpool: NameRecord.Run {
    var run = self
    run.folder = nil
    return run
  }
}

extension NameFile {
  /// Takes the right to upload to the name as soon as nobody else has it, and says so if that is not at once.
  ///
  /// - Returns: whether it was not at once.
  /// - Throws: `ECANCELED` if the task is.
  @discardableResult
  func waitForUpload(to text: String, _ messages: Messages) async throws(SystemError) -> Bool {
    let shortest = Duration.milliseconds(20)
    var wait = shortest
    while try !beginUpload() {
      if wait == shortest { messages.note("waiting for another upload to \(text) to end") }
      do { try await Task.sleep(for: wait) } catch { throw SystemError("sleep", ECANCELED) }
      wait = min(wait * 2, .milliseconds(250))
    }
    return wait > shortest
  }
}

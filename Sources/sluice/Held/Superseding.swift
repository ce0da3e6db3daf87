import BytePath
import Endpoints

/// Marks in the jobs of older runs that a newer run's object stands where they were to go.
enum Superseding {
  /// Brings it to the disk: what it keeps from being sent may be sent next month. Blocks.
  ///
  /// - Parameter directory: the folder with the record.
  /// - Returns: whether nothing of the run will be sent any more; false if its spool is in use or not to be reached.
  static func settle(_ run: NameRecord.Run, in directory: SpoolDirectory) -> Bool {
    guard let folder = run.folder else { return false }
    do throws(Failure) {
      guard let place = try found(folder, directory) else { return false }
      guard let spool = try Spool.open(run.id, in: place), var job = try HeldJob(reading: run.id, in: place) else { return true }
      guard job.destinations.indices.contains(run.index) else { return true }
      guard !job.destinations[run.index].isDone else { return true }
      job.destinations[run.index].isSuperseded = true
      job.destinations[run.index].checkpoint = nil
      try job.write(to: spool, isDurable: true)
      return true
    } catch {
      return false
    }
  }

  /// The folder, if it is there; one of a disk that is not mounted now is not.
  private static func found(_ folder: String, _ directory: SpoolDirectory) throws(Failure) -> SpoolDirectory? {
    if let place = realpath(directory.path, nil) {
      defer { free(place) }
      if String(cString: place) == folder { return directory }
    }
    return access(folder, F_OK) == 0 ? try SpoolDirectory(folder) : nil
  }
}

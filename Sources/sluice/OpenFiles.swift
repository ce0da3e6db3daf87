import BytePath
import Endpoints

/// How many files, pipes and sockets a run has open at a time, beyond those that are open now. A run that has fewer could fail in the middle,
/// and some libraries end the process then; so it is asked for before anything begins.
struct OpenFiles {
  /// The spool's folder, its data and job, the event loop of the connections, the watch over child processes, and what is open for a moment:
  /// certificates, the resolver's files, the folder that is listed, the record of a name.
  private static let always = 24

  private(set) var count: Int

  /// Of any command, before it is known what it does: the queues that tasks run on end the process where they can't be made.
  init() { count = OpenFiles.always }

  init(_ targets: [Target], _ attributes: Attributes) {
    count = targets.reduce(OpenFiles.always) { sum, target in
      let attributes = target.attributes(attributes)
      // And the lock of its name.
      return sum.addingSaturated(target.store.openFiles(attributes)).addingSaturated(1)
    }
  }

  /// Adds the input and what is done to it.
  mutating func add(_ plan: FillPlan) {
    add(children: 1 + plan.filters.count + plan.guards.count)
  }

  /// Adds child processes: each has a pipe, and while it is started some more.
  mutating func add(children: Int) { count += 4 * children }

  /// Adds the spools that there are besides the first, each with its folder and with a file for each destination.
  mutating func add(parts: Int, _ targets: [Target]) {
    count = count.addingSaturated(parts * (2 + targets.count))
  }

  /// Adds the sums that are put beside the objects: the lock of a name, its folder, and a spool.
  mutating func addSums(_ targets: [Target]) {
    count = count.addingSaturated(3 * targets.count)
  }

  /// Makes room for them, if the system lets us.
  ///
  /// - Throws: `spool` if it does not.
  func reserve() throws(Failure) {
    var limit = rlimit()
    guard getrlimit(OpenFiles.resource, &limit) == 0 else { return }
    var free = 0
    var number: CInt = 0
    // What was inherited counts too, and lies anywhere.
    while free < count, number < .max {
      if fcntl(number, F_GETFD) < 0 { free += 1 }
      number += 1
    }
    let needed = rlim_t(number)
    guard limit.rlim_cur < needed else { return }
    let before = limit.rlim_cur
    limit.rlim_cur = min(needed, limit.rlim_max)
    guard limit.rlim_cur == needed, setrlimit(OpenFiles.resource, &limit) == 0 else {
      throw Failure(
        .spool, "this needs up to \(needed) open files, and the limit is \(before); raise it, as with: ulimit -n \(max(1024, needed))")
    }
  }

  #if canImport(Glibc)
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  #else
    private static let resource = RLIMIT_NOFILE
  #endif
}

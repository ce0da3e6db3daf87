import Synchronization

/// Which requests misbehave.
final class FaultPlan: Sendable {
  private let options: FaultOptions
  private let prefixes: [String]
  private let used = Atomic(0)

  init(_ options: FaultOptions) {
    self.options = options
    prefixes = options.on.isEmpty ? ["/api/fs/put", SiYuan.putPath, SiYuan.assetPath] : options.on
  }

  /// The fault for this request, or nil if it is to be served well. Counts.
  func next(for path: String) -> Fault? {
    guard options.isAny, prefixes.contains(where: { path.hasPrefix($0) }) else { return nil }
    let number = used.add(1, ordering: .relaxed).oldValue
    guard number >= options.skip else { return nil }
    if let times = options.times, number - options.skip >= times { return nil }
    return Fault(options: options)
  }
}

import Foundation
import Support
import Testing

/// One object on its way to one place, and what may be found there and in the spool after something went wrong.
struct Trial: Sendable {
  /// What is under the object's name.
  enum Found: Sendable, Equatable {
    case nothing, old, whole
    case broken(bytes: Int)
  }

  /// What has become of the object.
  enum End: Sendable {
    /// It is at its place, and no spool is left.
    case uploaded
    /// A spool was left, and pushing it brought the object to its place whole.
    case held
    /// It is neither here nor there, because the run failed or died before its input had ended.
    case gone
  }

  let bench: StoreBench
  let bytes: [UInt8]
  let name: String
  var old: [UInt8]?

  init(_ bench: StoreBench, _ bytes: [UInt8], name: String = "x") {
    (self.bench, self.bytes, self.name) = (bench, bytes, name)
  }

  private var box: Sandbox { bench.box }
  var destination: String { bench.destination(name) }

  /// Puts an older object there.
  mutating func plant(_ old: [UInt8]) async throws {
    try await bench.plant(old, name)
    self.old = old
  }

  func found() async throws -> Found {
    guard let there = try await bench.stored(name) else { return .nothing }
    if there == bytes { return .whole }
    return there == old ? .old : .broken(bytes: there.count)
  }

  /// Expects that no half of an object is under its name.
  func expectNoHalf(_ comment: String, _ location: SourceLocation = #_sourceLocation) async throws {
    guard case .broken(let count) = try await found() else { return }
    Issue.record("\(comment): \(count) bytes of \(bytes.count) are under the final name", sourceLocation: location)
  }

  /// The IDs of what is held.
  func held() async throws -> [String] {
    guard !box.spoolNames.isEmpty else { return [] }
    let list = try await box.sluice("held")
    #expect(list.exit == 0, "\(list.summary)")
    return try list.outputText.split(separator: "\n").compactMap { try JSON(parsing: $0)["id"].text }
  }

  /// Expects that the object is at its place, or is held and comes there whole when it is pushed, or is gone with nothing left of it.
  ///
  /// - Parameters:
  ///   - wasKilled: the run could not take away what it had made of an input without end; the next run does that.
  ///   - comment: what went wrong, for messages.
  @discardableResult
  func settle(wasKilled: Bool, _ comment: String, _ location: SourceLocation = #_sourceLocation) async throws -> End {
    try await bench.settled()
    try await expectNoHalf(comment, location)
    let held = try await held()
    if held.isEmpty, !wasKilled {
      #expect(box.spoolNames.isEmpty, "\(comment): left in the spool", sourceLocation: location)
    }
    if !held.isEmpty {
      // By their names, as --all leaves out what a server has refused.
      let push = try await box.start(bench.client(["held", "push", "--retries", "2"] + held)).finish()
      #expect(push.exit == 0, "\(comment): \(push.summary)", sourceLocation: location)
      let found = try await found()
      #expect(found == .whole, "\(comment): after the push of \(held)", sourceLocation: location)
    }
    if wasKilled {
      try await box.sluice("./next", input: [1]).success(location)
      let residue = names(in: bench.folder ?? box.work).filter { $0.hasPrefix(".sluice-\(getuid())") }
      #expect(residue.isEmpty, "\(comment): left beside the target", sourceLocation: location)
    }
    #expect(box.spoolNames.isEmpty, "\(comment): left after the next run", sourceLocation: location)
    if !held.isEmpty { return .held }
    return try await found() == .whole ? .uploaded : .gone
  }
}

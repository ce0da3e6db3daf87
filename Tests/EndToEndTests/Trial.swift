import Foundation
import Support
import Testing

/// One object on its way to one place, and what may be found there and in the spool after something went wrong.
struct Trial: Sendable {
  /// A kind of place that an object goes to.
  enum Place: String, CaseIterable, Sendable {
    case alist, siyuan, plain, file

    /// Those that have a server.
    static let remote: [Place] = [.alist, .siyuan, .plain]
  }

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

  let box: Sandbox
  let place: Place
  let destination: String
  /// Where the object lies in the end.
  let file: String
  let bytes: [UInt8]
  var old: [UInt8]?

  /// - Parameter server: not needed for a file.
  init(_ box: Sandbox, _ place: Place, _ server: Loopback?, _ bytes: [UInt8], name: String = "x") {
    self.box = box
    self.place = place
    self.bytes = bytes
    switch (place, server) {
    case (.alist, let server?): (destination, file) = (server.alist("/\(name)"), server.alistFile("/\(name)"))
    case (.siyuan, let server?): (destination, file) = (server.siyuan("/data/\(name)"), server.siyuanFile("/data/\(name)"))
    case (.plain, let server?): (destination, file) = (server.plain("/\(name)"), server.plainFile("/\(name)"))
    default: (destination, file) = ("./\(name)", "\(box.work)/\(name)")
    }
  }

  /// Puts an older object there.
  mutating func plant(_ old: [UInt8]) throws {
    try write(old, to: file)
    self.old = old
  }

  func found() throws -> Found {
    guard exists(file) else { return .nothing }
    let there = try contents(file)
    if there == bytes { return .whole }
    return there == old ? .old : .broken(bytes: there.count)
  }

  /// Expects that no half of an object is under its name.
  func expectNoHalf(_ comment: String, _ location: SourceLocation = #_sourceLocation) throws {
    guard case .broken(let count) = try found() else { return }
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
    try expectNoHalf(comment, location)
    let held = try await held()
    if held.isEmpty, !wasKilled {
      #expect(box.spoolNames.isEmpty, "\(comment): left in the spool", sourceLocation: location)
    }
    if !held.isEmpty {
      // By their names, as --all leaves out what a server has refused.
      let push = try await box.start(box.client(["held", "push", "--retries", "2"] + held)).finish()
      #expect(push.exit == 0, "\(comment): \(push.summary)", sourceLocation: location)
      let found = try found()
      #expect(found == .whole, "\(comment): after the push of \(held)", sourceLocation: location)
    }
    if wasKilled {
      try await box.sluice("./next", input: [1]).success(location)
      let residue = names(in: box.work).filter { $0.hasPrefix(".sluice-\(getuid())") }
      #expect(residue.isEmpty, "\(comment): left beside the target", sourceLocation: location)
    }
    #expect(box.spoolNames.isEmpty, "\(comment): left after the next run", sourceLocation: location)
    if !held.isEmpty { return .held }
    return try found() == .whole ? .uploaded : .gone
  }
}

import BytePath
import Endpoints

/// A held spool that belongs to a set of parts, and what must be so at a destination before it goes there.
struct HeldSet {
  enum Role: String, Codable {
    case part, manifest
  }

  let role: Role
  let payload: Payload

  /// A part must not get into a set that is whole without it, and a manifest says that all of its parts are there.
  ///
  /// - Throws: `exists` or `rejected`, or whatever the asking fails with.
  func check(_ target: Target) async throws(Failure) {
    switch role {
    case .part:
      guard let name = PartFacts.nameOfSet(target.path) else { return }
      if try await isThere(name + PartsRun.manifestSuffix, target) {
        throw Failure(
          .exists, "\(name) is a whole set by now, which \(target.path) is no part of", hint: "discard this one with: sluice held drop")
      }
    case .manifest:
      let name = String(target.path.dropLast(PartsRun.manifestSuffix.count))
      if try await isThere(target.path, target), (try? await target.endpoint.verify(target.path, against: payload)) == nil {
        throw Failure(.exists, "\(name) is another whole set by now", hint: "discard this one with: sluice held drop")
      }
      let parts = (1...max(1, try await partCount())).map { name + PartFacts.suffix($0) }
      var missing: [String] = []
      for part in parts where try await !isThere(part, target) { missing.append(part) }
      // Some servers and all plugins do not tell what is there, and then nothing seems to be.
      guard let first = missing.first, missing.count < parts.count else { return }
      throw Failure(
        .rejected, "\(first) is not there, so \(target.path) cannot say that the set is whole",
        hint: "send the part first, or discard the manifest with: sluice held drop")
    }
  }

  private func isThere(_ path: String, _ target: Target) async throws(Failure) -> Bool {
    do throws(Failure) {
      try await target.endpoint.check(path, Attributes(existing: .refuse))
      return false
    } catch {
      guard error.kind == .exists else { throw error }
      return true
    }
  }

  private func partCount() async throws(Failure) -> Int {
    let payload = payload
    let bytes = try await onThread { () throws(Failure) in try payload.contents(limit: 64 << 20) }
    guard let parts = JSONValue(parsing: bytes)?["parts"]?.array else {
      throw Failure(.spool, "the held manifest of a set is damaged", hint: "discard it with: sluice held drop")
    }
    return parts.count
  }
}

extension PartFacts {
  /// The name of the object that a part is of; nil if the path is that of no part.
  static func nameOfSet(_ path: String) -> String? {
    guard let range = path.ranges(of: ".part-").last, path[range.upperBound...].allSatisfy(\.isNumber) else { return nil }
    return String(path[..<range.lowerBound])
  }
}

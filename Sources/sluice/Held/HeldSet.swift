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
      if try await isThere(target.path, target), (try? await target.publisher.verify(target.path, against: payload)) == nil {
        throw Failure(.exists, "\(name) is another whole set by now", hint: "discard this one with: sluice held drop")
      }
      let parts = try await self.parts().map { (path: name + PartFacts.suffix($0.number), facts: $0) }
      var missing: [String] = []
      for part in parts where try await !isThere(part.path, target) { missing.append(part.path) }
      // Some servers and all plugins do not tell what is there, and then nothing seems to be.
      if let first = missing.first {
        guard missing.count == parts.count else { throw refusal(of: target, "\(first) is not there") }
        return
      }
      for part in parts where try await isAnother(part.path, part.facts, target) {
        throw refusal(of: target, "\(part.path) is of another run")
      }
    }
  }

  private func refusal(of target: Target, _ reason: String) -> Failure {
    Failure(
      .rejected, "\(reason), so \(target.path) cannot say that the set is whole",
      hint: "send the part first, or discard the manifest with: sluice held drop")
  }

  /// Whether what is there is surely not the part: its size, or its hash where that is told, is another.
  private func isAnother(_ path: String, _ facts: PartFacts, _ target: Target) async throws(Failure) -> Bool {
    let part = try Payload(remembered: facts.bytes, sha256: facts.sha256, name: path)
    do throws(Failure) {
      _ = try await target.publisher.verify(path, against: part)
      return false
    } catch {
      if error.isMismatch { return true }
      // What can't be compared, as with a plugin or a hash that nobody kept, is no proof; what can't be asked now can be later.
      if error.isRetryable { throw error }
      return false
    }
  }

  private func isThere(_ path: String, _ target: Target) async throws(Failure) -> Bool {
    try await target.publisher.find(path).stored != nil
  }

  private func parts() async throws(Failure) -> [PartFacts] {
    let payload = payload
    let bytes = try await onThread { () throws(Failure) in try payload.contents(limit: 64 << 20) }
    let listed = JSONValue(parsing: bytes)?["parts"]?.array ?? []
    let parts = listed.enumerated().compactMap { index, part in
      guard let bytes = part["bytes"]?.integer, let sha256 = part["sha256"]?.string.flatMap({ Checksum(.sha256, hex: $0) }) else {
        return nil as PartFacts?
      }
      return PartFacts(number: index + 1, bytes: bytes, sha256: sha256)
    }
    guard !parts.isEmpty, parts.count == listed.count else {
      throw Failure(.spool, "the held manifest of a set is damaged", hint: "discard it with: sluice held drop")
    }
    return parts
  }
}

extension PartFacts {
  /// The name of the object that a part is of; nil if the path is that of no part.
  static func nameOfSet(_ path: String) -> String? {
    guard let range = path.ranges(of: ".part-").last, path[range.upperBound...].allSatisfy(\.isNumber) else { return nil }
    return String(path[..<range.lowerBound])
  }

  /// What a part or a manifest has behind the name of its object; nil if the path is that of neither.
  static func suffixOfSet(_ path: String) -> String? {
    if path.hasSuffix(PartsRun.manifestSuffix) { return PartsRun.manifestSuffix }
    return nameOfSet(path).map { String(path.dropFirst($0.count)) }
  }
}

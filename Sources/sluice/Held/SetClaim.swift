import BytePath
import Endpoints

/// The right to put parts under a name, which one run at a time has from before its first part until its last.
///
/// Parts of two runs under one name make a set that nobody wrote. So a run waits until another has ended, and is refused where parts of an
/// earlier one are still held: sent later, they would get among the parts of this one. As all of `RunOrder`, it holds among those who share
/// the spool folder.
final class SetClaim: Sendable {
  private let files: [NameFile]
  /// The destinations, by their index, that take no parts now, and why.
  let refused: [Int: Failure]

  /// Waits until no other run puts parts under the names.
  ///
  /// - Parameter option: of `--spool-dir`.
  /// - Throws: `interrupted`.
  init(_ targets: [Target], spoolDir option: String?, _ messages: Messages) async throws(Failure) {
    var files: [NameFile] = []
    var hasWaited = false
    do throws(SystemError) {
      if let directory = try? SpoolPlace(option: option).open() {
        let folder = NameFolder(in: directory)
        // In one order, so that two runs with the same names never wait for each other.
        let names = Dictionary(targets.map { (NameFolder.hash(of: "\($0.identity) \(PartsRun.manifestSuffix)"), $0.text) }) { name, _ in
          name
        }
        for (hash, text) in names.sorted(by: { $0.key < $1.key }) {
          let file = try folder.open(hash)
          files.append(file)
          if try await file.waitForUpload(to: text, messages) { hasWaited = true }
        }
      }
    } catch {
      guard error.code != ECANCELED else {
        for file in files { file.leave() }
        throw .interrupted
      }
      messages.detail("cannot keep other runs from the names of the parts: \(error.call): \(error.words)")
    }
    self.files = files
    let held = SetClaim.held(in: option)
    var refused: [Int: Failure] = [:]
    for (index, target) in targets.enumerated() {
      let ids = held.filter { $0.isBeside(target) }.map(\.id)
      if !ids.isEmpty {
        refused[index] = SetClaim.refusal(target, ids)
      } else if hasWaited {
        // The set of the run that was waited for may be whole by now. What can't be asked now is asked before the first part goes.
        do throws(Failure) { try await PartsRun.checkManifest(target) } catch {
          if error.kind == .exists { refused[index] = error }
        }
      }
    }
    self.refused = refused
  }

  func end() {
    for file in files { file.leave() }
  }

  private static func refusal(_ target: Target, _ ids: [String]) -> Failure {
    let these = ids.joined(separator: " ")
    return Failure(
      .exists, "parts of an earlier run to \(target.path) are still held",
      hint: "send them with: sluice held push \(these), or discard them with: sluice held drop \(these)")
  }

  /// A part or manifest that waits for a destination.
  private struct Waiting {
    let id: String
    let destination: HeldJob.Destination

    func isBeside(_ target: Target) -> Bool {
      guard let suffix = PartFacts.suffixOfSet(destination.text), let beside = try? target.beside(suffix) else { return false }
      return destination.name.map { $0 == NameFolder.hash(of: beside.identity) } ?? (destination.text == beside.text)
    }
  }

  private static func held(in option: String?) -> [Waiting] {
    let all = (try? HeldSelection.all(in: option)) ?? []
    return all.flatMap { directory, id -> [Waiting] in
      guard let job = try? HeldJob(reading: id, in: directory), job.role != nil else { return [] }
      return job.waiting.map { Waiting(id: id, destination: job.destinations[$0]) }
    }
  }
}

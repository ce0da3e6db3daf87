import BytePath
import Endpoints

/// A destination of a run: its store, opened, and the path there.
struct Target: Sendable {
  /// As the user wrote it, less a password.
  var text: String
  let publisher: Publisher
  var path: String
  /// The server and the user there; empty if the store alone knows the server, or there is none.
  let server: String
  /// `-o` options that the remote of the config file sets.
  let defaults: [String: String]
  /// The files that the credentials and the server come from.
  var reads: [String] = []

  /// A hint at another kind of endpoint that the address looks like.
  var likely: String?

  var store: any Store { publisher.store }
  var kind: EndpointKind { store.kind }

  /// Whether a spool can become the object, which then is a file of this machine.
  var adoptsSpools: Bool { store is any AdoptingStore }

  /// With the options of the remote under those that were given.
  func attributes(_ given: Attributes) -> Attributes {
    var attributes = given
    attributes.options = defaults.merging(given.options) { $1 }
    return attributes
  }

  /// Checks the flags of the command against the options and the path.
  ///
  /// - Throws: `usage`.
  func checkUse(_ attributes: Attributes, verifies: Bool = false, isInParts: Bool = false, hasSum: Bool = false) throws(Failure) {
    var use = Use(of: path, attributes.existing)
    (use.hasTime, use.verifies, use.isInParts, use.hasSum) = (attributes.modified != nil, verifies, isInParts, hasSum)
    do throws(Failure) { try store.checkUse(use, self.attributes(attributes).options) } catch {
      throw Failure(error.kind, "\(text): \(error.message)", hint: error.hint)
    }
  }

  /// The same text for the same object, whatever way leads to it; as far as a plugin's destination tells.
  var identity: String {
    kind.isPlugin ? "\(kind.name)\n\(text)" : "\(kind.name)\n\(server)\n\(store.identity(of: path) ?? path)"
  }
}

extension [Target] {
  /// Each with its index, which is that in the job of the run.
  var indexed: [(index: Int, target: Target)] { enumerated().map { ($0.offset, $0.element) } }
}

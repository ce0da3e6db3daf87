import BytePath
import Endpoints
import FoundationEssentials

/// What is written beside a complete spool, so that it can be sent later: no secret is in it.
struct HeldJob: Codable, Sendable, Equatable {
  struct Destination: Codable, Sendable, Equatable {
    /// As the user wrote it, less a password; a relative path made absolute.
    var text: String
    var isDone = false
    /// Why the last attempt failed.
    var error: String?
    /// What the endpoint wants to remember; see `Checkpoint`.
    var checkpoint: String?
  }

  var version = 1
  /// Milliseconds since 1970.
  var created: Int64
  var destinations: [Destination]
  var bytes: Int64
  var inputBytes: Int64
  var isGzip: Bool
  var sha256: String
  var attributes: Attributes
  var verifies: Bool
  /// The IDs of spools that must be sent before this one.
  var after: [String]?
  /// What it is of a set of parts; nil for an object of its own.
  var role: HeldSet.Role?

  /// True if every destination has the object.
  var isDone: Bool { destinations.allSatisfy(\.isDone) }

  /// Reads the record of a spool.
  ///
  /// - Throws: `spool` if it is not one of this version.
  init(reading spool: Spool) throws(Failure) {
    let bytes = try spool.job()
    guard let job = try? JSONDecoder().decode(HeldJob.self, from: Data(bytes)), job.version == 1 else {
      throw Failure(.spool, "the job of the spool \(spool.id) is damaged", hint: "its bytes are in \(spool.id).data")
    }
    self = job
  }

  init(created: Int64, destinations: [Destination], payload: Payload, sha256: String, isGzip: Bool, attributes: Attributes, verifies: Bool)
  {
    self.created = created
    self.destinations = destinations
    bytes = payload.length
    inputBytes = payload.inputLength
    self.sha256 = sha256
    self.isGzip = isGzip
    self.attributes = attributes
    self.verifies = verifies
  }

  /// Writes the record beside the data.
  ///
  /// - Throws: `spool`.
  func write(to spool: Spool) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else { throw Failure(.spool, "cannot write the job of the spool \(spool.id)") }
    try spool.keep(job: Array(data))
  }
}

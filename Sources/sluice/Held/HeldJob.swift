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
    /// The raw value of that failure's `Failure.Kind`.
    var errorKind: String?
    /// True if the server understood and refused, so that nothing but a person's word is a reason to ask again.
    var isRefused: Bool?
    /// True if the object of a newer run stands there by now: this one goes there only if the user says so.
    var isSuperseded: Bool?
    /// The hash of the object's name; see `RunOrder`.
    var name: String?
    /// True if the object is there, and only `NAME.sha256` is missing beside it.
    var lacksSum: Bool?
    /// What the endpoint wants to remember; see `Checkpoint`.
    var checkpoint: String?

    init(text: String) { self.text = text }

    /// Whether the object is to go there.
    var isWaiting: Bool { !isDone && isSuperseded != true }
  }

  static let version = 1

  var version = HeldJob.version
  /// Milliseconds since 1970.
  var created: Int64
  var destinations: [Destination]
  var bytes: Int64
  var inputBytes: Int64
  var isGzip: Bool
  /// Nil for a regular file, which is never held.
  var sha256: Checksum?
  /// Of the input; nil if the object is the input.
  var inputSHA256: Checksum?
  var attributes: Attributes
  var verifies: Bool
  /// True if `NAME.sha256` is to be written beside the object.
  var writesSum: Bool?
  /// The number of the run; see `RunOrder`.
  var number: Int64?
  /// The IDs of spools that must be sent before this one.
  var after: [String]?
  /// What it is of a set of parts; nil for an object of its own.
  var role: HeldSet.Role?

  /// True if every destination has the object.
  var isDone: Bool { destinations.allSatisfy(\.isDone) }

  /// The indices of the destinations that the object is to go to.
  var waiting: [Int] { destinations.indices.filter { destinations[$0].isWaiting } }

  /// Reads the record of a spool. Takes no lock. Nil if there is none, or none any more.
  ///
  /// - Throws: `spool` if it is not one of this version, or says what no run can have meant.
  init?(reading id: String, in directory: SpoolDirectory) throws(Failure) {
    guard let bytes = try directory.job(of: id) else { return nil }
    let place = "its bytes are in \(directory.path)/\(id).data"
    let decoder = JSONDecoder()
    if let other = try? decoder.decode(Version.self, from: Data(bytes)).version, other > HeldJob.version {
      throw Failure(
        .spool, "the spool \(id) was held by a newer sluice (its job has version \(other))", hint: "send it with that one; \(place)")
    }
    guard let job = try? decoder.decode(HeldJob.self, from: Data(bytes)), job.version == HeldJob.version, job.bytes >= 0,
      job.inputBytes >= 0, job.sha256 != nil
    else { throw Failure(.spool, "the job of the spool \(id) is damaged", hint: place) }
    guard !job.destinations.isEmpty else { throw Failure(.spool, "the job of the spool \(id) names no destination", hint: place) }
    self = job
  }

  private struct Version: Decodable {
    var version: Int
  }

  init(
    created: Int64, destinations: [Destination], payload: Payload, sha256: Checksum?, isGzip: Bool, attributes: Attributes, verifies: Bool
  ) {
    self.created = created
    self.destinations = destinations
    bytes = payload.length
    inputBytes = payload.inputLength
    inputSHA256 = payload.inputSHA256
    self.sha256 = sha256
    self.isGzip = isGzip
    self.attributes = attributes
    self.verifies = verifies
  }

  /// Writes the record beside the data.
  ///
  /// - Parameter isDurable: as of `Spool.keep`.
  /// - Throws: `spool`.
  func write(to spool: Spool, isDurable: Bool) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else { throw Failure(.spool, "cannot write the job of the spool \(spool.id)") }
    try spool.keep(job: Array(data), isDurable: isDurable)
  }
}

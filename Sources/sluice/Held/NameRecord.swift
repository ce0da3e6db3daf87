import BytePath
import FoundationEssentials

/// What is remembered of the name of an object; see `RunOrder`.
struct NameRecord: Codable, Sendable {
  /// A run that has to do with the name, or had and is not done with it.
  struct Run: Codable, Sendable, Equatable {
    /// Of its spool, or made up if it has none.
    var id: String
    /// Which of the run's destinations it is about.
    var index: Int
    /// The higher, the later its input ended; 0 if that was not to be known.
    var number: Int64
    /// The folder that has the spool; nil if nothing of the object is kept here.
    var folder: String?
    /// The length of the object.
    var bytes: Int64
    /// True from when the spool may become the object by being moved: if its data is gone then, the object is stored.
    var mayBeMoved: Bool?
    /// What the endpoint remembers; see `Checkpoint`.
    var checkpoint: String?
    /// True if another run has removed what the checkpoint was about.
    var isAbandoned: Bool?

    func isSame(as other: Run) -> Bool { id == other.id && index == other.index }
  }

  /// The number of the newest run whose object has been stored under the name, as long as a run remains that must know it.
  var stored: Int64?
  var runs: [Run] = []

  init() {}

  /// What can't be read is as good as nothing: it says only what to remove and whom to tell.
  init(reading bytes: [UInt8]?) {
    self = bytes.flatMap { try? JSONDecoder().decode(NameRecord.self, from: Data($0)) } ?? NameRecord()
  }

  subscript(run: Run) -> Run? { runs.first { $0.isSame(as: run) } }

  mutating func remove(_ run: Run) { runs.removeAll { $0.isSame(as: run) } }

  mutating func put(_ run: Run) {
    if let place = runs.firstIndex(where: { $0.isSame(as: run) }) { runs[place] = run } else { runs.append(run) }
  }

  /// The bytes of it; nil if there is nothing to be remembered.
  ///
  /// - Parameter isAlone: whether no other run has to do with the name now.
  func bytes(isAlone: Bool) -> [UInt8]? {
    guard !runs.isEmpty || (stored != nil && !isAlone) else { return nil }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { Array($0) }
  }
}

extension NameFile {
  func leave() {
    leave { NameRecord(reading: $0).bytes(isAlone: true) != nil }
  }

  /// Changes the record of the name.
  func change(isDurable: Bool = false, _ body: (inout NameRecord) -> Void) throws(SystemError) {
    try change(isDurable: isDurable) { bytes, isAlone in
      var record = NameRecord(reading: bytes)
      body(&record)
      return record.bytes(isAlone: isAlone)
    }
  }
}

/// What is being fetched.
public struct FetchLabel: Sendable, Equatable {
  /// From where to where, in a line.
  public var place: String
  /// Which object that is and how it is cut, in a line: what has come of another is of no use.
  public var object: String

  public init(place: String, object: String) {
    self.place = place
    self.object = object
  }
}

/// A file beside the data of a spool, `ID.fetch`, that says how much of each piece is there: two lines of text, and a record for each piece.
///
/// It is written after the data, so that it never says too much while the system runs; a loss of power may take data that it knows, so each record
/// has a checksum. A folder's sweep leaves such a spool alone for a week.
final class FetchJournal: Sendable {
  struct Record {
    var done: Int64
    /// CRC-32.
    var checksum: UInt32
  }

  /// Bytes of a record: the count and the checksum, with the lowest byte first.
  private static let recordSize = 16
  private static let headLimit = 64 << 10
  /// Of the longest list of records.
  private static let limit = 16 << 20

  private let spool: Spool
  private let file: Descriptor
  private let start: Int64

  /// - Throws: `spool`.
  init(_ label: FetchLabel, of spool: Spool) throws(Failure) {
    let head = FetchJournal.head(of: label)
    self.spool = spool
    start = Int64(head.count)
    do throws(SystemError) {
      // At once: one that does not say what it is of would be left alone by everybody.
      try spool.directory.write(head, to: "\(spool.id).fetch", isDurable: false)
      file = try spool.directory.descriptor.openChild("\(spool.id).fetch", O_RDWR | O_NOFOLLOW)
    } catch {
      spool.directory.remove("\(spool.id).fetch")
      spool.remove()
      throw Failure(.spool, "cannot write to \(spool.directory.path): \(error.words)", hint: "name another folder with --spool-dir")
    }
  }

  private init(_ spool: Spool, _ file: Descriptor, start: Int64) {
    self.spool = spool
    self.file = file
    self.start = start
  }

  private static func head(of label: FetchLabel) -> [UInt8] { Array("\(label.place)\n\(label.object)\n".utf8) }

  /// What an earlier run left of the same object. What it left of another one at the same place is removed; what another run is fetching just
  /// now is left to it.
  static func reopened(_ label: FetchLabel, in directory: SpoolDirectory) throws(Failure) -> (Spool, FetchJournal, [Record])? {
    let head = head(of: label)
    let place = head.prefix { $0 != UInt8(ascii: "\n") }
    for id in try directory.fetchIDs() {
      let file: Descriptor
      let bytes: [UInt8]
      do throws(SystemError) {
        file = try directory.descriptor.openChild("\(id).fetch", O_RDWR | O_NOFOLLOW)
        bytes = try file.contents(limit: limit)
      } catch { continue }
      guard bytes.starts(with: place + [UInt8(ascii: "\n")]), let spool = try? Spool.open(id, in: directory) else { continue }
      guard bytes.starts(with: head) else {
        directory.remove("\(id).fetch")
        spool.remove()
        continue
      }
      return (spool, FetchJournal(spool, file, start: Int64(head.count)), records(bytes.dropFirst(head.count)))
    }
    return nil
  }

  private static func records(_ bytes: ArraySlice<UInt8>) -> [Record] {
    func number(_ range: Range<Int>) -> UInt64 { bytes[range].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    return stride(from: bytes.startIndex, to: bytes.endIndex - recordSize + 1, by: recordSize).map { index in
      Record(
        done: Int64(truncatingIfNeeded: number(index..<index + 8)), checksum: UInt32(truncatingIfNeeded: number(index + 8..<index + 12)))
    }
  }

  /// - Throws: `spool`.
  func note(_ record: Record, of index: Int) throws(Failure) {
    let word = UInt64(bitPattern: record.done)
    let bytes =
      (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } + (0..<4).map { UInt8(truncatingIfNeeded: record.checksum >> ($0 * 8)) }
    do throws(SystemError) {
      try (bytes + [0, 0, 0, 0]).span.bytes.withUnsafeBytes { (buffer) throws(SystemError) in
        try file.writeAll(buffer, at: start + Int64(index * FetchJournal.recordSize))
      }
    } catch {
      throw Failure(.spool, "cannot write to \(spool.directory.path): \(error.words)", hint: "name another folder with --spool-dir")
    }
  }

  func remove() { spool.directory.remove("\(spool.id).fetch") }
}

extension SpoolDirectory {
  /// How long what a run has fetched in part waits for another one, in seconds.
  private static let fetchAge = 7 * 86400

  /// The IDs of the spools that were fetched in part, newest first.
  fileprivate func fetchIDs() throws(Failure) -> [String] {
    try names().filter { $0.hasSuffix(".fetch") }.compactMap(SpoolID.of).sorted(by: >)
  }

  /// Whether a spool waits for another run to go on with it.
  func mayGoOn(_ id: String) -> Bool {
    var status = stat()
    guard fstatat(descriptor.raw, "\(id).fetch", &status, AT_SYMLINK_NOFOLLOW) == 0 else { return false }
    return millisecondsNow() / 1000 - status.modifiedMilliseconds / 1000 < Int64(SpoolDirectory.fetchAge)
  }
}

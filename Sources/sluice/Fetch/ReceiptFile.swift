import BytePath
import Endpoints

/// Results that `sluice put` printed, a line each, kept to prove by them what is read back.
struct ReceiptFile: Sendable {
  /// What was said of an object that was stored.
  struct Entry: Sendable, Equatable {
    var destination: String
    var endpoint: String?
    var path: String?
    /// Of the object.
    var bytes: Int64
    /// Nil after `put --no-sha256`.
    var sha256: Checksum?
    /// Nil if the object is the input.
    var inputBytes: Int64?
    var inputSHA256: Checksum?
    var isGzip = false
    /// How many parts it was cut into; nil for one piece.
    var parts: Int64?

    /// Whether both are said of the same bytes, as far as that can be known.
    fileprivate func isSameObject(as other: Entry) -> Bool { sha256 != nil && sha256 == other.sha256 && bytes == other.bytes }
  }

  /// The most bytes of a file that is read.
  static let limit = 16 << 20

  /// For messages.
  let name: String
  private let entries: [Entry]

  /// Reads a file. Blocks.
  ///
  /// - Throws: `config` if it can't be read or has no result of an object that was stored.
  init(_ path: String) throws(Failure) {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Descriptor.open(path, O_RDONLY).contents(limit: ReceiptFile.limit) } catch {
      throw Failure(.config, "cannot read the receipt \(path): \(error.words)")
    }
    try self.init(parsing: bytes, name: path)
  }

  /// - Throws: as above.
  init(parsing bytes: [UInt8], name: String) throws(Failure) {
    self.name = name
    var entries: [Entry] = []
    for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      guard line.contains(where: { $0 != 0x20 && $0 != 0x0d && $0 != 0x09 }) else { continue }
      guard let value = JSONValue(parsing: Array(line)), value["ok"]?.bool != nil else {
        throw Failure(
          .config, "line \(index + 1) of the receipt \(name) is no result of sluice",
          hint: "a receipt is what sluice put prints, or writes to its --result file")
      }
      guard value["ok"] == true, value["superseded"] == nil, value["dry_run"] == nil, value["destination"] != nil, value["bytes"] != nil
      else { continue }
      guard let entry = Entry(value) else { throw Failure(.config, "line \(index + 1) of the receipt \(name) is damaged") }
      entries.append(entry)
    }
    guard !entries.isEmpty else {
      throw Failure(.config, "the receipt \(name) has no result of an object that was stored", hint: "it is what sluice put prints")
    }
    self.entries = entries
  }

  /// What is said of an object: the last line that has its destination, else its kind of endpoint and path. Else, as the object may be a copy
  /// of another name, what all lines say of one and the same object, if there is a hash to tell whether this is it.
  ///
  /// - Parameters:
  ///   - text: the object as the user wrote it, less a password.
  ///   - endpoint: the name of its kind.
  ///   - path: as the store writes it.
  /// - Returns: with it, the destination that it is of, if that is another one.
  /// - Throws: `config` if nothing is said of it.
  func entry(for text: String, endpoint: String, path: String) throws(Failure) -> (entry: Entry, otherName: String?) {
    if let entry = entries.last(where: { $0.destination == text }) { return (entry, nil) }
    if let entry = entries.last(where: { $0.endpoint == endpoint && $0.path == path }) { return (entry, nil) }
    guard let last = entries.last, entries.allSatisfy(last.isSameObject) else {
      throw Failure(.config, "the receipt \(name) says nothing of \(text)", hint: "give a receipt that has a line for it, or --sha256")
    }
    return (last, last.destination)
  }
}

extension ReceiptFile.Entry {
  /// Nil if it is not as `put` writes it.
  fileprivate init?(_ value: JSONValue) {
    guard let destination = value["destination"]?.string, let bytes = value["bytes"]?.integer, bytes >= 0 else { return nil }
    self.destination = destination
    self.bytes = bytes
    endpoint = value["endpoint"]?.string
    path = value["path"]?.string
    isGzip = value["gzip"]?.bool ?? false
    if let parts = value["parts"] {
      guard let number = parts.integer, number > 0 else { return nil }
      self.parts = number
    }
    if let hash = value["sha256"] {
      guard let checksum = hash.string.flatMap({ Checksum(.sha256, hex: $0) }) else { return nil }
      sha256 = checksum
    }
    if let hash = value["input_sha256"] {
      guard let checksum = hash.string.flatMap({ Checksum(.sha256, hex: $0) }), let size = value["input_bytes"]?.integer, size >= 0 else {
        return nil
      }
      (inputSHA256, inputBytes) = (checksum, size)
    }
  }
}

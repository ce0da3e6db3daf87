import BytePath
import Endpoints

/// Something in a directory, as `sluice ls` tells of it.
struct Entry: Sendable {
  /// The last part of its path.
  var name: String
  /// As the store writes it.
  var path: String
  /// What names it to a command, as the user named the directory.
  var source: String
  /// Nil if the server does not say, and of directories.
  var bytes: Int64?
  /// Milliseconds since 1970; nil if the server does not say.
  var modified: Int64?
  /// Nil if the server does not say.
  var isDirectory: Bool?
  /// How many parts it is in; nil for one piece.
  var parts: Int?

  private init(_ stored: Stored, source: String, name: String) {
    (self.name, self.source) = (name, source)
    (path, modified, isDirectory) = (stored.path, stored.modified, stored.isDirectory)
    // What some servers say of directories has no meaning, or that of another server.
    bytes = stored.isDirectory == true ? nil : stored.size
  }

  init(_ stored: Stored, in directory: Target) {
    let name = Entry.name(of: stored.path)
    self.init(stored, source: Destination.member(name, of: directory.text), name: name)
  }

  /// What the user has named itself.
  init(_ stored: Stored, at target: Target) {
    self.init(stored, source: target.text, name: Entry.name(of: stored.path))
  }

  /// S3 ends the paths of directories with a slash, and a key may have two of them in a row.
  private static func name(of path: String) -> String {
    let text = path.hasSuffix("/") ? path.dropLast() : path[...]
    let name = text.lastIndex(of: "/").map { text[text.index(after: $0)...] } ?? text
    return name.isEmpty ? "/" : String(name)
  }

  // MARK: - For programs and people

  var json: JSONValue {
    [
      "name": .string(name), "path": .string(path), "source": .string(source), "bytes": JSONValue(bytes),
      "modified": JSONValue(modified.flatMap { RFC3339.text($0) }), "dir": JSONValue(isDirectory), "parts": JSONValue(parts),
    ]
  }

  /// For a terminal.
  var shownName: String { Messages.printable(name) + (isDirectory == true && name != "/" ? "/" : "") }

  /// What is not known is a dash. The names come last, as they may have any length.
  static func table(of entries: [Entry]) -> [String] {
    guard !entries.isEmpty else { return [] }
    let hasSets = entries.contains { $0.parts != nil }
    let rows = entries.map { entry in
      [entry.bytes.map { ProgressLine.size($0) } ?? "-"] + (hasSets ? [entry.parts.map { "\($0)" } ?? "-"] : [])
        + [entry.modified.flatMap { localTime($0) } ?? "-", entry.shownName]
    }
    return Table.lines([["SIZE"] + (hasSets ? ["PARTS"] : []) + ["MODIFIED", "NAME"]] + rows, endingTogether: hasSets ? [0, 1] : [0])
  }

  /// As other programs that list show it: in the time zone of the machine, to the second.
  private static func localTime(_ milliseconds: Int64) -> String? {
    var seconds = time_t(wholeSeconds(milliseconds))
    var parts = tm()
    var text = [CChar](repeating: 0, count: 64)
    guard localtime_r(&seconds, &parts) != nil, strftime(&text, text.count, "%Y-%m-%d %H:%M:%S", &parts) > 0 else { return nil }
    return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
  }
}

// MARK: - Order and sets

extension Entry {
  /// By the bytes of the names, with each whole set of parts as the object that it is. Parts without a manifest, or with one missing, stay the
  /// objects that they are: they can't be read as one.
  static func sorted(_ entries: [Entry]) -> [Entry] {
    let (sets, members) = sets(in: entries)
    let rest = entries.indices.filter { !members.contains($0) }.map { entries[$0] }
    return (rest + sets).sorted { one, other in
      one.name == other.name
        ? one.path.utf8.lexicographicallyPrecedes(other.path.utf8) : one.name.utf8.lexicographicallyPrecedes(other.name.utf8)
    }
  }

  /// The sets that are whole as far as names tell, and which of the entries belong to them.
  private static func sets(in entries: [Entry]) -> ([Entry], members: Set<Int>) {
    // By bytes: names that differ in how a letter is composed are the same text.
    var parts: [[UInt8]: [(number: Int, index: Int)]] = [:]
    var names: Set<[UInt8]> = []
    for (index, entry) in entries.enumerated() where entry.isDirectory != true {
      if let part = PartFacts.place(of: entry.name) { parts[Array(part.object.utf8), default: []].append((part.number, index)) }
      names.insert(Array(entry.name.utf8))
    }
    var sets: [Entry] = []
    var members: Set<Int> = []
    for (index, entry) in entries.enumerated() where entry.isDirectory != true && entry.name.hasSuffix(PartsRun.manifestSuffix) {
      let name = entry.name.dropLast(PartsRun.manifestSuffix.count)
      let key = Array(name.utf8)
      guard let found = parts[key], !names.contains(key), Set(found.map(\.number)) == Set(1...found.count) else { continue }
      var set = entry
      set.name = String(name)
      set.path.removeLast(PartsRun.manifestSuffix.count)
      set.source.removeLast(PartsRun.manifestSuffix.count)
      set.parts = found.count
      set.bytes = found.reduce(Int64(0)) { sum, part in
        sum.flatMap { sum in entries[part.index].bytes.map { sum.addingSaturated($0) } }
      }
      sets.append(set)
      members.formUnion(found.map(\.index) + [index])
    }
    return (sets, members)
  }
}

extension PartFacts {
  /// Which part of which object a name is that of; nil if it is no part's.
  fileprivate static func place(of name: String) -> (object: Substring, number: Int)? {
    guard let dash = name.lastIndex(of: "-"), let number = Int(name[name.index(after: dash)...]), number > 0 else { return nil }
    let suffix = suffix(number)
    guard name.utf8.count > suffix.utf8.count, name.hasSuffix(suffix) else { return nil }
    return (name.dropLast(suffix.count), number)
  }
}

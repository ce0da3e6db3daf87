public import BytePath
import Synchronization

/// The verbs that a plugin need not have: `stat`, `get`, `list` and `remove`.
extension Plugin {
  /// A plugin that has not said what it can do is asked for that only where the answer matters to an upload that goes on or has ended.
  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    if let lack = await lack(of: "stat", at: path, asks: fresh) { return .untold(lack) }
    let (end, output) = try await run("stat", path, Attributes(), ["SLUICE_HASH": "\(fresh)"])
    if end.isNothing { return .nothing }
    if let failure = failure(of: end, output) { throw failure }
    guard let json = output.json else { throw saysNonsense("stat prints no JSON object") }
    return .stored(try stored(path, json))
  }

  public func silence(at path: String) async -> Failure? { await lack(of: "stat", at: path, asks: true) }

  /// Each would be a run of the plugin.
  public func readsInParts(_ path: String) -> Bool { false }

  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    if let lack = await lack(of: "get", at: path, asks: true) { throw lack }
    if let version, let found = try await stat(path, fresh: true).stored?.version, found != version {
      return .untold(.replaced(path))
    }
    var job: [String: String] = [:]
    if let range { job = ["SLUICE_OFFSET": "\(range.lowerBound)", "SLUICE_LENGTH": "\(range.count)"] }
    let output = PluginObject(sink, limit: range.map { Int64($0.count) })
    let end = try await run("get", path, Attributes(), job, output)
    if end.isNothing {
      guard output.count == 0 else { throw saysNonsense("get says that nothing is there, and writes \(output.count) bytes of it") }
      return .nothing
    }
    guard !output.isTooLong else { throw saysNonsense("get writes more than the bytes that were asked for") }
    if !end.wasEnough, let failure = failure(of: end, nil) { throw failure }
    return .stored(Stored(path, size: range == nil && !end.wasEnough ? output.count : nil))
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    if let lack = await lack(of: "list", at: directory, asks: true) { throw lack }
    let lines = PluginLines()
    let end = try await run("list", directory, Attributes(), [:], lines)
    if end.isNothing { return nil }
    if let failure = failure(of: end, nil) { throw failure }
    var listing = Listing()
    for line in lines.lines {
      guard !line.isCut, let json = JSONValue(parsing: line.bytes), let name = json["name"]?.string, !name.isEmpty, !name.contains("/"),
        name != ".", name != ".."
      else { throw saysNonsense("list prints a line that is no JSON object with the name of something") }
      let isRoot = directory.isEmpty || directory.hasSuffix("/") || directory.hasSuffix(":")
      listing.entries.append(try stored(directory + (isRoot ? "" : "/") + name, json))
    }
    return listing
  }

  public func permanence(at path: String) async -> Failure? { await lack(of: "remove", at: path, asks: true) }

  public func remove(_ path: String) async throws(Failure) {
    if let lack = await lack(of: "remove", at: path, asks: true) { throw lack }
    let (end, output) = try await run("remove", path)
    if !end.isNothing, let failure = failure(of: end, output) { throw failure }
  }

  /// As far as the plugin says. What it does not know it may leave out or call null; what it says must have a meaning.
  private func stored(_ path: String, _ json: JSONValue) throws(Failure) -> Stored {
    func told(_ key: String) -> JSONValue? { json[key] == .null ? nil : json[key] }
    func number(_ key: String) throws(Failure) -> Int64? {
      guard let value = told(key) else { return nil }
      guard let number = value.integer else { throw saysNonsense("the \(key) of \(path) is no whole number: \(value.text)") }
      return number
    }
    var stored = Stored(path, isDirectory: told("directory")?.bool ?? false, size: try number("size"))
    guard stored.size ?? 0 >= 0 else { throw saysNonsense("the size of \(path) is below zero") }
    stored.modified = try number("modified")
    stored.version = told("version").map { $0.string ?? $0.text }
    for algorithm in HashAlgorithm.allCases {
      guard let value = told(algorithm.rawValue) else { continue }
      guard let checksum = value.string.flatMap({ Checksum(algorithm, hex: $0) }) else {
        throw saysNonsense("the \(algorithm.rawValue) of \(path) has not \(2 * algorithm.byteCount) hexadecimal digits: \(value.text)")
      }
      stored.checksums[algorithm] = checksum
    }
    return stored
  }

  private func saysNonsense(_ what: String) -> Failure {
    Failure(.protocol, "the plugin \(program.name) does not keep to sluice-endpoint(7): \(what)")
  }
}

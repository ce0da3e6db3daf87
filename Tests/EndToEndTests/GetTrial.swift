import Crypto
import Foundation
import Support
import Testing

/// One object that is read back by one command, and what its reader may have of it.
struct GetTrial: Sendable {
  enum Reader: CaseIterable {
    case output, file, command
  }

  let box: Sandbox
  let bench: StoreBench
  let name: String
  /// What is to come out.
  var output: [UInt8]
  var options: [String] = []
  let reader: Reader
  /// What was under the name of the file before.
  let old: [UInt8]?
  /// What goes wrong, for messages.
  let what: String
  /// Whether the spool is where sluice chooses it, beside the file.
  let isBeside: Bool

  init(
    _ box: Sandbox, _ bench: StoreBench, _ name: String, _ output: [UInt8], _ what: String, _ generator: inout SeededGenerator
  ) throws {
    (self.box, self.bench, self.name, self.output) = (box, bench, name, output)
    reader = Reader.allCases.randomElement(using: &generator) ?? .file
    let old = Array("what was there before\n".utf8)
    let isOld = Bool.random(using: &generator) && reader == .file
    self.old = isOld ? old : nil
    isBeside = Bool.random(using: &generator) && reader == .file
    self.what = "seed \(Fuzz.seed): \(what); \(name), \(output.count) bytes to \(reader)"
    if isOld { try box.file("out", old) }
  }

  func client(retries: Int) -> Program {
    let words: [String] =
      switch reader {
      case .output: []
      case .file: ["out"]
      case .command: ["--", "sh", "-c", "touch started; cat >got"]
      }
    var client = bench.client(["get", "--retries", "\(retries)"] + options + [bench.destination(name)] + words)
    if isBeside { client.environment["SLUICE_SPOOL_DIR"] = nil }
    return client
  }

  func run(retries: Int) async throws -> Finished { try await box.start(client(retries: retries)).finish() }

  private var file: String { "\(box.work)/out" }
  private static let folder = ".sluice-\(geteuid())"

  /// The reader has all of it, and nothing else is there.
  func expectAll(_ run: Finished, _ location: SourceLocation = #_sourceLocation) throws {
    switch reader {
    case .output: expectSame(run.output, output, what, location: location)
    case .file: try expectSame(contents(file), output, what, location: location)
    case .command: try expectSame(contents("\(box.work)/got"), output, what, location: location)
    }
    let expected = reader == .output ? [] : reader == .file ? ["out"] : ["got", "started"]
    #expect(names(in: box.work) == expected, "\(what): \(run.summary)", sourceLocation: location)
    #expect(box.spoolNames == [], "\(what): \(run.summary)", sourceLocation: location)
  }

  /// Nothing has come to the reader, and nothing is left but what the same command can go on with.
  func expectNothing(_ run: Finished, _ statuses: Set<Int32>, _ location: SourceLocation = #_sourceLocation) throws {
    #expect(statuses.contains(run.exit ?? -1), "\(what): \(run.summary)", sourceLocation: location)
    #expect(reader == .file || run.output.isEmpty, "\(what): \(run.summary)", sourceLocation: location)
    let mayGoOn = reader == .file && run.errorText.contains("is kept for a week; the same command goes on with it")
    let there = names(in: box.work).filter { !mayGoOn || $0 != GetTrial.folder }
    #expect(there == (old == nil ? [] : ["out"]), "\(what): \(run.summary)", sourceLocation: location)
    if let old { try expectSame(contents(file), old, what, location: location) }
    guard !mayGoOn else { return }
    #expect(box.spoolNames == [], "\(what): \(run.summary)", sourceLocation: location)
  }

  /// The same command, now that all is well.
  func goOn(_ location: SourceLocation = #_sourceLocation) async throws {
    let run = try await run(retries: 0)
    #expect(run.exit == 0, "\(what), and then well: \(run.summary)", sourceLocation: location)
    if run.exit == 0 { try expectAll(run, location) }
  }

  /// Takes away what came.
  func clean() throws {
    for name in names(in: box.work) { try FileManager.default.removeItem(atPath: "\(box.work)/\(name)") }
    for name in box.spoolNames { try FileManager.default.removeItem(atPath: "\(box.spool)/\(name)") }
  }
}

/// By what an object is proven that is read back.
enum GetProof: CaseIterable {
  case none, given, receipt, sum, server

  /// - Returns: the options of the client.
  func give(of bytes: [UInt8], _ name: String, at bench: StoreBench) async throws -> [String] {
    let hash = hex(SHA256.hash(data: bytes))
    switch self {
    case .none, .server: return []
    case .given: return ["--sha256", hash]
    case .receipt:
      let receipt = "\(bench.box.path)/receipt"
      let line = #"{"ok":true,"destination":"\#(bench.destination(name))","bytes":\#(bytes.count),"sha256":"\#(hash)"}"#
      try write(Array("\(line)\n".utf8), to: receipt)
      return ["--receipt", receipt]
    case .sum:
      try await bench.plant(Array("\(hash)  \(name.split(separator: "/").last ?? "")\n".utf8), "\(name).sha256")
      return []
    }
  }
}

import Crypto
import Foundation
import Support
import Testing

/// Faults that nobody chose, while objects are read back: what comes to the reader is whole and proven, or nothing does.
@Suite(.sandboxed)
struct GetFaultTests {
  static let servers: [StoreServer] = [.alist, .siyuan, .http(nil), .dav(nil), .s3(nil)]

  private let box = Sandbox.here

  /// - Parameter standard: of all properties here together there are 60 in an ordinary run.
  private static func rounds(_ standard: Int) -> Int {
    max(1, Fuzz.number("SLUICE_FUZZ_CASES").map { $0 * standard / 60 } ?? standard)
  }

  @Test("a fault on the way: all of the object, or nothing and the right status", arguments: servers)
  func transport(server: StoreServer) async throws {
    var generator = Fuzz.generator("get faults \(server)")
    let bench = try await StoreBench(server, box, hashes: true)
    var counts: [String: Int] = [:]
    for number in 0..<GetFaultTests.rounds(7) {
      let name = GetFaultTests.name(number, server, &generator)
      let fault = GetFaultTests.fault(server, &generator)
      let proof = GetFaultTests.proof(for: fault, server, &generator)
      let passes = Bool.random(using: &generator)
      let bytes = generator.bytes(GetFaultTests.size(&generator))
      let harm = GetHarm(name, bytes)
      let harmed = try harm.harming(bench)
      var trial = try GetTrial(
        box, harmed, name, bytes, "\(fault) at \(server), by \(proof), \(passes ? "once" : "always")", &generator)
      try await plant(bytes, name, in: bench, isYoung: Bool.random(using: &generator))
      trial.options = try await proof.give(of: bytes, name, at: harmed)
      // What another object has replaced is noticed at the second try.
      let isOnce = passes || fault.isReplacement
      harm.begin(fault, times: isOnce ? 1 : .max)
      let run = try await trial.run(retries: isOnce ? 2 : 0)
      harm.end()
      if run.exit == 0 {
        try trial.expectAll(run)
      } else {
        if case .cut = fault, passes { Issue.record("\(trial.what): \(run.summary)") }
        try trial.expectNothing(run, fault.statuses(at: server))
        if !fault.isReplacement { try await trial.goOn() }
      }
      counts["exit \(run.exit ?? -1)", default: 0] += 1
      try trial.clean()
    }
    print("get faults at \(server): \(counts.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", "))")
  }

  private static func name(_ number: Int, _ server: StoreServer, _ generator: inout SeededGenerator) -> String {
    // SiYuan knows parts of assets alone.
    if server == .siyuan { return Bool.random(using: &generator) ? "assets/x\(number).bin" : "x\(number)" }
    return ["x\(number)", "x \(number)", "x\(number).md", "ü\(number).gz"].randomElement(using: &generator) ?? ""
  }

  private static func size(_ generator: inout SeededGenerator) -> Int {
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: 1
    case 1: Int.random(in: 2...2000, using: &generator)
    case 2...6: Int.random(in: 2001...300_000, using: &generator)
    case 7...8: Int.random(in: 300_000...3_000_000, using: &generator)
    default: Int.random(in: 8_388_609...18_000_000, using: &generator)
    }
  }

  private static func fault(_ server: StoreServer, _ generator: inout SeededGenerator) -> GetFault {
    let place = Double.random(in: 0..<1, using: &generator)
    switch Int.random(in: 0..<12, using: &generator) {
    case 0...2: return .cut(at: place, isReset: Bool.random(using: &generator))
    case 3: return .gone(at: place)
    case 4...5: return .flipped(at: place)
    case 6: return .swapped
    case 7: return .replaced(at: place, count: Int.random(in: 0...400_000, using: &generator))
    case 8: return .page
    case 9: return .whole(at: place)
    case 10: return .elsewhere(at: place)
    default: return .words(status: server == .siyuan ? "202 Accepted" : "200 OK")
    }
  }

  /// Bytes that are only changed need a hash to be found out; and SiYuan tells no length of most, so that without one nothing is taken at all.
  private static func proof(for fault: GetFault, _ server: StoreServer, _ generator: inout SeededGenerator) -> GetProof {
    var proofs: [GetProof] = [.given, .receipt, .sum]
    if server == .alist || server == .s3(nil) { proofs.append(.server) }
    if !fault.isSilent, server != .siyuan { proofs.append(.none) }
    return proofs.randomElement(using: &generator) ?? .given
  }

  /// - Parameter isYoung: whether its time is that of now, so that not every server can tell it from another one yet.
  private func plant(_ bytes: [UInt8], _ name: String, in bench: StoreBench, isYoung: Bool) async throws {
    if let file = bench.file(name) { try makeDirectory((file as NSString).deletingLastPathComponent, mode: 0o777) }
    try await bench.plant(bytes, name)
    guard !isYoung, let file = bench.file(name) else { return }
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1_772_532_000)], ofItemAtPath: file)
  }

  // MARK: - Damage that was stored

  /// What can be wrong with a set of parts.
  private enum Damage: CaseIterable {
    case missing, foreign, shorter, longer, swapped, more, manifestCut
  }

  @Test(
    "a set of which a part is missing, foreign, longer or at another's place is no object", arguments: [StoreServer.http(nil), .s3(nil)])
  func parts(server: StoreServer) async throws {
    var generator = Fuzz.generator("get parts \(server)")
    let bench = try await StoreBench(server, box)
    for number in 0..<GetFaultTests.rounds(6) {
      let (size, count) = (Int.random(in: 1...200_000, using: &generator), Int.random(in: 2...5, using: &generator))
      let bytes = generator.bytes(size * (count - 1) + Int.random(in: 1...size, using: &generator))
      var parts = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
      let manifest = GetFaultTests.manifest(of: parts, "set\(number)", size)
      let damage = Damage.allCases.randomElement(using: &generator) ?? .missing
      let place = Int.random(in: 0..<count - (damage == .swapped ? 1 : 0), using: &generator)
      let trial = try GetTrial(box, bench, "set\(number)", bytes, "\(damage), part \(place + 1) of \(count) at \(server)", &generator)
      for (index, part) in parts.enumerated() { try await bench.plant(part, GetFaultTests.part(index, of: trial.name)) }
      try await bench.plant(manifest, "\(trial.name).parts.json")
      if number % 6 == 0 { try await trial.goOn() }
      try trial.clean()
      var broken = place
      switch damage {
      case .missing: parts[place] = []
      case .foreign: parts[place] = parts[place].map { $0 ^ 0x55 }
      case .shorter: parts[place].removeLast()
      case .longer: parts[place].append(7)
      case .swapped: parts.swapAt(place, place + 1)
      case .more: (broken, parts) = (count, parts + [[1]])
      case .manifestCut:
        try await bench.plant(Array(manifest.dropLast(Int.random(in: 3...60, using: &generator))), "\(trial.name).parts.json")
      }
      for (index, part) in parts.enumerated() {
        let isGone = damage == .missing && index == place
        try await bench.plant(isGone ? nil : part, GetFaultTests.part(index, of: trial.name))
      }
      let old = trial.old
      if let old { try box.file("out", old) }
      let run = try await trial.run(retries: 0)
      try trial.expectNothing(run, [65])
      let word = damage == .manifestCut ? "parts.json" : GetFaultTests.part(broken, of: trial.name)
      let others = damage == .swapped ? GetFaultTests.part(place + 1, of: trial.name) : word
      #expect(run.errorText.contains(word) || run.errorText.contains(others), "\(trial.what): \(run.summary)")
      try trial.clean()
    }
  }

  private static func part(_ index: Int, of name: String) -> String { name + String(format: ".part-%05d", index + 1) }

  private static func manifest(of parts: [[UInt8]], _ name: String, _ size: Int) -> [UInt8] {
    let list = parts.enumerated().map { index, part in
      #"{"name":"\#(GetFaultTests.part(index, of: name))","bytes":\#(part.count),"sha256":"\#(hex(SHA256.hash(data: part)))"}"#
    }
    let whole = parts.flatMap(\.self)
    return Array(
      #"{"version":1,"name":"\#(name)","bytes":\#(whole.count),"sha256":"\#(hex(SHA256.hash(data: whole)))","gzip":false,"#.utf8)
      + Array(#""part_size":\#(size),"parts":[\#(list.joined(separator: ","))]}"#.utf8 + [10])
  }

  @Test("gzip that is cut, changed, or has something behind it gives nothing")
  func gzip() async throws {
    var generator = Fuzz.generator("get gzip")
    let bench = try await StoreBench(.http(nil), box)
    for number in 0..<GetFaultTests.rounds(10) {
      let text = generator.text(Int.random(in: 1...400_000, using: &generator))
      let half = Int.random(in: 0...text.count, using: &generator)
      let members = try await [zipped(Array(text[..<half])), zipped(Array(text[half...]))]
      var stored = members[0] + members[1]
      let place = Int.random(in: 0..<stored.count, using: &generator)
      let damage = ["none", "cut", "trailer cut", "flipped", "more", "zeros"].randomElement(using: &generator) ?? ""
      switch damage {
      case "cut": stored.removeLast(place == members[0].count ? 1 : stored.count - place)
      case "trailer cut": stored.removeLast(Int.random(in: 1...8, using: &generator))
      // Of a head the time and the system are of no meaning.
      case "flipped": stored[members[0].count + 10 + place % (members[1].count - 10)] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case "more": stored += generator.bytes(Int.random(in: 1...100, using: &generator))
      case "zeros": stored += [UInt8](repeating: 0, count: Int.random(in: 1...600, using: &generator))
      default: break
      }
      var trial = try GetTrial(box, bench, "x\(number).gz", text, "\(damage) at \(place)", &generator)
      trial.options = ["-d"]
      try await bench.plant(stored, trial.name)
      let run = try await trial.run(retries: 0)
      if run.exit == 0 {
        #expect(damage == "none" || damage == "zeros" || damage == "flipped", "\(trial.what): \(run.summary)")
        try trial.expectAll(run)
      } else {
        #expect(damage != "none", "\(trial.what): \(run.summary)")
        try trial.expectNothing(run, [65])
      }
      try trial.clean()
    }
  }

  private func zipped(_ bytes: [UInt8]) async throws -> [UInt8] {
    try await box.shell("gzip -n", input: .bytes(bytes)).output
  }

  @Test("an object without a length that is shorter at the second try is no mixture", arguments: [0, 1, 700, 999])
  func shorter(count: Int) async throws {
    var generator = SeededGenerator(15)
    let bytes = generator.bytes(200_000)
    let gets = Counter()
    let server = try box.scripted { exchange in
      guard exchange.request.method == "GET", exchange.request.header("Range") == nil else {
        return exchange.answer("", status: "405 Method Not Allowed")
      }
      guard exchange.request.target == "/x" else { return exchange.answer("", status: "404 Not Found") }
      let isFirst = gets.increment() == 1
      let part = Array(bytes.prefix(isFirst ? 1000 : count))
      exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      if !part.isEmpty { exchange.send(bytes: Array("\(String(part.count, radix: 16))\r\n".utf8) + part + [13, 10]) }
      // After a reset the client might not get what had come before.
      if isFirst { exchange.close() } else { exchange.send("0\r\n\r\n") }
    }
    try await box.sluice("get", "http://\(server.authority)/x", "out").failure(65, "input")
    #expect(names(in: box.work) == [] && box.spoolNames == [])
  }

  @Test("a disk that is full gives nothing, and nothing is left on it")
  func fullDisk() async throws {
    var generator = Fuzz.generator("get full disk")
    let bench = try await StoreBench(.http(nil), box)
    for number in 0..<GetFaultTests.rounds(4) {
      let bytes = generator.bytes(Int.random(in: 4096...12_000_000, using: &generator))
      let trial = try GetTrial(box, bench, "x\(number)", bytes, "full", &generator)
      try await plant(bytes, trial.name, in: bench, isYoung: false)
      var client = trial.client(retries: 0)
      client.fileSizeLimit = Int.random(in: 512..<bytes.count, using: &generator) / 512 * 512
      try trial.expectNothing(try await box.start(client).finish(), [74])
      try await trial.goOn()
      try trial.clean()
    }
  }
}

extension GetFault {
  /// Whether a server that does it seems to do well.
  fileprivate var isSilent: Bool {
    switch self {
    case .flipped, .swapped: true
    case .cut, .gone, .replaced, .whole, .elsewhere, .said: false
    }
  }

  fileprivate var isReplacement: Bool { if case .replaced = self { true } else { false } }

  /// The exit statuses that it may lead to.
  fileprivate func statuses(at server: StoreServer) -> Set<Int32> {
    switch self {
    // In a body of unknown length, or of one that ends too early, that is an answer that is none.
    case .cut, .gone: [69, 76]
    // So does what is changed in such a body.
    case .flipped, .swapped: server == .siyuan ? [65, 69, 76] : [65]
    case .replaced: [65]
    case .whole, .elsewhere: [69, 76]
    // Where pages and words may be objects, they are just other ones than what was there a moment ago.
    case .said(_, let type, _):
      type.contains("json") && (server == .alist || server == .siyuan) ? [69] : server == .alist ? [76] : [65, 76]
    }
  }
}

import BytePath
import Foundation
import Support
import Testing

@testable import sluice

/// Properties of what stands in files, on the command line and in answers, held against random and damaged ones.
@Suite(.sandboxed)
struct FuzzTests {
  private let box = Sandbox.here

  @Test("a config file that Python's YAML reads too is read the same", .enabled(if: hasYAML, "python3-yaml is not installed"))
  func yaml() async throws {
    var generator = Fuzz.generator("yaml")
    let pieces = [
      "a", "b", "remotes", "nas", ":", ": ", " ", "\n", "\n  ", "\n    ", "'", "\"", "''", "\\n", "\\\\", " # c", "#", "-", "é", "数",
      "https://h:1/p",
      "~/x", "null", "1.5", "\t", "? ", "! ", "[", "{", ",", "=", "a: b\n", "  c: d\n", "e:\n", "---\n",
    ]
    var documents: [String] = []
    var ours: [JSON] = []
    for _ in 0..<Fuzz.cases(8000) {
      let text = generator.text(of: pieces, Int.random(in: 1...12, using: &generator))
      do throws(Failure) {
        let node = try YAML.parse(text)
        documents.append(text)
        ours.append(json(node))
      } catch {
        #expect(error.kind == .config && error.message.hasPrefix("line "), "seed \(Fuzz.seed): \(text.debugDescription)")
      }
    }
    let encoded = try JSONEncoder().encode(documents)
    let run = try await box.shell("exec python3 -c '\(FuzzTests.readYAML)'", input: .bytes([UInt8](encoded)))
    try #require(run.exit == 0, "\(run.summary)")
    let theirs = try JSON(parsing: run.outputText).items
    try #require(theirs.count == documents.count)
    var read = 0
    for (index, document) in documents.enumerated() where theirs[index]["read"].bool == true {
      read += 1
      let same = json(ours[index]) == json(theirs[index]["value"])
      #expect(same, "seed \(Fuzz.seed): \(document.debugDescription) is \(ours[index]) here and \(theirs[index]["value"]) there")
    }
    #expect(read > documents.count / 2, "most of what is read here is YAML")
  }

  /// Scalars are left as texts; an empty value and an empty mapping are the same.
  private static let readYAML = """
    import json, sys, yaml
    def load(t):
        try: return {"read": True, "value": yaml.load(t, yaml.BaseLoader)}
        except Exception: return {"read": False}
    print(json.dumps([load(t) for t in json.load(sys.stdin)]))
    """

  private static let hasYAML: Bool = {
    guard let python = Program.installed("python3") else { return false }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: python)
    process.arguments = ["-c", "import yaml"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  private func json(_ node: YAML.Node) -> JSON {
    switch node {
    case .scalar(let text): .string(text)
    case .mapping(let members): .object(members.mapValues(json))
    }
  }

  private func json(_ value: JSON) -> JSON {
    switch value {
    case .object(let members) where members.isEmpty: .null
    case .string(""): .null
    case .object(let members): .object(members.mapValues(json))
    default: value
    }
  }

  @Test("sizes, spans and times of any text are read or refused, and sizes exactly")
  func quantities() {
    var generator = Fuzz.generator("quantities")
    let pieces = [
      "0", "1", "9", "12", ".", "-", "+", "e", "k", "K", "M", "G", "T", "iB", "B", "ms", "s", "m", "h", "d", " ", "é", "٣",
      "9999999999999999999",
    ]
    let times = ["2026", "-", "11", "21", "T", "Z", ":", "00", ".", "5", "+02:00", "9999999999999", "-1", "é", "24", "60"]
    for _ in 0..<Fuzz.cases(5000) {
      let text = generator.text(of: pieces, Int.random(in: 1...4, using: &generator))
      if let size = Size(argument: text) { #expect(size.bytes >= 0, "seed \(Fuzz.seed): \(text)") }
      if let span = TimeSpan(argument: text) { #expect(span.duration >= .zero, "seed \(Fuzz.seed): \(text)") }
      let time = generator.text(of: times, Int.random(in: 1...12, using: &generator))
      if let stamp = Timestamp(argument: time) { #expect(stamp.milliseconds >= 0, "seed \(Fuzz.seed): \(time)") }
      let number = Int64.random(in: 0...0x1_0000_0000, using: &generator)
      for (power, unit) in ["", "k", "M", "G"].enumerated() {
        #expect(Size(argument: "\(number % 1000)\(unit)")?.bytes == (number % 1000) << (10 * Int64(power)), "seed \(Fuzz.seed)")
      }
      #expect(Timestamp(argument: "\(number)")?.milliseconds == number)
    }
  }

  @Test("a job that was damaged is told of, and no other bytes than those that were held are ever sent")
  func jobs() async throws {
    var generator = Fuzz.generator("jobs")
    let server = try await box.loopback()
    let bytes = generator.bytes(5000)
    try makeDirectory("\(box.work)/x")
    let held = try await box.sluice("--no-preflight", "--retries", "0", "./x", server.plain("/no/x"), input: bytes)
    let id = try #require(try held.results().compactMap { $0["held"].text }.first, "\(held.summary)")
    try FileManager.default.removeItem(atPath: "\(box.work)/x")
    let (job, data) = ("\(box.spool)/\(id).json", "\(box.spool)/\(id).data")
    let valid = try contents(job)
    for _ in 0..<Fuzz.cases(40) {
      let damaged = generator.mutated(valid)
      try write(damaged, to: job, mode: 0o600)
      try write(bytes, to: data, mode: 0o600)
      let run = try await box.sluice("held", "push", "--retries", "0", "--connect-timeout", "1s", id)
      let text = "seed \(Fuzz.seed): \(String(decoding: damaged, as: UTF8.self)): \(run.summary)"
      let status = try #require(run.exit, "\(text)")
      #expect([0, 64, 65, 69, 73, 74, 76, 77, 78].contains(status), "\(text)")
      for folder in [box.work, "\(server.root)/plain"] {
        for name in names(in: folder) where !exists("\(folder)/\(name)/.") {
          try expectSame(contents("\(folder)/\(name)"), bytes, text)
          try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
        }
      }
    }
  }

  @Test("an answer that was damaged is no success unless it still says so")
  func answers() async throws {
    var generator = Fuzz.generator("answers")
    let body = #"{"code":0,"msg":"","data":null}"#
    let encodings = [String.Encoding.utf16, .utf16BigEndian, .utf32, .utf32LittleEndian].compactMap {
      body.data(using: $0).map { [UInt8]($0) }
    }
    let commas = [#"{"code":0,"msg":"","data":null,}"#, #"{"code":0,"msg":"","data":[1,],}"#].map { Array($0.utf8) }
    let wild = ["\u{0}", "\n", "\u{1b}[2J", "\u{7f}", "\u{9b}2J", "\u{202e}", "\u{2066}"].map {
      Array(#"{"code":0,"msg":"\#($0)","data":null}"#.utf8)
    }
    let bodies = [Array(body.utf8), Array("\u{feff}\(body)".utf8)] + encodings + commas + wild
    for number in 0..<Fuzz.cases(40) {
      let body = bodies[number % bodies.count]
      let valid = Array("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
      // Every second body comes as it is.
      let damaged = number / bodies.count % 2 == 0 ? valid : generator.mutated(valid)
      let server = try box.scripted { exchange in
        exchange.readBody()
        exchange.send(bytes: damaged)
        exchange.close()
      }
      let run = try await box.sluice(
        "--no-preflight", "--no-hold", "--retries", "0", "--timeout", "5s", "siyuan+http://\(server.authority)/data/x", input: [1, 2, 3])
      server.stop()
      let text = String(decoding: damaged, as: UTF8.self)
      let status = try #require(run.exit, "seed \(Fuzz.seed): \(text.debugDescription): \(run.summary)")
      #expect([0, 69, 73, 76, 77].contains(status), "seed \(Fuzz.seed): \(text.debugDescription): \(run.summary)")
      let saysSuccess = text.contains(#/^HTTP/1\.[0-9] 2[0-9][0-9]/#) && text.contains(#/"code"\s*:\s*-?0*(\.0+)?([eE][+-]?[0-9]+)?[,}]/#)
      #expect(status != 0 || saysSuccess, "seed \(Fuzz.seed): \(text.debugDescription) was taken for a success")
      #expect(run.outputText.split(separator: "\n").count == 1 && run.output.last == 0x0a, "seed \(Fuzz.seed): \(run.summary)")
      let shown = (run.outputText + run.errorText).unicodeScalars
      let isObeyed = shown.contains {
        ($0.value < 0x20 && $0 != "\n") || (0x7f...0x9f).contains($0.value) || (0x202a...0x2069).contains($0.value)
      }
      #expect(!isObeyed, "seed \(Fuzz.seed): \(text.debugDescription): \(run.summary)")
      #expect(box.spoolNames.isEmpty)
    }
  }

  @Test(
    "a form with any name and any payload is read by Python as it was meant",
    .enabled(if: Program.installed("python3") != nil, "python3 is not installed"))
  func forms() async throws {
    var generator = Fuzz.generator("forms")
    let file = "\(box.work)/body"
    let server = try box.scripted { exchange in
      try? write(exchange.readBody(), to: file)
      exchange.answer(#"{"code":0,"msg":"","data":null}"#)
    }
    for _ in 0..<min(Fuzz.cases(12), 500) {
      let name = generator.text(of: ["a", "\"", "'", ";", " ", "é", "数据", "😀", "filename=", "\\", "%", "--sluice-"], 5) + "x"
      let payload =
        generator.bytes(Int.random(in: 0...200, using: &generator)) + Array("\r\n--sluice-0123\r\nContent-Disposition: x\r\n\r\n".utf8)
      try await box.start(
        box.client(
          [
            "--no-preflight",
            "siyuan+http://\(server.authority)/data/\(name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")",
          ], input: .bytes(payload))
      ).finish().success()
      let type = try #require(server.requests.last?.header("Content-Type"))
      try box.file("type", "Content-Type: \(type)\r\n\r\n")
      let run = try await box.shell("exec python3 -c '\(FuzzTests.readForm)'")
      try #require(run.exit == 0, "\(run.summary)")
      let form = try JSON(parsing: run.outputText)
      #expect(form["names"].items.compactMap(\.text) == ["path", "isDir", "modTime", "file"], "seed \(Fuzz.seed): \(name)")
      #expect(form["path"].text == "data/\(name)", "seed \(Fuzz.seed): \(name)")
      #expect(form["file"].text == payload.map { String(format: "%02x", $0) }.joined(), "seed \(Fuzz.seed): \(name)")
    }
  }

  private static let readForm = """
    import email.parser, email.policy, json
    m = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(open("type", "rb").read() + open("body", "rb").read())
    parts = m.get_payload()
    names = [p.get_param("name", header="content-disposition") for p in parts]
    print(json.dumps({"names": names, "path": parts[0].get_payload(decode=True).decode(), "file": parts[3].get_payload(decode=True).hex()}))
    """
}

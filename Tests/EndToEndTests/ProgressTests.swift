import Foundation
import Support
import Testing

/// Progress on standard error.
@Suite(.sandboxed)
struct ProgressTests {
  private let box = Sandbox.here

  @Test(
    "on a terminal one line fits its width, and is cleared in the end", arguments: [20, 40, 80, 200],
    ["x", "数据库备份/每天-🗄️-备份.sql", "a-name-that-is-much-longer-than-the-terminal-is-wide-and-then-some.txt"])
  func width(columns: Int, name: String) async throws {
    let terminal = try PseudoTerminal(columns: columns)
    let server = try await box.loopback()
    var client = box.client(["--limit-rate", "1M", server.alist("/\(name)")], input: .pipe)
    client.error = .descriptor(terminal.child)
    let running = try box.start(client)
    await running.write([UInt8](repeating: 1, count: 300_000))
    try await eventually("the input is shown") { terminal.text.contains("in ") }
    running.closeInput()
    try await running.finish().success()
    try await eventually("the line is cleared") { screen(terminal.text).allSatisfy { $0.allSatisfy { $0 == " " } } }
    let frames = terminal.text.replacingOccurrences(of: "\r\n", with: "\n").components(separatedBy: "\r\u{1b}[K")
    #expect(frames.count > 2)
    for frame in frames { #expect(displayWidth(frame) < columns, "\(displayWidth(frame)) columns: \(frame.debugDescription)") }
    #expect(!terminal.text.contains("\u{fffd}"))
  }

  @Test("NO_COLOR leaves no colour on the terminal, nor does its absence do harm", arguments: ["1", nil] as [String?])
  func noColor(value: String?) async throws {
    let terminal = try PseudoTerminal()
    var client = box.client(["./no/such/place", "./out"], input: .bytes([1]), environment: ["NO_COLOR": value])
    client.error = .descriptor(terminal.child)
    let run = try await box.start(client).finish()
    #expect(run.exit == 73)
    try await eventually("the message is there") { terminal.text.contains("sluice: ") }
    if value != nil {
      #expect(!terminal.text.contains("m\u{1b}") && terminal.text.range(of: "\u{1b}\\[[0-9;]*m", options: .regularExpression) == nil)
    }
  }

  @Test("without a terminal nothing is shown", arguments: ["auto", "never"])
  func silent(mode: String) async throws {
    let running = try box.start(box.client(["--progress", mode, "./out"], input: .pipe))
    for _ in 1...3 {
      await running.write([UInt8](repeating: 1, count: 100_000))
      try await Task.sleep(for: .milliseconds(120))
    }
    running.closeInput()
    let run = await running.finish()
    try run.success()
    #expect(run.errorText.isEmpty)
  }

  @Test("-q and --progress never leave a terminal empty", arguments: [["-q"], ["--progress", "never"]])
  func quiet(options: [String]) async throws {
    let terminal = try PseudoTerminal()
    var client = box.client(options + ["--limit-rate", "500k", "./out"], input: .bytes([UInt8](repeating: 1, count: 200_000)))
    client.error = .descriptor(terminal.child)
    try await box.start(client).finish().success()
    #expect(terminal.text.isEmpty)
  }

  @Test("a dumb terminal gets no line that moves")
  func dumb() async throws {
    let terminal = try PseudoTerminal()
    var client = box.client(
      ["--limit-rate", "500k", "./out"], input: .bytes([UInt8](repeating: 1, count: 200_000)), environment: ["TERM": "dumb"])
    client.error = .descriptor(terminal.child)
    try await box.start(client).finish().success()
    #expect(!terminal.text.contains("\u{1b}"))
  }

  @Test("--progress json writes lines that programs can read")
  func json() async throws {
    let server = try await box.loopback()
    let run = try await box.sluice(
      "-z", "--level", "1", "--progress", "json", "--limit-rate", "300k", server.alist("/x"), input: SeededGenerator.noise(400_000))
    try run.success()
    let lines = try run.errorText.split(separator: "\n").map { try JSON(parsing: $0) }
    #expect(lines.allSatisfy { ["input", "upload"].contains($0["phase"].text) && $0["bytes"].int != nil })
    let uploads = lines.filter { $0["phase"].text == "upload" }
    #expect(!uploads.isEmpty)
    #expect(uploads.allSatisfy { $0["destination"].text == server.alist("/x") && $0["total"].int != nil })
    #expect(uploads.compactMap { $0["bytes"].int } == uploads.compactMap { $0["bytes"].int }.sorted())
    #expect(uploads.last?["bytes"] == uploads.last?["total"])
    #expect(lines.first?["phase"].text == "input")
  }

  @Test("a message does not garble the line")
  func messageBetween() async throws {
    let terminal = try PseudoTerminal()
    let server = try await box.loopback("--status", "503", "--times", "1")
    var client = box.client(["-v", "--limit-rate", "1M", server.alist("/x")], input: .bytes([UInt8](repeating: 1, count: 500_000)))
    client.error = .descriptor(terminal.child)
    try await box.start(client).finish().success()
    // What the program has written last may still be on its way through the terminal.
    try await eventually("all is here, and the line is gone") { terminal.text.contains("503") && screen(terminal.text).last == "" }
    for line in screen(terminal.text) where !line.isEmpty { #expect(line.hasPrefix("sluice: "), "\(line)") }
  }

  @Test("several destinations have a line each, which goes when they end, and messages come above them")
  func severalLines() async throws {
    let terminal = try PseudoTerminal(columns: 120)
    let server = try await box.loopback("--on", "/plain/slow", "--status", "503", "--times", "1")
    var client = box.client(
      ["--limit-rate", "400k", server.plain("/slow"), server.plain("/b"), "./c"], input: .bytes([UInt8](repeating: 1, count: 400_000)))
    client.error = .descriptor(terminal.child)
    let run = await (try box.start(client)).finish()
    #expect(run.exit == 0, "\(run.summary)")
    try await eventually("the lines are gone") { terminal.text.contains("503") && screen(terminal.text).last == "" }
    let together = terminal.text.components(separatedBy: "\u{1b}[J").contains { frame in
      ["/plain/slow  ", "/plain/b  ", "./c  "].allSatisfy(frame.contains)
    }
    #expect(together, "\(terminal.text.debugDescription)")
    for line in screen(terminal.text) where !line.isEmpty { #expect(line.hasPrefix("sluice: "), "\(line)") }
  }

  /// What stands on the screen in the end, as far as carriage returns, line feeds, steps upwards and cleared lines go.
  private func screen(_ text: String) -> [String] {
    var lines = [""]
    var row = 0
    var rest = text.replacingOccurrences(of: "\r\n", with: "\n")[...]
    while let character = rest.popFirst() {
      switch character {
      case "\n":
        row += 1
        if row == lines.count { lines.append("") }
      case "\r": break
      case "\u{1b}":
        let sequence = rest.prefix { !$0.isLetter }
        rest = rest.dropFirst(sequence.count)
        switch rest.popFirst() {
        case "A": row -= Int(sequence.dropFirst()) ?? 1
        case "K": lines[row] = ""
        default:
          lines[row] = ""
          lines.removeSubrange((row + 1)...)
        }
      default: lines[row].append(character)
      }
    }
    return lines
  }
}

/// Columns by the rules of the terminal, as far as these names need them.
func displayWidth(_ text: String) -> Int {
  text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
    line.reduce(0) { width, character in
      let scalar = character.unicodeScalars.first!.value
      return width + (scalar >= 0x2e80 && scalar < 0xa4d0 || scalar >= 0xff00 && scalar < 0xff61 || scalar >= 0x1f300 ? 2 : 1)
    }
  }.max() ?? 0
}

extension SeededGenerator {
  /// Bytes that no compressor can shorten.
  static func noise(_ count: Int) -> [UInt8] {
    var generator = SeededGenerator(42)
    return generator.bytes(count)
  }
}

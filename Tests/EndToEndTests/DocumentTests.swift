import Foundation
import Support
import Testing

/// What the documents say is what the program does.
@Suite(.sandboxed)
struct DocumentTests {
  private let box = Sandbox.here

  private static let commands = [
    ["put"], ["get"], ["verify"], ["ls"], ["mkdir"], ["check"], ["held", "list"], ["held", "push"], ["held", "drop"], ["endpoints"],
  ]

  @Test("every option of --help stands in sluice(1), and every option there is one")
  func options() async throws {
    // The version is asked for before there is a command.
    var known: Set<String> = ["-V", "--version"]
    for command in DocumentTests.commands {
      let help = try await box.start(box.client(command + ["--help"])).finish()
      try #require(help.exit == 0, "\(help.summary)")
      known.formUnion(DocumentTests.options(inHelp: help.outputText))
    }
    let documented = Document.manual.options
    #expect(known.subtracting(documented).sorted() == [], "not in the manual page")
    #expect(documented.subtracting(known).sorted() == [], "not in the program")
  }

  @Test("every option of sluice-loopback stands in its manual page, and every option there is one")
  func loopbackOptions() async throws {
    let help = try await box.start(Program(Loopback.program(), ["--help"])).finish()
    try #require(help.exit == 0, "\(help.summary)")
    let known = DocumentTests.options(inHelp: help.outputText)
    let documented = Document.loopbackManual.options
    #expect(known.subtracting(documented).sorted() == [], "not in the manual page")
    #expect(documented.subtracting(known).sorted() == [], "not in the program")
  }

  @Test("-V and --version print the version", arguments: ["-V", "--version"])
  func version(option: String) async throws {
    let run = try await box.sluice(option)
    #expect(run.exit == 0)
    #expect(run.outputText.hasPrefix("sluice "))
  }

  @Test("the table of exit statuses is that of the program")
  func exitStatuses() throws {
    var documented: [String: Set<Int>] = [:]
    for line in Document.manual.section("EXIT STATUS") where line.hasPrefix(".It ") {
      let cells = line.dropFirst(4).components(separatedBy: " Ta ")
      guard let status = Int(cells[0]), status != 0, cells.count > 1 else { continue }
      let kinds = cells[1].replacing("Li ", with: "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
      for kind in kinds { documented[kind, default: []].insert(status) }
    }
    var known: [String: Set<Int>] = ["(no line)": [64], "interrupted": [129, 130, 143]]
    // `case .rejected, .exists: 73`
    for line in Document("Sources/sluice/Report/ExitStatus.swift").lines {
      let parts = line.trimmingCharacters(in: .whitespaces).components(separatedBy: ": ")
      guard parts.count == 2, parts[0].hasPrefix("case ."), let status = Int(parts[1]) else { continue }
      for kind in parts[0].dropFirst(5).components(separatedBy: ", ") where kind != ".usage" {
        known[String(kind.dropFirst()), default: []].insert(status)
      }
    }
    #expect(known.count > 9)
    #expect(documented == known)
  }

  @Test("every key of a result stands in sluice(1), and every key there is one")
  func resultKeys() throws {
    let documented = Set(Document.manual.section("RESULTS").filter { $0.hasPrefix(".It Li ") }.map { String($0.dropFirst(7)) })
    let known = try JSON(parsing: String(decoding: contents(ResultSchema.file), as: UTF8.self))["properties"].keys
    #expect(known.subtracting(documented).sorted() == [], "not in the manual page")
    #expect(documented.subtracting(known).sorted() == [], "not in the schema")
  }

  @Test("every -o option and every key of a remote stands in sluice(1)")
  func endpointOptions() async throws {
    let run = try await box.sluice("endpoints")
    let options = try run.outputText.split(separator: "\n").flatMap { try JSON(parsing: $0)["options"].items.compactMap(\.text) }
    #expect(!options.isEmpty)
    for option in options {
      let item = ".It Fl o Cm \(option)"
      #expect(Document.manual.lines.contains { $0 == item || $0.hasPrefix(item + " Ns ") }, "-o \(option)")
    }
    let keys = Document.manual.section("CONFIGURATION").filter { $0.hasPrefix(".It Cm ") }.joined(separator: " ")
    let secrets = ["token", "password"].flatMap { [$0, "\($0)-file", "\($0)-command"] }
    for key in options + ["type", "url", "username"] + secrets {
      #expect(keys.split(whereSeparator: { " ,".contains($0) }).contains(Substring(key)), "\(key)")
    }
  }

  @Test(
    "the examples of the documents work", .enabled(if: Program.installed("jq") != nil, "jq is not installed"),
    arguments: Document.manual.manualExamples + Document.readme.markdownExamples)
  func examples(line: String) async throws {
    let documented = try await Documented(box)
    try await documented.backUp()
    let run = try await documented.shell(documented.local(line))
    #expect(run.exit == 0, "\(line)\n\(run.summary)")
    for text in run.outputText.split(separator: "\n") where text.hasPrefix("{") {
      // The lines of a list have no such key.
      #expect(try JSON(parsing: text)["ok"] != .bool(false), "\(line)\n\(run.summary)")
    }
    // Nobody is to copy a line that warns.
    #expect(!run.errorText.contains("warning"), "\(line)\n\(run.summary)")
  }

  @Test("there are examples")
  func exampleCount() {
    #expect(Document.manual.manualExamples.count > 10)
    #expect(Document.readme.markdownExamples.count > 5)
  }

  @Test("what the readme links to is there")
  func links() {
    let targets = Document.readme.text.matches(of: /\]\(([^)#:]+)\)/).map { String($0.output.1) }
    #expect(!targets.isEmpty)
    for target in targets { #expect(exists("\(Document.folder)/\(target)"), "\(target)") }
  }

  @Test("the two commands of the readme are there", arguments: ["examples/try.sh", "Tests/run", ".ci/run"])
  func commands(path: String) {
    #expect(access("\(Document.folder)/\(path)", X_OK) == 0)
    #expect(path == ".ci/run" || Document.readme.lines.contains("./\(path)"))
  }

  /// The options that a help text lists, one or two to a line.
  private static func options(inHelp text: String) -> Set<String> {
    var found: Set<String> = []
    for line in text.components(separatedBy: "\n") where line.hasPrefix("  -") {
      for word in line.split(separator: " ") {
        guard word.hasPrefix("-") else { break }
        found.insert(word.trimmingCharacters(in: [","]))
      }
    }
    return found
  }
}

import Foundation
import Support
import Testing

/// The checks of sluice(1)'s RECIPES, each on a whole stream and on streams that were cut off.
@Suite(.sandboxed)
struct RecipeTests {
  /// A tool whose streams can be made here.
  struct Recipe: Sendable, CustomTestStringConvertible {
    /// As in the manual page.
    let name: String
    /// What must be installed.
    let tools: [String]
    /// Bytes at the end of the stream without which nothing is lost, such as padding or the time in a comment.
    var padding = 0
    /// Prints the stream.
    let producer: String

    var testDescription: String { name }
    var isPossible: Bool { tools.allSatisfy { Program.installed($0) != nil } }
  }

  static let golden = "\(Document.folder)/Tests/EndToEndTests/Golden"
  /// Files whose ends fall onto the borders of an archive's blocks too.
  private static let files = "mkdir d; for n in 1 2 3; do head -c 700 /dev/urandom > d/$n; done; "
  static let recipes = [
    Recipe(name: "tar", tools: ["tar"], padding: 1024, producer: files + "tar c -b 2 d"),
    Recipe(name: "gzip", tools: ["gzip"], producer: files + "cat d/* | gzip"),
    Recipe(name: "zstd", tools: ["zstd"], producer: files + "cat d/* | zstd"),
    Recipe(name: "xz", tools: ["xz"], producer: files + "cat d/* | xz"),
    Recipe(name: "pg_dump, custom format", tools: ["pg_restore"], producer: "cat '\(golden)/notes.dump'"),
    Recipe(name: "pg_dump, plain", tools: [], padding: 100, producer: "cat '\(golden)/notes.sql'"),
    Recipe(
      name: "mysqldump, mariadb-dump", tools: [], padding: 30,
      producer: "echo 'CREATE TABLE `t` (`a` int);'; echo; echo '-- Dump completed on 2026-01-02  3:04:05'"),
    Recipe(
      name: "sqlite3", tools: ["sqlite3"], padding: 1,
      producer: "sqlite3 n.db \"create table t(a); insert into t values(1),('COMMIT;');\"; sqlite3 n.db .dump"),
  ]

  private let box = Sandbox.here

  /// The arguments of `--check` in the item of this name.
  private static func checks(of name: String) throws -> [String] {
    let lines = Document.manual.section("RECIPES")
    let item = lines.drop { $0 != ".It Sy \(name)" }.dropFirst().prefix { !$0.hasPrefix(".It ") }
    let text = item.joined(separator: "\n").replacing("\\(aq", with: "'")
    let found = text.matches(of: /--check '([^']+)'/).map { String($0.1) }
    try #require(!found.isEmpty, "\(name) has no check in RECIPES")
    return found
  }

  @Test("a whole stream passes its recipe, and one that was cut off anywhere does not", arguments: recipes.filter(\.isPossible))
  func recipe(_ recipe: Recipe) async throws {
    let options = try Self.checks(of: recipe.name).flatMap { ["--check", $0] }
    let whole = try await box.shell(recipe.producer).output
    try #require(whole.count > 60)
    try await box.start(box.client(options + ["./whole"], input: .bytes(whole))).finish().success()
    try expectSame(contents("\(box.work)/whole"), whole)
    let last = whole.count - recipe.padding
    let cuts = Set([0, 1, 10, 512, 1024, 1536, 2048, 3072, whole.count / 3, whole.count / 2, last - 1].filter { $0 >= 0 && $0 < last })
    for cut in cuts.sorted() {
      let run = try await box.start(box.client(options + ["./cut"], input: .bytes(Array(whole[..<cut])))).finish()
      #expect(run.exit == 65, "cut after \(cut) of \(whole.count) bytes: \(run.summary)")
      #expect(!exists("\(box.work)/cut"), "cut after \(cut) of \(whole.count) bytes")
    }
  }

  @Test("every recipe of the manual page is tried here, but for a tool that is not to be had")
  func allAreTried() {
    let items = Document.manual.section("RECIPES").filter { $0.hasPrefix(".It Sy ") }.map { String($0.dropFirst(7)) }
    #expect(Set(items) == Set(Self.recipes.map(\.name)).union(["zfs send"]))
  }

  @Test("pg_restore -l is no check", .enabled(if: Program.installed("pg_restore") != nil, "there is no pg_restore"))
  func listIsNoCheck() async throws {
    let half = try contents("\(Self.golden)/notes.dump").prefix(4000)
    try await box.sluice("--check", "pg_restore -l", "./half", input: Array(half)).success()
  }
}

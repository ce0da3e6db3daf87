import Foundation
import Support
import Testing

/// The table of faults names tests that there are.
struct EvidenceTests {
  private static let table = Document("Tests/README.md")

  @Test("every test that the table names is there")
  func named() throws {
    let sources = try EvidenceTests.sources()
    let names = EvidenceTests.table.text.matches(of: #/`([A-Z]\w+(?:Tests|Suite))\.(\w+)`/#)
    #expect(names.count > 30)
    for name in names {
      let (suite, function) = (name.1, name.2)
      let isThere = sources.contains { $0.contains("struct \(suite) ") && $0.contains("func \(function)(") }
      #expect(isThere, "\(suite).\(function)")
    }
  }

  @Test("every variable that the tests know stands in the table")
  func variables() throws {
    let known = Set(
      try EvidenceTests.sources().flatMap {
        $0.matches(of: #/(?:(?:number|cases|variable)\(|processInfo\.environment\[)"(SLUICE_\w+)"/#).map { String($0.1) }
      })
    let told = Set(EvidenceTests.table.text.matches(of: #/\| `(SLUICE_\w+)` \|/#).map { String($0.1) })
    #expect(known == told)
  }

  @Test("every type and function that the page for newcomers names is there")
  func hops() throws {
    let sources = try EvidenceTests.sources("Sources").joined()
    let names = Document("Sources/README.md").text.matches(of: #/`([A-Z]\w+)(?:\.(\w+))?`/#)
    #expect(names.count > 40)
    for name in names {
      let type = try Regex("(struct|class|enum|protocol|extension) (\\w+\\.)?\(name.1)\\b")
      #expect(sources.contains(type) || FileManager.default.fileExists(atPath: "\(Document.folder)/Sources/\(name.1)"), "\(name.1)")
      if let member = name.2 {
        let declared = try Regex("(func|var|let|case|enum|struct) \(member)\\b")
        #expect(sources.contains(declared), "\(name.0)")
      }
    }
  }

  private static func sources(_ root: String = "Tests") throws -> [String] {
    let folder = "\(Document.folder)/\(root)"
    let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return try files.filter { $0.hasSuffix(".swift") }.map { String(decoding: try contents("\(folder)/\($0)"), as: UTF8.self) }
  }
}

import Foundation
import Support
import Testing

/// The table of faults names tests that there are.
struct EvidenceTests {
  private static let table = Document("Tests/README.md")

  @Test("every test that the table names is there")
  func named() throws {
    let sources = try EvidenceTests.sources()
    let names = EvidenceTests.table.text.matches(of: #/`([A-Z]\w+Tests)\.(\w+)`/#)
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

  private static func sources() throws -> [String] {
    let folder = "\(Document.folder)/Tests"
    let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return try files.filter { $0.hasSuffix(".swift") }.map { String(decoding: try contents("\(folder)/\($0)"), as: UTF8.self) }
  }
}

import Foundation
import Support
import Testing

/// That the benchmarks run; what they measure is not judged here.
@Suite(.sandboxed)
struct BenchmarkTests {
  private static let script = "\(Document.folder)/Tests/Benchmarks/run"
  private static let canRun =
    ["hyperfine", "pigz", "pv", "rclone", "jq", "curl", "openssl", "cc"].allSatisfy { Program.installed($0) != nil }
    && exists("/usr/include/openssl/ssl.h") && exists("/usr/bin/time")

  private let box = Sandbox.here

  @Test("--help says how to call them, and a wrong option is refused")
  func help() async throws {
    #expect(try await box.shell("'\(Self.script)' --help").outputText.contains("--pairs"))
    #expect(try await box.shell("'\(Self.script)' --nonsense").exit == 2)
  }

  @Test("a row is measured and its output checked", .enabled(if: canRun, "not all of their tools are installed"))
  func row() async throws {
    let run = try await box.shell(
      "'\(Self.script)' --sluice '\(Program.built("sluice"))' --scale 0.01 --pairs 1 --disk . --only '^(gzip mixed|file to HTTP)$'")
    #expect(run.exit == 0, "\(run.summary)")
    #expect(run.outputText.contains("| gzip mixed | "))
    #expect(run.outputText.contains("| file to HTTP | "))
    #expect(names(in: box.work) == [])
  }
}

import Foundation
import Support

/// The SHA-256 in hex, by the system's own program, so that it is not the client's code that says whether the client is right.
func sha256(_ bytes: [UInt8]) async throws -> String { try await sha256(Program.Input.bytes(bytes)) }

func sha256(file path: String) async throws -> String { try await sha256(Program.Input.file(path)) }

private func sha256(_ input: Program.Input) async throws -> String {
  let tool = Program.installed("sha256sum") ?? "/usr/bin/shasum"
  var program = Program(tool, tool.hasSuffix("shasum") ? ["-a", "256"] : [])
  program.input = input
  return String(try await program.run().outputText.prefix(64))
}

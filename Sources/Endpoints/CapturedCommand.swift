import BytePath
import Subprocess

// swift-subprocess speaks in the system's own types where there are some.
#if canImport(System)
  import System
#else
  import SystemPackage
#endif

/// A command whose output is a short answer, such as a password manager's.
enum CapturedCommand {
  /// Runs `line` with `sh -c` and returns its standard output, at most 64 KiB. Its standard error is the user's.
  ///
  /// - Throws: `config` if it can't be started, fails or prints more.
  static func run(_ line: String) async throws(Failure) -> String {
    do {
      let result = try await Subprocess.run(
        .path("/bin/sh"), arguments: ["-c", line], environment: ChildEnvironment.inherited(), input: .none, output: .string(limit: 65536),
        error: .currentStandardError)
      guard result.terminationStatus.isSuccess else {
        var exit: Int32?
        if case .exited(let code) = result.terminationStatus { exit = code }
        throw Failure(
          .config, "the command \(line) failed: \(result.terminationStatus)",
          hint: exit.flatMap { ScriptHead.problem(of: line, exitStatus: $0) } ?? "run it by itself to see why")
      }
      return result.standardOutput
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(.config, "cannot run the command \(line): \(error)")
    }
  }
}

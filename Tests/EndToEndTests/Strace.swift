import Foundation
import Support

/// System calls that fail, or at which the program dies, as strace makes them.
enum Strace {
  /// Not everywhere may a program trace another.
  static let isPossible: Bool = {
    guard let path = Program.installed("strace") else { return false }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = ["-qq", "-f", "-o", "/dev/null", "--seccomp-bpf", "-e", "inject=fsync:error=EIO", "true"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  /// The program, with what is to happen to one of its system calls.
  ///
  /// - Parameters:
  ///   - fault: as strace's `inject`: `write:error=ENOSPC:when=2`. Each thread counts for itself.
  ///   - path: only calls about this file.
  ///   - sparesChildren: whether programs that it starts are left alone.
  static func injecting(_ fault: String, on path: String?, sparesChildren: Bool = false, into program: Program) -> Program {
    var traced = program
    traced.path = Program.installed("strace") ?? "strace"
    let call = fault.prefix { $0 != ":" }
    let selection = path.map { ["-P", $0] } ?? []
    // With the filter, strace forgets a signal that is not for the first call, and can't let go of children.
    let filter = sparesChildren ? ["-b", "execve"] : fault.contains("signal=") ? [] : ["--seccomp-bpf"]
    traced.arguments =
      ["-qq", "-f", "-o", "/dev/null"] + filter + ["-e", "trace=\(call)", "-e", "inject=\(fault)"] + selection + [program.path]
      + program.arguments
    return traced
  }
}

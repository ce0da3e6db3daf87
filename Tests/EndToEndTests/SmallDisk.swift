import Foundation
import Support

/// A file system that is soon full.
enum SmallDisk {
  /// Root alone may mount one, and not in every container.
  static let isPossible: Bool = {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "d=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs $d && umount $d; s=$?; rmdir $d; exit $s"]
    process.standardError = FileHandle.nullDevice
    guard getuid() == 0, (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()
}

/// Mounts a small file system for as long as `body` runs.
///
/// - Parameter options: further ones of the mount.
func withSmallDisk(at path: String, kibibytes: Int, options: String = "rw", _ body: () async throws -> Void) async throws {
  try makeDirectory(path)
  let mounted = try await Program("/bin/sh", ["-c", "mount -t tmpfs -o size=\(kibibytes)k,mode=0700,\(options) tmpfs '\(path)'"]).run()
  guard mounted.exit == 0 else { throw ProgramError(description: "cannot mount: \(mounted.errorText)") }
  let outcome: Result<Void, any Error>
  do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
  _ = try await Program("/bin/sh", ["-c", "umount -l '\(path)'"]).run()
  try outcome.get()
}

import BytePath
import Endpoints

/// Which folder the spools are in: `--spool-dir`, `SLUICE_SPOOL_DIR`, or `sluice-UID` in `TMPDIR`, else in `/var/tmp`, which outlives a boot.
struct SpoolPlace {
  let option: String?

  /// True if the user has named one.
  var isChosen: Bool { chosen != nil }

  private var chosen: String? {
    if let option { return expandingHome(option) }
    guard let folder = getenv("SLUICE_SPOOL_DIR"), folder.pointee != 0 else { return nil }
    return String(cString: folder)
  }

  var path: String {
    if let chosen { return chosen }
    let parent = getenv("TMPDIR").flatMap { $0.pointee == 0 ? nil : String(cString: $0) } ?? "/var/tmp"
    return "\(parent)/sluice-\(geteuid())"
  }

  /// The folder that knows of what is held beside files.
  static var index: Result<SpoolDirectory, Failure> {
    do throws(Failure) { return .success(try SpoolPlace(option: nil).open()) } catch { return .failure(error) }
  }

  /// - Throws: `spool`.
  func open() throws(Failure) -> SpoolDirectory { try SpoolDirectory(path) }
}

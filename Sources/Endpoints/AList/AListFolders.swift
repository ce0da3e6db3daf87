import BytePath
import Synchronization

/// What is known of the drives behind AList.
struct AListDrive: Sendable {
  /// The driver of the storage; nil if the server does not name it, as for a folder that only holds storages. Then it may be any.
  let name: String?

  /// By the start of the driver's name: those of both servers that take a file by its hash, if they know it, and so read a hash of the upload
  /// (drivers/115, 123, 139, 189pc, aliyundrive_open, baidu_netdisk, ilanzou, quark_uc).
  private static let hashes: [(name: String, algorithms: [HashAlgorithm])] = [
    ("115", [.sha1]), ("123", [.md5]), ("139", [.sha256]), ("189", [.md5]), ("aliyundrive", [.sha1]), ("baidu", [.md5]),
    ("feijipan", [.md5]), ("ilanzou", [.md5]), ("quark", [.md5, .sha1]), ("uc", [.md5, .sha1]),
  ]

  /// By the start of the driver's name, in lower case: drives that write an upload under its name from the first byte on, so that a cut leaves
  /// half an object there, and drivers that hand uploads through to others.
  private static let inPlace = ["local", "sftp", "smb", "ftp", "webdav", "alias", "crypt", "chunk", "alist", "openlist"]

  /// False for drives that show an upload when it is whole, which those of the cloud do by themselves.
  var writesInPlace: Bool { name.map { name in AListDrive.inPlace.contains { name.lowercased().hasPrefix($0) } } ?? true }

  /// Whether a rename onto a file replaces it in one step, as rename(2) does (drivers/local/driver.go).
  var renamesOver: Bool { name?.lowercased() == "local" }

  var hashesThatHelp: [HashAlgorithm] {
    guard let name = name?.lowercased() else { return [] }
    return AListDrive.hashes.first { name.hasPrefix($0.name) }?.algorithms ?? []
  }
}

/// What the server has said of folders, each asked once in a run.
final class AListFolders: Sendable {
  struct Facts: Sendable {
    var drive = AListDrive(name: nil)
    /// Nil if it was not asked.
    var mayRename: Bool?
    /// What the questions told by the way of the path; nil if they told nothing.
    var look: Finding?
  }

  private struct State {
    var drives: [String: AListDrive] = [:]
    var mayRename: [String: Bool] = [:]
    var looks: [String: (finding: Finding, moment: ContinuousClock.Instant)] = [:]
  }

  private let api: AListAPI
  private let state = Mutex(State())

  init(_ api: AListAPI) { self.api = api }

  /// What holds for objects beside `path`. Where it must ask, the questions are such that they tell as well what is at `path`.
  ///
  /// - Parameter asksRename: whether it matters that renames are allowed.
  func facts(for path: String, asksRename: Bool) async throws(Failure) -> Facts {
    let folder = AList.parent(of: path)
    var (drive, mayRename) = state.withLock { ($0.drives[folder], $0.mayRename[folder]) }
    var isFree = false
    var found: Finding?
    if asksRename, mayRename == nil {
      let answer = try await askToRename(to: path)
      (mayRename, isFree) = (answer.isAllowed, answer.isFree)
      state.withLock { $0.mayRename[folder] = answer.isAllowed }
    }
    if drive == nil, !isFree {
      let look = try await api.look(at: path)
      found = look.finding
      if look.finding.stored?.isDirectory == false { drive = AListDrive(name: look.driver) }
    }
    if drive == nil {
      let look = try await lookAtNearest(folder)
      // What a folder with a password holds is not to be found out by the way: nothing in it could be looked at later.
      if isFree, look.finding.isTold { found = .nothing }
      // Of a root that is not there yet more may be known when it has been made.
      if !look.finding.isNothing { drive = AListDrive(name: look.driver) }
    }
    state.withLock { $0.drives[folder] = drive }
    return Facts(drive: drive ?? AListDrive(name: nil), mayRename: mayRename, look: found)
  }

  /// Keeps what is at a path for who asks for it next.
  func note(_ finding: Finding, at path: String) { state.withLock { $0.looks[path] = (finding, .now) } }

  /// What was noted a moment ago, once.
  func takeLook(at path: String) -> Finding? {
    state.withLock { $0.looks.removeValue(forKey: path) }.flatMap { $0.moment.duration(to: .now) < .seconds(5) ? $0.finding : nil }
  }

  func forbidRenames(in folder: String) { state.withLock { $0.mayRename[folder] = false } }

  /// Asks whether the server would rename in the folder of `path`, by asking it to rename what is not there: only one that knows the call and
  /// allows it misses the object. The permissions of a user do not tell, as AList has them by role and path, and folders can have passwords.
  ///
  /// The name that it would get is that of `path`: what has it is in the way, and is told of first (FsRename in server/handles/fsmanage.go).
  private func askToRename(to path: String) async throws(Failure) -> (isAllowed: Bool, isFree: Bool) {
    let reply: AListReply
    do throws(Failure) {
      reply = try await api.rename(TemporaryName.beside(path), to: AList.name(of: path), overwriting: false)
    } catch {
      // A server without the call may say so in any way.
      guard !error.isRetryable, error.kind != .interrupted else { throw error }
      return (false, false)
    }
    if reply.mustBeTold { try AListCode.check(reply, path) }
    return (reply.saysMissing || reply.saysExisting, reply.saysMissing)
  }

  /// What the server says of `folder`, or else of the nearest one above that is there: it names the driver of the storage that holds it, or will.
  /// (OpenList's listings name none: server/handles/fsread.go, FsList.)
  private func lookAtNearest(_ folder: String) async throws(Failure) -> AListLook {
    var path = folder
    var look = try await api.look(at: path)
    while look.finding.isNothing, path != "/" {
      path = AList.parent(of: path)
      look = try await api.look(at: path)
    }
    if case .untold(let failure) = look.finding, failure.isRetryable { throw failure }
    return look
  }
}

import BytePath
import Endpoints

/// The files of this machine that a run reads and writes: none may be both, or be written twice.
///
/// The files of `--result` and of a redirected standard output are written where they lie, so that what was in them is gone at once. A file that
/// is a destination is replaced when its successor is whole, which is no harm to a run that reads it.
struct FileUse {
  private struct Use {
    /// For messages: `--result out.json`.
    let name: String
    /// Nil for standard input and output, whose paths nobody knows.
    var place: FilePlace?
    var status: stat?
    /// Of one that is replaced: whether the run reads it, too, and it is a mistake.
    var isSource = false

    func isSame(as other: Use) -> Bool {
      if let status, let theirs = other.status, status.isSameFile(as: theirs) { return true }
      guard let place, let theirs = other.place else { return false }
      return place.isSame(as: theirs)
    }
  }

  private var read: [Use] = []
  private var written: [Use] = []
  private var replaced: [Use] = []

  /// Adds a file that is read. One that is not there is somebody else's to complain of.
  mutating func reads(_ path: String, as name: String) {
    if let status = fileStatus(path), status.isKept { read.append(Use(name: name, status: status)) }
  }

  /// Adds what a descriptor is open for, if that is a file.
  mutating func reads(_ descriptor: CInt, as name: String) {
    if let status = try? FileUse.status(of: descriptor), status.isKept { read.append(Use(name: name, status: status)) }
  }

  /// Adds a file that is written where it lies.
  mutating func writes(_ path: String, as name: String) {
    let status = fileStatus(path)
    guard status?.isKept != false else { return }
    written.append(Use(name: name, place: try? FilePlace(path), status: status))
  }

  /// Adds what a descriptor is open for, if that is a file.
  mutating func writes(_ descriptor: CInt, as name: String) {
    if let status = try? FileUse.status(of: descriptor), status.isKept { written.append(Use(name: name, status: status)) }
  }

  /// Adds a file that is replaced.
  ///
  /// - Parameter isSource: whether it is only read, and must not be replaced by what was read of it.
  mutating func replaces(_ path: String, as name: String, isSource: Bool = false) {
    if let place = try? FilePlace(path) { replaced.append(Use(name: name, place: place, status: place.status, isSource: isSource)) }
  }

  /// - Throws: `usage` if a file is used twice.
  func check() throws(Failure) {
    for (index, one) in written.enumerated() {
      if let other = read.first(where: one.isSame) { throw FileUse.conflict(one, other, "would be written while it is read") }
      if let other = (written[(index + 1)...] + replaced).first(where: one.isSame) {
        throw FileUse.conflict(one, other, "would be written twice")
      }
    }
    for (index, one) in replaced.enumerated() {
      guard let place = one.place else { continue }
      let other = replaced[(index + 1)...].first { $0.place.map(place.isSame) == true }
      guard let other else { continue }
      throw FileUse.conflict(one, other, one.isSource || other.isSource ? "would be replaced by itself" : "would be written twice")
    }
  }

  private static func conflict(_ one: Use, _ other: Use, _ what: String) -> Failure {
    Failure(.usage, "\(one.name) and \(other.name) are the same file, which \(what)", hint: "name another file")
  }

  private static func status(of descriptor: CInt) throws(SystemError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw SystemError("fstat", errno) }
    return status
  }
}

extension stat {
  /// Whether bytes that are written to it can be read from it again, as with no device but a disk, and no socket.
  fileprivate var isKept: Bool { isRegularFile || isPipe || st_mode & S_IFMT == S_IFBLK }
}

extension FileUse {
  /// The files that a command uses whatever it does: those of the options of transfer.
  init(_ options: TransferOptions, _ targets: [Target]) {
    if let result = options.result { writes(result, as: "--result \(result)") }
    if let file = options.tokenFile { reads(expandingHome(file), as: "--token-file \(file)") }
    if let file = options.cacert { reads(file, as: "--cacert \(file)") }
    for target in targets {
      for file in target.reads { reads(expandingHome(file), as: file) }
    }
  }

  /// Those of an upload.
  init(_ put: Put, _ input: Input, _ targets: [Target]) {
    self.init(put.transfer, targets)
    switch input {
    case .path(let path): reads(path, as: "--input \(path)")
    case .standardInput: reads(STDIN_FILENO, as: "standard input")
    case .command: break
    }
    let isOutput = put.transfer.result == nil || put.input.tee
    // A result that is added to the end of a log is no harm to the log, which may be what was uploaded.
    let isLog = !put.input.tee && fcntl(STDOUT_FILENO, F_GETFL) & O_APPEND != 0
    if isOutput, !isLog { writes(STDOUT_FILENO, as: "standard output") }
    for target in targets where target.adoptsSpools {
      replaces(target.path, as: target.text)
      // An older one goes before the object comes.
      if put.sum { writes(target.path + SumFile.suffix, as: "\(target.text)\(SumFile.suffix) of --sum") }
    }
  }
}

extension FileUse {
  /// Those of a `get`.
  init(_ get: Get, _ source: Target, _ reader: GetRun.Reader) {
    self.init(get.transfer, [source])
    reads([source], get.fetch)
    switch reader {
    case .file(_, let path):
      replaces(path, as: path)
      if source.adoptsSpools { replaces(source.path, as: source.text, isSource: true) }
      if get.transfer.result == nil { writes(STDOUT_FILENO, as: "standard output") }
    case .standardOutput: writes(STDOUT_FILENO, as: "standard output")
    case .command: break
    }
  }

  /// Those of a `verify`.
  init(_ verify: Verify, _ sources: [Target]) {
    self.init(verify.transfer, sources)
    reads(sources, verify.fetch)
    if verify.transfer.result == nil { writes(STDOUT_FILENO, as: "standard output") }
  }

  /// Those of an `ls`. What is only listed may well get the list.
  init(_ options: TransferOptions, listing targets: [Target]) {
    self.init(options, targets)
    for target in targets where target.adoptsSpools { reads(target.path, as: target.text) }
  }

  /// Adds what is read to have objects back: they themselves, and what tells what they must be.
  private mutating func reads(_ sources: [Target], _ fetch: FetchOptions) {
    if let receipt = fetch.receipt { reads(expandingHome(receipt), as: "--receipt \(receipt)") }
    for source in sources where source.adoptsSpools {
      var suffixes = ["", SumFile.suffix, PartsRun.manifestSuffix]
      // Parts are read where there is a set of them, and no object of the name.
      if fileStatus(source.path) == nil, fileStatus(source.path + PartsRun.manifestSuffix) != nil {
        let parts = (1...PartManifest.mostParts).lazy.map(PartFacts.suffix)
        suffixes += parts.prefix { fileStatus(source.path + $0) != nil }
      }
      for suffix in suffixes { reads(source.path + suffix, as: source.text + suffix) }
    }
  }
}

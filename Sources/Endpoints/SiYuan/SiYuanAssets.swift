public import BytePath
import Synchronization

/// What is put with `-o asset`: through the kernel's `POST /api/asset/upload` (kernel/model/upload.go), which makes a name that a note can link to
/// of whatever name there is, and says what it is.
///
/// The kernel adds an ID to each name. It takes one that stands there already for its own, so the bytes of the object decide what it is: the
/// same object under the same name becomes the same asset, however often it is sent, and another one never replaces it.
final class SiYuanAssets: Sendable {
  static let option = StoreOption("asset", "let SiYuan make the name, and say how a note links to it")
  static let root = "data/assets/"

  private enum State {
    case expected
    /// The kernel has not said yet what it is called.
    case sent
    /// What it is called, relative to the workspace.
    case stored(String)
  }

  /// By the path of the destination.
  private let states = Mutex<[String: State]>([:])

  /// Whether the object for this destination is an asset.
  func has(_ path: String) -> Bool { states.withLock { $0[path] != nil } }

  func expect(_ path: String) {
    states.withLock { if $0[path] == nil { $0[path] = .expected } }
  }

  func begin(_ path: String) { states.withLock { $0[path] = .sent } }

  func end(_ path: String, at place: String) { states.withLock { $0[path] = .stored(place) } }

  /// Where the object for this destination lies; nil if nobody knows.
  func place(of path: String) -> String? {
    switch states.withLock({ $0[path] }) {
    case nil, .expected: path
    case .sent: nil
    case .stored(let place): place
    }
  }

  static func nameless(_ path: String) -> Failure {
    Failure(.server, "only the answer to an upload tells under which name SiYuan keeps the asset \(path)")
  }

  /// The name with an ID before its extension, such as `photo-60235887190013-f3kq09z.png`: 14 digits and seven letters or digits
  /// (ast.IsNodeIDPattern), of which the kernel writes the time into the first.
  ///
  /// - Parameter sha256: of the object.
  static func name(_ name: String, _ sha256: Checksum) -> String {
    let end = name.lastIndex(of: ".") ?? name.endIndex
    let halves = [sha256.bytes[..<8], sha256.bytes[8..<16]].map { $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
    return "\(name[..<end])-\(padded(halves[0], radix: 10, 14))-\(padded(halves[1], radix: 36, 7))\(name[end...])"
  }

  private static func padded(_ number: UInt64, radix: Int, _ count: Int) -> String {
    let text = String(String(number, radix: radix).suffix(count))
    return String(repeating: "0", count: count - text.count) + text
  }
}

extension SiYuan {
  public func checkUse(_ use: Use, _ options: [String: String]) throws(Failure) {
    guard options[SiYuanAssets.option.key] != nil else { return }
    guard use.path.hasPrefix(SiYuanAssets.root) else {
      let name = use.path.dropFirst(TemporaryName.folder(of: use.path).count)
      throw Failure(.usage, "-o asset puts what has its place below data/assets", hint: "write data/assets/\(name)")
    }
    if use.existing == .refuse {
      throw Failure(.usage, "--no-clobber has no effect with -o asset, as an asset replaces no other object")
    }
    if use.hasTime {
      throw Failure(.usage, "--mtime has no effect with -o asset, as SiYuan gives an asset the time at which it comes")
    }
    if use.isInParts {
      throw Failure(.usage, "--part-size does not go with -o asset", hint: "SiYuan would give each part a name of its own")
    }
    if use.hasSum {
      throw Failure(.usage, "--sum does not go with -o asset", hint: "SiYuan would give the object and its sum names of their own")
    }
  }

  /// Each asset has a name of its own.
  public func replaces(_ attributes: Attributes) -> Bool { !attributes.has(SiYuanAssets.option.key) }

  func putAsset(_ upload: Upload, at path: String) async throws(Failure) -> Receipt {
    let folder = TemporaryName.folder(of: path)
    let name = SiYuanAssets.name(String(path.dropFirst(folder.count)), try await upload.payload.digest(.sha256))
    var form = Multipart()
    form.addField("assetsDirPath", String(folder.dropFirst("data/".count)))
    let body = form.body(file: name, as: "file[]", type: upload.attributes.contentType, upload.payload, upload.meter)
    assets.begin(path)
    let answer = try await api.upload(form, body, by: "/api/asset/upload", path)
    // What it could not store has no link; `code` is 0 all the same.
    guard case .object(let links) = answer.json?["data"]?["succMap"], let link = links.first?.value.string else {
      throw api.failure(answer, path, code: -1)
    }
    assets.end(path, at: "data/\(link)")
    var receipt = Receipt(answer)
    receipt.link = link
    return receipt
  }
}

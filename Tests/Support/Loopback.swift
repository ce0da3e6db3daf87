import Foundation

/// A running `sluice-loopback` with its folder, for one test.
public final class Loopback: Sendable {
  /// One request that it got, as its log has it.
  public typealias Entry = JSON

  public static let token = "loopback-token"
  public static let password = "loopback-password"

  public let port: Int
  /// The folder that holds what was uploaded.
  public let root: String
  private let isSecure: Bool
  private let program: RunningProgram
  private let logFile: String

  /// The program. It is a package of its own, which is not built with the tests.
  public static func program() throws -> String {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..").standardized.path
    let path = ProcessInfo.processInfo.environment["SLUICE_LOOPBACK"] ?? "\(folder)/.build/loopback/debug/sluice-loopback"
    guard access(path, X_OK) == 0 else { throw ProgramError(description: "there is no \(path): run ./Tests/run, which builds it") }
    return path
  }

  /// Starts a server on a port that the kernel chooses.
  public init(in directory: String, _ options: [String] = []) async throws {
    root = directory + "/root"
    logFile = directory + "/log"
    isSecure = options.contains("--tls")
    for folder in ["alist", "siyuan/data", "siyuan/temp", "plain"] { try makeDirectory("\(root)/\(folder)") }
    var program = try Program(Loopback.program(), ["--port", "0", "--root", root, "--log", logFile] + options)
    program.limit = .seconds(3600)
    let running = try program.start()
    self.program = running
    do {
      let address = try await eventually("the server is ready") { () -> String? in
        if running.hasEnded { throw ProgramError(description: "the server ended: \(running.errorSoFar)") }
        let line = String(decoding: running.outputSoFar, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        return line.count > 1 ? line[0].split(separator: " ").last.map(String.init) : nil
      }
      guard let port = address.split(separator: ":").last.flatMap({ Int($0.prefix(while: \.isNumber)) }) else {
        throw ProgramError(description: "the server says \(address)")
      }
      self.port = port
    } catch {
      await running.stop()
      throw error
    }
  }

  public var pid: Int32 { program.pid }
  /// `HOST:PORT`.
  public var authority: String { "127.0.0.1:\(port)" }
  /// The server's address as a remote's `url`.
  public var url: String { (isSecure ? "https://" : "http://") + authority }

  /// A destination at the AList API; the path is percent-encoded here.
  public func alist(_ path: String) -> String { "alist+\(url)\(percentEncoded(path))" }
  /// A destination at the SiYuan API.
  public func siyuan(_ path: String) -> String { "siyuan+\(url)\(percentEncoded(path))" }

  /// A destination for a plain PUT; the path is percent-encoded here.
  public func plain(_ path: String) -> String { "\(url)/plain\(percentEncoded(path))" }

  /// A destination at AList's WebDAV, whose objects lie where those of its API lie; the path is percent-encoded here.
  public func dav(_ path: String, as user: String = "admin:\(Loopback.password)") -> String {
    "dav+http://\(user.isEmpty ? "" : user + "@")\(authority)/dav\(percentEncoded(path))"
  }

  /// Where an object at the AList API lies.
  public func alistFile(_ path: String) -> String { root + "/alist" + path }
  /// Where an object at the SiYuan API lies.
  public func siyuanFile(_ path: String) -> String { root + "/siyuan" + path }

  /// Where an object of a plain PUT lies.
  public func plainFile(_ path: String) -> String { root + "/plain" + path }

  /// Signals it, for instance with SIGSTOP.
  public func signal(_ number: Int32) { program.signal(number) }

  public func stop() async {
    program.signal(SIGCONT)
    await program.stop()
  }

  /// What it was asked so far, in the order in which the requests ended; header names in lower case.
  public func log() throws -> [Entry] {
    guard exists(logFile) else { return [] }
    // Its last line may be in the middle of being written.
    let text = String(decoding: try contents(logFile), as: UTF8.self)
    return try text[..<(text.lastIndex(of: "\n") ?? text.startIndex)].split(separator: "\n").map { line in
      guard case .object(var members) = try JSON(parsing: line) else { return .null }
      if case .object(let headers) = members["headers"] ?? .null {
        members["headers"] = .object(Dictionary(headers.map { ($0.key.lowercased(), $0.value) }) { $1 })
      }
      return .object(members)
    }
  }

  /// The requests to one path.
  public func log(_ path: String) throws -> [Entry] {
    try log().filter { $0["path"].text == path }
  }

  /// The one upload to AList; waits for its line, which may be written after the client has its answer.
  public func puts(_ count: Int = 1, to path: String = "/api/fs/put") async throws -> [Entry] {
    try await eventually("\(count) requests to \(path) in the log") {
      let found = try log(path)
      return found.count >= count ? found : nil
    }
  }
}

/// Percent-encodes all but the unreserved characters and slashes.
public func percentEncoded(_ path: String) -> String {
  path.utf8.map { byte in
    let scalar = Unicode.Scalar(byte)
    let isPlain = byte < 0x80 && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "-._~/".unicodeScalars.contains(scalar))
    return isPlain ? String(scalar) : "%" + String(byte >> 4, radix: 16, uppercase: true) + String(byte & 15, radix: 16, uppercase: true)
  }.joined()
}

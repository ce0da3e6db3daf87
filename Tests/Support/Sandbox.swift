import Foundation
import Synchronization

/// Everything that one test has for itself: a directory, an environment, servers. Nothing of it is left when `close` returns.
public final class Sandbox: Sendable {
  @TaskLocal public static var current: Sandbox?

  /// The sandbox of the running test.
  public static var here: Sandbox {
    guard let current else { preconditionFailure("the suite of this test is not marked .sandboxed") }
    return current
  }

  public let path: String
  private let directory: TemporaryDirectory
  private let servers = Mutex<[Loopback]>([])
  private let scripted = Mutex<[ScriptedServer]>([])
  private let peers = Mutex<[Peer]>([])
  private let programs = Mutex<[RunningProgram]>([])

  public init() throws {
    directory = try TemporaryDirectory()
    path = directory.path
    for name in ["home", "tmp", "work"] { try makeDirectory("\(path)/\(name)") }
  }

  /// Where spools are; sluice makes it.
  public var spool: String { "\(path)/spool" }
  /// The working directory of programs.
  public var work: String { "\(path)/work" }
  public var home: String { "\(path)/home" }

  /// What is in the spool, but for its lock.
  public var spoolNames: [String] { names(in: spool).filter { !$0.hasPrefix(".") } }

  /// Nothing of the environment that tests run in; the tokens are those of the loopback server.
  public var environment: [String: String] {
    [
      "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": home, "TMPDIR": "\(path)/tmp", "LC_ALL": "C.UTF-8",
      "SLUICE_SPOOL_DIR": spool, "ALIST_TOKEN": Loopback.token, "SIYUAN_TOKEN": Loopback.token,
    ]
  }

  /// The client, to be changed further and started.
  ///
  /// - Parameter environment: over the usual one; nil takes a variable away.
  public func client(_ arguments: [String], input: Program.Input = .nothing, environment: [String: String?] = [:]) -> Program {
    var program = Program(Program.built("sluice"), arguments)
    program.environment = self.environment.merging(environment.compactMapValues { $0 }) { $1 }.filter { environment[$0.key] != .some(nil) }
    program.directory = work
    program.input = input
    return program
  }

  /// Runs the client to its end.
  public func sluice(_ arguments: String..., input: Program.Input = .nothing, environment: [String: String?] = [:]) async throws -> Finished
  {
    try await start(client(arguments, input: input, environment: environment)).finish()
  }

  /// As above, for an input of these bytes.
  public func sluice(_ arguments: String..., input: [UInt8], environment: [String: String?] = [:]) async throws -> Finished {
    try await start(client(arguments, input: .bytes(input), environment: environment)).finish()
  }

  /// Starts a program that is stopped with the test.
  public func start(_ program: Program) throws -> RunningProgram {
    let running = try program.start()
    programs.withLock { $0.append(running) }
    return running
  }

  /// Runs a shell command in the working directory.
  public func shell(_ line: String, input: Program.Input = .nothing) async throws -> Finished {
    var program = Program("/bin/sh", ["-c", line])
    program.environment = environment
    program.directory = work
    program.input = input
    return try await start(program).finish()
  }

  /// Starts a server that is stopped with the test.
  public func loopback(_ options: String...) async throws -> Loopback { try await loopback(options) }

  public func loopback(_ options: [String]) async throws -> Loopback {
    let number = servers.withLock { $0.count }
    let server = try await Loopback(in: "\(path)/server\(number)", options)
    servers.withLock { $0.append(server) }
    return server
  }

  /// A scripted server that is stopped with the test.
  public func scripted(_ answer: @escaping @Sendable (Exchange) -> Void) throws -> ScriptedServer {
    keep(try ScriptedServer(answer))
  }

  public func keep(_ server: ScriptedServer) -> ScriptedServer {
    scripted.withLock { $0.append(server) }
    return server
  }

  /// A real server that is stopped with the test; see `Peer`.
  public func peer(_ script: String, _ options: String...) async throws -> Peer { try await peer(script, options) }

  /// - Parameter name: another server of the same name starts with what the first one left.
  public func peer(_ script: String, _ options: [String], name: String = "peer", port: Int = 0) async throws -> Peer {
    // Some servers work as another user when root starts them.
    chmod(path, 0o711)
    let directory = name == "peer" ? "\(path)/peer\(peers.withLock { $0.count })" : "\(path)/\(name)"
    let peer = try await Peer(script: script, in: directory, port: port, options)
    peers.withLock { $0.append(peer) }
    return peer
  }

  /// Writes a file below the working directory and returns its path.
  @discardableResult
  public func file(_ name: String, _ bytes: some Sequence<UInt8>, mode: Int = 0o644) throws -> String {
    let path = "\(work)/\(name)"
    try write(bytes, to: path, mode: mode)
    return path
  }

  @discardableResult
  public func file(_ name: String, _ text: String, mode: Int = 0o644) throws -> String {
    try file(name, Array(text.utf8), mode: mode)
  }

  /// Ends what runs and removes what lies.
  public func close() async {
    for program in programs.withLock({ $0 }) {
      program.signal(SIGCONT)
      await program.stop()
    }
    for peer in peers.withLock({ $0 }) { await peer.stop() }
    for server in scripted.withLock({ $0 }) { server.stop() }
    for server in servers.withLock({ $0 }) { await server.stop() }
    directory.remove()
  }
}

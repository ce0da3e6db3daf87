public import BytePath
import Subprocess
import Synchronization

/// A kind of storage that a program of somebody else speaks to: `sluice-endpoint-NAME put|mkdir|check`, described in sluice-endpoint(7).
public struct Plugin: Endpoint {
  /// The version of what plugins are told, in `SLUICE_PLUGIN`.
  private static let version = "1"

  public let kind: EndpointKind
  private let program: PluginProgram
  private let remote: Remote
  private let options: [String: String]
  private let context: EndpointContext
  private let secrets = Secrets()

  /// - Parameter options: what the config file and the command line have for it.
  public init(_ program: PluginProgram, _ remote: Remote, options: [String: String], _ context: EndpointContext) {
    self.program = program
    self.remote = remote
    self.options = options
    self.context = context
    kind = Plugin.kind(of: program)
  }

  public static func kind(of program: PluginProgram) -> EndpointKind {
    EndpointKind(name: program.name, title: "the plugin \(program.name)", takesToken: true, isPlugin: true)
  }

  /// What stands after the colon, whatever it means to the plugin.
  public func objectPath(_ text: String) throws(Failure) -> String { text }

  public func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let end = try await run(
      "check", path, attributes, ["SLUICE_OVERWRITE": "\(attributes.existing == .overwrite)"], input: try nothing())
    guard end.status != .exited(Plugin.unknownVerb) else {
      return context.detail("the plugin \(program.name) has no check")
    }
    if let failure = failure(of: end) { throw failure }
  }

  public func put(_ upload: Upload) async throws(Failure) -> Receipt {
    let (payload, attributes, meter) = (upload.payload, upload.attributes, upload.meter)
    meter.setSent(0)
    let job = [
      "SLUICE_SIZE": "\(payload.length)", "SLUICE_SHA256": try await payload.digest(.sha256).hex,
      "SLUICE_CONTENT_TYPE": attributes.contentType ?? "", "SLUICE_MTIME": "\(attributes.modified ?? millisecondsNow())",
      "SLUICE_OVERWRITE": "\(attributes.existing == .overwrite)", "SLUICE_ATTEMPT": "\(upload.attempt)",
    ]
    let end = try await run("put", upload.path, attributes, job, input: try payload.reopened()) {
      meter.setSent(min($0, payload.length))
    }
    // A file that changed under the plugin's hands is not what was meant, whatever the plugin says.
    try payload.checkUnchanged()
    if let failure = failure(of: end) { throw failure }
    // What the plugin has read nobody knows, but it was told what that should be.
    try await payload.checkBytes()
    meter.setSent(payload.length)
    return Receipt(response: end.report)
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    let end = try await run("mkdir", path, Attributes(), [:], input: try nothing())
    guard end.status != .exited(Plugin.unknownVerb) else {
      throw Failure(.usage, "the plugin \(program.name) makes no directories")
    }
    if let failure = failure(of: end) { throw failure }
    return Receipt(response: end.report)
  }

  public func verify(_ path: String, against payload: Payload) async throws(Failure) -> Verification {
    throw Failure(.usage, "the plugin \(program.name) cannot be asked what it stored")
  }

  private func run(
    _ verb: String, _ path: String, _ attributes: Attributes, _ job: [String: String], input: Descriptor,
    progressed: @escaping @Sendable (Int64) -> Void = { _ in }
  ) async throws(Failure) -> PluginRun.End {
    // What the verb does not have is taken away, because sluice itself may have been started by a plugin.
    var environment: [String: String?] = [
      "SLUICE_SIZE": nil, "SLUICE_SHA256": nil, "SLUICE_CONTENT_TYPE": nil, "SLUICE_MTIME": nil, "SLUICE_OVERWRITE": nil,
      "SLUICE_ATTEMPT": nil,
    ]
    for (name, value) in job { environment[name] = .some(value) }
    environment["SLUICE_PLUGIN"] = Plugin.version
    environment["SLUICE_PATH"] = path
    for (key, value) in try await secrets.values(of: remote, warn: context.warn) {
      environment[PluginProgram.variable(of: key)] = .some(value)
    }
    let given = options.merging(attributes.options) { $1 }
    for key in given.keys.sorted() { environment[PluginProgram.variable(of: key)] = given[key] }
    context.detail("\(program.path) \(verb), for \(path)")
    let run = PluginRun(program: program, verb: verb, environment: environment, progressed: progressed)
    return try await run.run(input: input, limit: limit(for: verb))
  }

  /// Storing may take as long as it likes, but an answer without an object is as late as silence on a connection would be.
  private func limit(for verb: String) -> (duration: Duration, flag: String)? {
    let (total, idle) = (context.http.totalTimeout, context.http.idleTimeout)
    if verb != "put", total.map({ $0 > idle }) ?? true { return (idle, "--idle-timeout") }
    guard let total else { return nil }
    return (total, "--timeout")
  }

  private func nothing() throws(Failure) -> Descriptor {
    do throws(SystemError) { return try Descriptor.open("/dev/null", O_RDONLY) } catch {
      throw Failure(.config, "cannot open /dev/null: \(error.words)")
    }
  }
}

extension Plugin {
  /// EX_USAGE of sysexits(3): the plugin does not know the verb.
  private static let unknownVerb: CInt = 64

  /// Nil for success. Its own words went to standard error.
  private func failure(of end: PluginRun.End) -> Failure? {
    let name = "the plugin \(program.name)"
    var failure: Failure
    switch end.status {
    case .exited(0): return nil
    // EX_TEMPFAIL, EX_NOPERM and EX_CANTCREAT.
    case .exited(75): failure = Failure(.server, "\(name) asks to try again later (exit status 75)")
    case .exited(77): failure = Failure(.auth, "\(name) has no permission (exit status 77)")
    case .exited(73): failure = Failure(.rejected, "\(name) refuses it (exit status 73)")
    case .exited(let code):
      failure = Failure(
        .server, "\(name) failed (exit status \(code))", hint: ScriptHead.problem(of: program.path, exitStatus: code))
    case .signaled(let signal): failure = Failure(.server, "\(name) was ended by signal \(signal)")
    }
    if case .exited(let code) = end.status { failure.isRetryable = RetryTable.mayPass(exitStatus: code) }
    failure.response = end.report
    return failure
  }
}

/// The token and the password of a remote, had once.
private final class Secrets: Sendable {
  private let known = Mutex<[String: String]?>(nil)

  /// By the keys that they have in the config file.
  ///
  /// - Throws: `config` if one can't be had.
  func values(of remote: Remote, warn: @escaping @Sendable (String) -> Void) async throws(Failure) -> [String: String] {
    if let known = known.withLock({ $0 }) { return known }
    var values: [String: String] = [:]
    values["token"] = try await remote.token?.read(warn: warn).exposed
    values["username"] = remote.username
    values["password"] = try await remote.password?.read(warn: warn).exposed
    known.withLock { $0 = values }
    return values
  }
}

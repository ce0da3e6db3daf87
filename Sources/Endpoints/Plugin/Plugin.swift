public import BytePath
import Subprocess
import Synchronization

/// A kind of storage that a program of somebody else speaks to: `sluice-endpoint-NAME put|mkdir|check`, described in sluice-endpoint(7). What
/// it can do besides it says itself, in the answer to `check`.
public struct Plugin: RemovingStore, DirectoryStore {
  /// The version of what plugins are told, in `SLUICE_PLUGIN`. A plugin that knows no more than the first three verbs sees nothing of the others.
  private static let version = "1"

  public let kind: EndpointKind
  let program: PluginProgram
  private let remote: Remote
  private let options: [String: String]
  private let context: EndpointContext
  private let verbs = PluginVerbs()

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

  /// What its page asks of a plugin is believed of it.
  public func traits(of path: String, _ attributes: Attributes) async throws(Failure) -> Traits {
    var traits = Traits()
    traits.publishesAtomically = true
    return traits
  }

  public var probesFirst: Bool { true }

  public func probe(_ path: String, _ attributes: Attributes) async throws(Failure) {
    try await check(path, attributes)
  }

  private func check(_ path: String, _ attributes: Attributes) async throws(Failure) {
    let (end, output) = try await run("check", path, attributes, ["SLUICE_OVERWRITE": "\(attributes.existing == .overwrite)"])
    if end.isUnknownVerb {
      verbs.note([])
      return context.detail("the plugin \(program.name) has no check")
    }
    if let failure = failure(of: end, output) { throw failure }
    verbs.note(Set((output.json?["verbs"]?.array ?? []).compactMap(\.string)))
  }

  /// Why a verb that not all plugins have can't be used; nil if it can.
  ///
  /// - Parameter asks: whether the plugin is to be asked if it has not said so yet.
  func lack(of verb: String, at path: String, asks: Bool) async -> Failure? {
    if verbs.known == nil, asks {
      do throws(Failure) { try await check(path, Attributes()) } catch { return error }
    }
    guard verbs.known?.contains(verb) != true else { return nil }
    return Failure(
      .usage, "the plugin \(program.name) has no \(verb)", hint: "what it has besides put is said by the verbs that its check prints")
  }

  public func put(_ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> Receipt {
    let (payload, attributes, meter) = (upload.payload, upload.attributes, upload.meter)
    let job = [
      "SLUICE_SIZE": "\(payload.length)", "SLUICE_SHA256": try await payload.digest(.sha256).hex,
      "SLUICE_CONTENT_TYPE": attributes.contentType ?? "", "SLUICE_MTIME": "\(attributes.modified ?? millisecondsNow())",
      "SLUICE_OVERWRITE": "\(attributes.existing == .overwrite)", "SLUICE_ATTEMPT": "\(upload.attempt)",
    ]
    let output = PluginOutput { meter.setSent(min($0, payload.length)) }
    let end: PluginRun.End
    do throws(Failure) { end = try await run("put", path, attributes, job, input: try payload.reopened(), output) } catch {
      throw error.kind == .timeout ? unknown(error) : error
    }
    // A file that changed under the plugin's hands is not what was meant, whatever the plugin says.
    try payload.checkUnchanged()
    if let failure = failure(of: end, output) { throw failure.isRetryable || end.isBySignal ? unknown(failure) : failure }
    // What the plugin has read nobody knows, but it was told what that should be.
    try await payload.checkBytes()
    meter.setSent(payload.length)
    return Receipt(response: output.report)
  }

  /// What has failed may have stored the object all the same, where the plugin can be asked.
  private func unknown(_ failure: Failure) -> Failure {
    var failure = failure
    failure.isOutcomeUnknown = verbs.known?.contains("stat") == true
    return failure
  }

  public func makeDirectory(_ path: String, modified: Int64?) async throws(Failure) -> Receipt {
    let (end, output) = try await run("mkdir", path, Attributes(), [:])
    guard !end.isUnknownVerb else { throw Failure(.usage, "the plugin \(program.name) makes no directories") }
    if let failure = failure(of: end, output) { throw failure }
    return Receipt(response: output.report)
  }

  /// Runs a verb that needs no input and whose output is words.
  func run(
    _ verb: String, _ path: String, _ attributes: Attributes = Attributes(), _ job: [String: String] = [:]
  ) async throws(Failure) -> (PluginRun.End, PluginOutput) {
    let output = PluginOutput()
    return (try await run(verb, path, attributes, job, output), output)
  }

  /// - Parameter input: its standard input; nil for none.
  func run(
    _ verb: String, _ path: String, _ attributes: Attributes, _ job: [String: String], input: consuming Descriptor? = nil,
    _ output: any ByteSink
  ) async throws(Failure) -> PluginRun.End {
    // What the verb does not have is taken away, because sluice itself may have been started by a plugin.
    var environment: [String: String?] = [
      "SLUICE_SIZE": nil, "SLUICE_SHA256": nil, "SLUICE_CONTENT_TYPE": nil, "SLUICE_MTIME": nil, "SLUICE_OVERWRITE": nil,
      "SLUICE_ATTEMPT": nil, "SLUICE_HASH": nil, "SLUICE_OFFSET": nil, "SLUICE_LENGTH": nil,
    ]
    for (name, value) in job { environment[name] = .some(value) }
    environment["SLUICE_PLUGIN"] = Plugin.version
    environment["SLUICE_PATH"] = path
    for (key, value) in try await secrets() { environment[PluginProgram.variable(of: key)] = .some(value) }
    let given = options.merging(attributes.options) { $1 }
    for key in given.keys.sorted() { environment[PluginProgram.variable(of: key)] = given[key] }
    context.detail("\(program.path) \(verb), for \(path)")
    let run = PluginRun(program: program, verb: verb, environment: environment, output: output)
    let descriptor = if let input { input } else { try Plugin.nothing() }
    return try await run.run(input: descriptor, limit: limit(for: verb, isLong: job["SLUICE_HASH"] == "true"))
  }

  /// The token and the password of the remote, by the keys that they have in the config file.
  private func secrets() async throws(Failure) -> [String: String] {
    var values: [String: String] = [:]
    values["token"] = try await remote.token?.read(warn: context.warn).exposed
    values["username"] = remote.username
    values["password"] = try await remote.password?.read(warn: context.warn).exposed
    return values
  }

  /// To go through an object may take as long as it likes, but an answer without that is as late as silence on a connection would be.
  private func limit(for verb: String, isLong: Bool) -> (duration: Duration, flag: String)? {
    let (total, idle) = (context.http.totalTimeout, context.http.idleTimeout)
    if !isLong, verb != "put", verb != "get", total.map({ $0 > idle }) ?? true { return (idle, "--idle-timeout") }
    guard let total else { return nil }
    return (total, "--timeout")
  }

  private static func nothing() throws(Failure) -> Descriptor {
    do throws(SystemError) { return try Descriptor.open("/dev/null", O_RDONLY) } catch {
      throw Failure(.config, "cannot open /dev/null: \(error.words)")
    }
  }
}

extension Plugin {
  /// Nil for success. Its own words went to standard error.
  ///
  /// - Parameter output: for the result.
  func failure(of end: PluginRun.End, _ output: PluginOutput?) -> Failure? {
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
    failure.response = output?.report
    return failure
  }
}

/// The verbs that a plugin has besides those that all may have, once it has said so.
private final class PluginVerbs: Sendable {
  private let state = Mutex<Set<String>?>(nil)

  /// Nil if it has not been asked.
  var known: Set<String>? { state.withLock { $0 } }

  func note(_ verbs: Set<String>) { state.withLock { $0 = verbs } }
}

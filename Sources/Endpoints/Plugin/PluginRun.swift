import BytePath
import Subprocess

// swift-subprocess speaks in the system's own types where there are some.
#if canImport(System)
  import System
#else
  import SystemPackage
#endif

/// One run of a plugin, with everything that it could do wrong kept away from ours.
///
/// It leads a process group of its own, so that all that it started can be ended with it. The price is that it can't ask questions on the
/// terminal, where it is in the background; its standard input is the object anyway. A process that it leaves behind after a regular end
/// (such as the shared connection of `ssh`) lives on, and is not waited for although it holds standard output.
struct PluginRun: Sendable {
  /// How a run ended.
  struct End: Sendable {
    let status: TerminationStatus
    /// Whether it was ended because nobody wanted more of its output.
    var wasEnough = false

    /// EX_USAGE of sysexits(3): the plugin does not know the verb.
    var isUnknownVerb: Bool { status == .exited(64) }
    var isBySignal: Bool { if case .signaled = status { true } else { false } }
    /// EX_NOINPUT: there is no such thing at the storage.
    var isNothing: Bool { status == .exited(66) }
  }

  /// Between SIGTERM and SIGKILL.
  private static let grace = Duration.seconds(2)
  /// How much is read after the plugin has ended: more than a pipe can hold.
  private static let readAfterEnd = 2 << 20

  let program: PluginProgram
  let verb: String
  /// Over the inherited environment; nil takes a variable away.
  let environment: [String: String?]
  /// Takes its standard output. When it wants no more, the plugin is ended.
  let output: any ByteSink

  /// Runs it to its end.
  ///
  /// - Parameters:
  ///   - input: its standard input, closed here once it has started.
  ///   - limit: how long it may take, and the flag that says so; nil for no limit.
  /// - Throws: `config` if it can't be started, `timeout`, `interrupted`.
  func run(input: Descriptor, limit: (duration: Duration, flag: String)?) async throws(Failure) -> End {
    let result = await withTaskGroup(of: Result<End, Failure>.self) { group in
      group.addTask {
        do throws(Failure) { return .success(try await run(input)) } catch { return .failure(error) }
      }
      if let limit {
        group.addTask {
          guard (try? await Task.sleep(for: limit.duration)) != nil else { return .failure(.interrupted) }
          return .failure(
            Failure(.timeout, "the plugin \(program.name) took longer for \(verb) than \(limit.flag) allows", retryable: true))
        }
      }
      let first = await group.next() ?? .failure(.interrupted)
      group.cancelAll()
      return first
    }
    return try result.get()
  }

  private func run(_ input: Descriptor) async throws(Failure) -> End {
    var options = PlatformOptions()
    options.processGroupID = 0
    options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: PluginRun.grace)]
    do {
      let result = try await Subprocess.run(
        .path(FilePath(program.path)), arguments: [verb],
        // What was inherited as the options of another plugin, which runs sluice, is not for this one.
        environment: ChildEnvironment.inherited(without: PluginProgram.optionPrefix, changes: environment), platformOptions: options,
        input: .fileDescriptor(FileDescriptor(rawValue: input.raw), closeAfterSpawningProcess: false), output: .sequence,
        error: .currentStandardError
      ) { execution in
        try? input.close()
        let wantsMore = try await read(execution.standardOutput, pid: execution.processIdentifier.value)
        if !wantsMore { try? execution.send(signal: .terminate, toProcessGroup: true) }
        return wantsMore
      }
      guard !Task.isCancelled else {
        await endGroup(of: result.processIdentifier.value)
        throw Failure.interrupted
      }
      return End(status: result.terminationStatus, wasEnough: !result.closureResult)
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Task.isCancelled
        ? .interrupted
        : Failure(
          .config, "cannot start the plugin \(program.path): \(ScriptHead.problem(of: program.path) ?? "\(error)")",
          hint: "does its first line name its interpreter?")
    }
  }

  /// Reads standard output to its end. For swift-subprocess the plugin's end is one too, whoever else still holds it, once the pipe is empty
  /// for a moment; those who write on without end could keep it from that, and then find the pipe closed.
  ///
  /// - Returns: false if nobody wants more of it.
  private func read(_ standardOutput: SubprocessOutputSequence, pid: pid_t) async throws -> Bool {
    var rest = PluginRun.readAfterEnd
    for try await chunk in standardOutput {
      guard chunk.withUnsafeBytes({ output.take($0) }) else { return false }
      await output.untilReady()
      if hasEnded(pid) { rest -= chunk.count }
      if rest < 0 { break }
    }
    return true
  }

  /// Asks without reaping it.
  private func hasEnded(_ pid: pid_t) -> Bool {
    var info = siginfo_t()
    return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == SIGCHLD
  }

  /// Ends what a plugin that was ended by us has left in its process group: each had the SIGTERM, and has as long as the plugin. As long as
  /// one of them lives, the number of the group is not given away again.
  private func endGroup(of pid: pid_t) async {
    let end = ContinuousClock.now + PluginRun.grace
    // A failure is that of starting a thread, and then there is nothing to be done.
    _ = try? await onThread { () throws(Failure) in
      while kill(-pid, 0) == 0 {
        if ContinuousClock.now > end {
          _ = kill(-pid, SIGKILL)
          return
        }
        usleep(10_000)
      }
    }
  }
}

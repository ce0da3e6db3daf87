import ArgumentParser

/// A server to try and to test sluice against. It speaks AList's and SiYuan's upload API and AList's WebDAV on one port of
/// 127.0.0.1, as the real servers do, takes plain PUT, and misbehaves when told to.
@main
struct Loopback: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice-loopback",
    abstract: "A test server that speaks AList's and SiYuan's upload API on 127.0.0.1. It is no storage server.",
    discussion: """
      It is for trying and testing sluice: passwords are arguments, nothing is synced to disk, and every check that a real \
      server has beyond the upload API is missing. Do not keep data in it.

      When it accepts connections it writes one line to standard output, "ready http://127.0.0.1:PORT", and nothing more. \
      AList's files lie in DIR/alist, SiYuan's workspace is DIR/siyuan, and what is PUT below /plain/ lies in DIR/plain. SIGTERM and SIGINT end it.
      """)

  @OptionGroup(title: "Server") var listen: ListenOptions
  @OptionGroup(title: "Accounts and rights") var accounts: AccountOptions
  @OptionGroup(title: "Behaviour") var behaviour: BehaviourOptions
  @OptionGroup(title: "Misbehaviour") var faults: FaultOptions

  /// The main thread does nothing but wait for a signal: it blocks them before any other thread exists, so that no
  /// thread of NIO or of the tasks is ended by one.
  func run() throws {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGTERM, SIGINT, SIGHUP] {
      // A shell starts its background processes with SIGINT ignored.
      signal(number, SIG_DFL)
      sigaddset(&signals, number)
    }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    signal(SIGPIPE, SIG_IGN)

    StandardError.say("this is a test server, not a storage server: do not keep data in it")
    let folders = try ServedFolders(root: listen.root)
    let server = try LoopbackServer(options: self, folders: folders)
    Task.detached {
      do {
        try await server.run()
        StandardError.say("the server ended by itself")
      } catch {
        StandardError.say("cannot serve on port \(server.port): \(error)")
      }
      folders.removeIfTemporary()
      endProcess(1)
    }

    var received: CInt = 0
    sigwait(&signals, &received)
    server.stop()
    folders.removeIfTemporary()
    endProcess(0)
  }
}

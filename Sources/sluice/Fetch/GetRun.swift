import BytePath
import Endpoints

/// One `sluice get`, from its arguments to its exit status: what reaches the reader is whole and proven, or nothing does.
struct GetRun: Sendable {
  /// Where the bytes go.
  enum Reader: Sendable {
    case standardOutput
    case file(Publisher, path: String)
    case command([String])
  }

  let get: Get
  let console: Console
  let retrieval: Retrieval
  let reader: Reader
  private let report: Report
  private let resolver: Resolver
  private let start = ContinuousClock.now

  var messages: Messages { console.messages }

  /// - Throws: `usage` for what the arguments alone show to be wrong, and what the config file does.
  init(_ get: Get, _ console: Console) throws(Failure) {
    self.get = get
    self.console = console
    let settings = try get.transfer.httpSettings()
    resolver = Resolver(options: get.transfer, settings: settings, messages: console.messages)
    let target: Target
    switch try resolver.open([get.source], for: .source)[0] {
    case .success(let opened): target = opened
    case .failure(let refused): throw refused.failure
    }
    reader = try GetRun.reader(get, console, settings)
    retrieval = Retrieval(target: target, options: get.fetch, policy: get.transfer.retryPolicy, messages: console.messages)
    try FileUse(get, target, reader).check()
    var files = OpenFiles([target], Attributes())
    files.add(children: get.fetch.through.count + 1)
    try files.reserve()
    var isOutputFree = false
    if case .file = reader { isOutputFree = true }
    report = try Report(path: get.transfer.result, isOutputFree: isOutputFree, console.messages)
  }

  private static func reader(_ get: Get, _ console: Console, _ settings: HTTPSettings) throws(Failure) -> Reader {
    if !console.command.isEmpty {
      try Command(program: console.command).checkFound()
      return .command(console.command)
    }
    guard let file = get.file, file != "-" else {
      guard isatty(STDOUT_FILENO) == 0 else {
        throw Failure(
          .usage, "standard output is a terminal", hint: "name a file, a command after --, or pipe it: sluice get \(get.source) | …")
      }
      guard Report.isOutputWanted else {
        throw Failure(.usage, "standard output is closed", hint: "name a file, or a command after --")
      }
      return .standardOutput
    }
    let messages = console.messages
    let context = EndpointContext(http: settings, warn: { messages.warning($0) }, detail: { messages.detail($0) })
    let store = try LocalFile(Remote(), context)
    return .file(Publisher(store, context), path: try store.objectPath(expandingHome(file)))
  }

  func run() async -> Int32 {
    var outcome = GetOutcome(of: retrieval.target)
    if case .file(_, let path) = reader { outcome.file = path }
    do throws(Failure) { try await run(&outcome) } catch {
      outcome.failure = Task.isCancelled ? console.interruption : error
    }
    await resolver.close()
    outcome.elapsed = start.duration(to: .now)
    report.tell(outcome, messages)
    return report.exitStatus(outcome.failure?.kind.exitStatus(signal: console.signals.first) ?? 0)
  }

  private var attributes: Attributes { Attributes(existing: get.noClobber ? .refuse : .overwrite) }

  private func run(_ outcome: inout GetOutcome) async throws(Failure) {
    // What stands in the way of the file is told of before hours of fetching, not after.
    if case .file(let publisher, let path) = reader { try await publisher.check(path, attributes) }
    let found = try await retrieval.find()
    let fetch = retrieval.fetch(found)
    defer { outcome.attempts = fetch.attempts }
    if get.stream, case .command(let words) = reader { return try await stream(fetch, found, to: words, &outcome) }
    let (payload, spool) = try await spooled(fetch, found, &outcome)
    try await hand(payload, found, spool)
  }

  // MARK: Through the spool

  /// What is to be handed on, whole and proven, with the object as it came.
  private func spooled(
    _ fetch: Fetch, _ found: Retrieval.Found, _ outcome: inout GetOutcome
  ) async throws(Failure) -> (Payload, PartialSpool) {
    let (label, pieces) = (label(found), fetch.pieces)
    let spool = try await onThread { () throws(Failure) in
      try PartialSpool(in: try self.directory(), pieces: pieces, label: label)
    }
    outcome.resumed = spool.resumed
    if spool.resumed > 0 { messages.note("\(retrieval.target.text): going on after \(spool.resumed) bytes of an earlier run") }
    let meter = Meter()
    let progress = FetchProgress(get.fetch.progress, messages, retrieval.target.text, "download", of: fetch.length) { spool.count }
    do throws(Failure) {
      let unpacked: Unpacked
      do throws(Failure) {
        unpacked = try await retrieval.unpacked(
          spool, found, to: get.fetch.unpacks ? .spool { () throws(Failure) in try self.directory() } : .nowhere, meter
        ) {
          () throws(Failure) in
          try await fetch.run(into: spool)
        }
        await progress.end()
      } catch {
        await progress.end()
        throw error
      }
      do throws(Failure) { outcome.verified = try retrieval.prove(found, unpacked, fetch) } catch {
        unpacked.payload?.spool?.remove()
        throw error
      }
      outcome.note(unpacked, found, unpacks: get.fetch.unpacks)
      guard let output = unpacked.payload else { return (spool.payload(unpacked.objectDigests), spool) }
      if !spool.hasJournal { spool.discard() }
      return (output, spool)
    } catch {
      let foreign = error.kind == .input ? await retrieval.foreignPart(found, in: spool) : nil
      leave(spool, after: error)
      throw foreign ?? error
    }
  }

  /// What has come is kept if the same command can go on with it, and thrown away if it is of no use, or fills the disk.
  private func leave(_ spool: PartialSpool, after failure: Failure) {
    let mayGoOn = failure.isRetryable || [.unreachable, .timeout, .server, .interrupted, .auth].contains(failure.kind)
    guard mayGoOn else { return spool.discard() }
    if spool.leave() { messages.note("what has come of \(retrieval.target.text) is kept for a week; the same command goes on with it") }
  }

  /// Where a file may take the spool over without a copy, that is the place.
  private func directory() throws(Failure) -> SpoolDirectory {
    let place = SpoolPlace(option: get.spoolDir)
    if !place.isChosen, case .file(let publisher, let path) = reader, let store = publisher.store as? any AdoptingStore,
      let directory = try? store.spoolDirectory(for: path)
    {
      return directory
    }
    return try place.open()
  }

  /// By what a later run knows what this one has fetched; nil if nothing tells one object from another, or it goes to no file.
  private func label(_ found: Retrieval.Found) -> FetchLabel? {
    guard case .file(_, let path) = reader else { return nil }
    let hash = found.proof.best?.checksum?.hex
    guard hash != nil || found.objects.allSatisfy({ $0.version != nil && !$0.isYoung }) else { return nil }
    let place = "\(retrieval.target.identity)\n\(LocalFile.identity(ofFile: path))"
    let object = found.objects.map { "\($0.path)\n\($0.version ?? "")\n\($0.size ?? -1)" } + [hash ?? ""]
    return FetchLabel(
      place: Checksum(.sha256, of: Array(place.utf8)).hex, object: Checksum(.sha256, of: Array(object.joined(separator: "\n").utf8)).hex)
  }

  // MARK: To the reader

  /// - Parameter spool: what came, which is of use as long as the reader has not got all.
  private func hand(_ payload: Payload, _ found: Retrieval.Found, _ spool: PartialSpool) async throws(Failure) {
    do throws(Failure) {
      switch reader {
      case .standardOutput: try await write(payload)
      case .command(let words): try await run(words, reading: try payload.reopened())
      case .file(let publisher, let path):
        var attributes = attributes
        attributes.modified = found.modified
        payload.allowMoving()
        _ = try await publisher.put(Upload(payload, to: path, attributes, Meter(), Checkpoint(nil) { _ in }))
      }
    } catch {
      if get.fetch.unpacks { payload.spool?.remove() }
      leave(spool, after: error)
      throw error
    }
    payload.spool?.remove()
    spool.discard()
  }

  private func write(_ payload: Payload) async throws(Failure) {
    let interrupt = try Interrupt()
    let meter = Meter()
    guard let output = GetRun.standardOutput() else { throw Failure(.spool, "standard output is closed") }
    let progress = FetchProgress(get.fetch.progress, messages, retrieval.target.text, "output", of: payload.length) { meter.sent }
    let result = await withTaskCancellationHandler {
      do throws(Failure) {
        return Result<Void, Failure>.success(
          try await onThread { () throws(Failure) in try payload.write(to: output, interrupt) { meter.setSent($0) } })
      } catch {
        return .failure(error)
      }
    } onCancel: {
      interrupt.trigger()
    }
    await progress.end()
    try result.get()
    // A file system on a network may say only now that its disk is full.
    do throws(SystemError) { try output.close() } catch { throw Failure(.spool, "cannot write to standard output: \(error.words)") }
  }

  /// A descriptor of its own; nil if it is closed.
  private static func standardOutput() -> Descriptor? {
    let copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    return copy >= 0 ? Descriptor(adopting: copy) : nil
  }

  /// Runs a command to its end. Its standard output is ours.
  private func run(
    _ words: [String], reading input: Descriptor, started: @escaping @Sendable (Int32) -> Void = { _ in }
  ) async throws(Failure) {
    let command = Command(program: words)
    guard let ending = try await command.run(input: input, output: GetRun.standardOutput(), started: started) else { return }
    throw Failure(
      .input, "\(command.description) \(ending)", hint: get.stream ? nil : "the object was whole and proven; the command failed by itself")
  }

  // MARK: Without a spool

  /// How one of the two sides of a stream has ended: the command, or the object.
  private typealias StreamEnd = Result<(unpacked: Unpacked, verified: String)?, Failure>

  /// Begins at once. The command's input does not end before all of it is proven; if it can't be, the command is ended first.
  private func stream(_ fetch: Fetch, _ found: Retrieval.Found, to words: [String], _ outcome: inout GetOutcome) async throws(Failure) {
    let pipe: (read: Descriptor, write: Descriptor)
    do throws(SystemError) { pipe = try Descriptor.pipe() } catch { throw Failure(.spool, "cannot make a pipe: \(error.words)") }
    let (meter, family) = (Meter(), CommandFamily())
    let progress = FetchProgress(get.fetch.progress, messages, retrieval.target.text, "download", of: fetch.length) { meter.input }
    // With this process the pipe ends, which must not look like the end of the object.
    console.signals.beforeExit { family.kill() }
    let end = await withTaskGroup(of: StreamEnd.self) { group in
      group.addTask {
        do throws(Failure) {
          defer { family.end() }
          try await run(words, reading: pipe.read) { family.begin(with: $0) }
          return .success(nil)
        } catch { return .failure(error) }
      }
      group.addTask { await stream(fetch, found, to: pipe.write, meter) }
      var end = StreamEnd.success(nil)
      for await next in group {
        switch (next, end) {
        case (.failure, .success):
          end = next
          family.terminate()
          group.cancelAll()
        case (.success(let done?), .success): end = .success(done)
        default: break
        }
      }
      return end
    }
    await progress.end()
    if case .failure = end { family.kill() }
    try? pipe.write.close()
    do throws(Failure) {
      guard let done = try end.get() else { throw Failure.interrupted }
      outcome.note(done.unpacked, found, unpacks: get.fetch.unpacks)
      outcome.verified = done.verified
    } catch {
      var failure = error
      failure.message += "; \(meter.sent) bytes had been handed to \(words[0])"
      if fetch.mayBeginAnew { failure.hint = "without --stream it can be read again from the beginning" }
      throw failure
    }
  }

  private func stream(_ fetch: Fetch, _ found: Retrieval.Found, to pipe: Descriptor, _ meter: Meter) async -> StreamEnd {
    let feed = StreamFeed()
    do throws(Failure) {
      let unpacked = try await retrieval.unpacked(feed, found, to: .descriptor(pipe), meter) { () throws(Failure) in
        try await fetch.run(into: feed)
      }
      let verified = try retrieval.prove(found, unpacked, fetch)
      // Only now may the input of the command end.
      try? pipe.close()
      return .success((unpacked, verified))
    } catch {
      return .failure(error)
    }
  }
}

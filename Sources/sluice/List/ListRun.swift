import BytePath
import Endpoints

/// One `sluice ls`: one directory after the other, each of them whole or not at all.
struct ListRun: Sendable {
  let directories: [String]
  let options: TransferOptions
  let isLong: Bool
  /// Also what this program has not given its name yet: half an object that would be the newest in the list.
  let listsAll: Bool
  let console: Console

  /// Pages in a row that may bring nothing. Servers send some where they have passed over what was removed.
  private static let mostBarrenPages = 1000

  func run() async -> Int32 {
    do throws(Failure) {
      let resolver = Resolver(options: options, settings: try options.httpSettings(), messages: console.messages)
      let opened = try resolver.open(directories, for: .listing)
      let targets = opened.compactMap { try? $0.get() }
      try FileUse(options, listing: targets).check()
      try OpenFiles(targets, Attributes(options: options.optionValues)).reserve()
      let report = try Report(path: options.result, console.messages)
      var status: Int32 = 0
      var isFirst = true
      for result in opened {
        do throws(Failure) {
          let target = try target(of: result)
          let entries = try await entries(of: target)
          write(entries, of: target, isFirst: isFirst, to: report)
          isFirst = false
        } catch {
          console.messages.failure(error)
          if status == 0 { status = error.kind.exitStatus(signal: console.signals.first) }
        }
      }
      await resolver.close()
      return report.endOfList(status)
    } catch {
      console.messages.failure(error)
      return error.kind.exitStatus(signal: console.signals.first)
    }
  }

  private func target(of result: Result<Target, DestinationFailure>) throws(Failure) -> Target {
    switch result {
    case .success(let target): return target
    case .failure(let refused): throw refused.failure.about(refused.text)
    }
  }

  // MARK: - Asking

  /// What is in a directory, or the object that is there instead, as ls(1) has it.
  private func entries(of target: Target) async throws(Failure) -> [Entry] {
    var failure = Failure(.missing, "there is no such directory")
    do throws(Failure) {
      if let found = try await members(of: target) {
        return Entry.sorted(listsAll ? found : found.filter { $0.isDirectory == true || !TemporaryName.isOne($0.name) })
      }
    } catch {
      failure = error
    }
    if [.missing, .rejected].contains(failure.kind) {
      do throws(Failure) {
        if let object = try await object(at: target) { return [object] }
      } catch {
        if failure.kind == .missing { failure = error }
      }
    }
    if let likely = target.likely, [.usage, .rejected, .auth, .protocol].contains(failure.kind) { failure.hint = likely }
    throw failure.about(target.text)
  }

  /// All pages, each name once: one that comes to a folder while it is listed may move another to the next page.
  ///
  /// - Returns: nil if there is no such directory.
  private func members(of target: Target) async throws(Failure) -> [Entry]? {
    var entries: [Entry] = []
    var paths: Set<[UInt8]> = []
    var pages: Set<String> = []
    var barren = 0
    var page: String?
    repeat {
      let asked = page
      let listing = try await asking(target) { () throws(Failure) in try await target.store.list(target.path, page: asked) }
      guard let listing else { return nil }
      let before = entries.count
      for stored in listing.entries where paths.insert(Array(stored.path.utf8)).inserted { entries.append(Entry(stored, in: target)) }
      barren = entries.count > before ? 0 : barren + 1
      page = listing.next
      if let page, !pages.insert(page).inserted || barren > ListRun.mostBarrenPages {
        throw Failure(.protocol, "the pages of the list of \(target.path) have no end")
      }
    } while page != nil
    return entries
  }

  /// The object of that name; nil if there is none, or if a slash at the end says that a directory is meant.
  ///
  /// - Throws: what keeps anybody from knowing that.
  private func object(at target: Target) async throws(Failure) -> Entry? {
    guard !target.text.hasSuffix("/") else { return nil }
    let text = target.path.hasSuffix("/") ? String(target.path.dropLast()) : target.path
    guard let path = try? target.store.sourcePath(text) else { return nil }
    let finding = try await asking(target) { () throws(Failure) in try await target.store.stat(path, fresh: true) }
    // What no server was asked for is as unknown as it was.
    if case .untold(let failure) = finding, failure.httpStatus != nil { throw failure }
    guard let stored = finding.stored, stored.isDirectory != true else { return nil }
    return Entry(stored, at: target)
  }

  private func asking<Answer: Sendable>(
    _ target: Target, _ question: @Sendable () async throws(Failure) -> Answer
  ) async throws(Failure) -> Answer {
    var tries = 0
    return try await options.retryPolicy.attempt(target.text, console.messages, tries: &tries, question)
  }

  // MARK: - Showing

  private func write(_ entries: [Entry], of target: Target, isFirst: Bool, to report: Report) {
    guard options.result == nil, isatty(STDOUT_FILENO) == 1 else {
      // A write for each of many thousands would take its time.
      for start in stride(from: 0, to: entries.count, by: 1000) {
        report.line(entries[start..<min(start + 1000, entries.count)].map(\.json.text).joined(separator: "\n"))
      }
      return
    }
    var lines = isLong ? Entry.table(of: entries) : entries.map(\.shownName)
    let isObject = entries.first?.source == target.text
    if directories.count > 1, !isObject { lines = (isFirst ? [] : [""]) + ["\(Messages.printable(target.text)):"] + lines }
    if !lines.isEmpty { report.line(lines.joined(separator: "\n")) }
  }
}

extension Failure {
  /// With the name of what it is about before its words.
  fileprivate func about(_ text: String) -> Failure {
    var failure = self
    failure.message = "\(text): \(message)"
    return failure
  }
}

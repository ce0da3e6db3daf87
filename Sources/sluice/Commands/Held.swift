import ArgumentParser
import BytePath
import Endpoints

/// `sluice held`: spools kept after an upload that did not succeed.
struct Held: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List, send or discard what was kept after a failed upload.",
    subcommands: [HeldList.self, HeldPush.self, HeldDrop.self], defaultSubcommand: HeldList.self)
}

/// Which spools a command is about.
struct HeldSelection: ParsableArguments {
  @Flag(help: "All of them.")
  var all = false
  @Option(help: ArgumentHelp("Where they are kept.", valueName: "dir"))
  var spoolDir: String?
  @Argument(help: ArgumentHelp("As in the list.", valueName: "id"))
  var ids: [String] = []

  /// The selected spools: each ID with the folder that it is in, or would be.
  ///
  /// - Throws: `spool` if the folder can't be used.
  func open() throws(Failure) -> [(directory: SpoolDirectory, id: String)] {
    let all = try HeldSelection.all(in: spoolDir)
    guard !ids.isEmpty else { return all }
    let directory = try SpoolPlace(option: spoolDir).open()
    return ids.map { id in all.first { $0.id == id.uppercased() } ?? (directory, id.uppercased()) }
  }

  /// What is held in the folder, or, if none is named, in the usual one and beside files.
  ///
  /// - Throws: `spool` if the folder can't be used.
  static func all(in option: String?) throws(Failure) -> [(directory: SpoolDirectory, id: String)] {
    let directory = try SpoolPlace(option: option).open()
    let here = try directory.completeIDs().map { (directory, $0) }
    guard option == nil else { return here }
    let elsewhere = try directory.idsElsewhere().compactMap { id in directory.other(having: id).map { ($0, id) } }
    return (here + elsewhere).sorted { $0.1 < $1.1 }
  }

  /// Opens one of them. Of those that no ID names, one that another process is sending, or has sent since they were listed, is left to it: nil.
  ///
  /// - Throws: `usage` if there is none of this ID, `spool` if it is in use or can't be opened.
  func spool(_ id: String, in directory: SpoolDirectory, _ messages: Messages) throws(Failure) -> Spool? {
    do throws(Failure) {
      if let spool = try Spool.open(id, in: directory) { return spool }
    } catch {
      guard ids.isEmpty, error.isRetryable else { throw error }
      messages.note("\(error.message), and is left to it")
      return nil
    }
    guard ids.isEmpty else { throw Failure(.usage, "there is no held spool \(id)", hint: "sluice held lists them") }
    return nil
  }
}

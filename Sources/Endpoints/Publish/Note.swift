import BytePath
import FoundationEssentials

/// What is remembered of an upload from one attempt to the next, and, through jobs and records, from one run to the next: where the object is
/// for now and how far it has come there. It is the text of a `Checkpoint`.
struct Note: Codable, Sendable, Equatable {
  enum Stage: String, Codable {
    /// An upload to the name has begun.
    case sending
    /// The whole object is under the temporary name, and lacks its own.
    case renaming
  }

  /// What was at the object's own name before.
  struct Before: Codable, Sendable, Equatable {
    var isNothing = false
    var size: Int64?
    var version: String?

    /// Nil if nobody was told.
    init?(_ finding: Finding) {
      switch finding {
      case .nothing: isNothing = true
      case .stored(let stored): (size, version) = (stored.size, stored.version)
      case .untold: return nil
      }
    }
  }

  var stage: Stage
  /// The temporary name, without its directory; nil if the object goes to its own.
  var temporary: String?
  /// The name to which the older object was moved, or was about to be, without its directory.
  var aside: String?
  /// The session that brings the object to the name.
  var session: Session?
  /// True if the server was asked to put the pieces of the session together.
  var isCompleting: Bool?
  /// Nil if that is not known.
  var before: Before?

  init(_ stage: Stage, temporary: String? = nil, before: Before? = nil) {
    self.stage = stage
    self.temporary = temporary
    self.before = before
  }
}

/// The note of one upload, read and written through its checkpoint.
struct NoteKeeper: Sendable {
  let checkpoint: Checkpoint
  /// Where the object comes to lie.
  let place: String

  /// Nil if there is nothing, or nothing that this program can have written: a job that somebody has changed must not make it touch anything
  /// else.
  var note: Note? {
    guard let text = checkpoint.text, let note = try? JSONDecoder().decode(Note.self, from: Data(text.utf8)) else { return nil }
    let names = [note.temporary, note.aside].compactMap { $0 }
    guard names.allSatisfy({ $0.contains(TemporaryName.mark) && !$0.contains("/") }), note.stage == .sending || note.temporary != nil,
      note.session.map({ $0.pieceSize > 0 }) != false
    else { return nil }
    return note
  }

  func set(_ note: Note) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(note) else { return }
    checkpoint.set(String(decoding: data, as: UTF8.self))
  }

  func change(_ body: (inout Note) -> Void) {
    guard var note else { return }
    body(&note)
    set(note)
  }

  func clear() { checkpoint.set(nil) }

  /// The full path of a name beside the object.
  func path(of name: String) -> String { TemporaryName.folder(of: place) + name }

  /// Full paths of what may be at the destination now that is not the object under its name.
  var left: [String] {
    guard let note else { return [] }
    // The pieces of a session are shown by nobody before they are put together, but for those that make the file at once.
    let shown = note.temporary.map(path) ?? (note.session == nil ? place : nil)
    return [shown, note.aside.map(path)].compactMap { $0 }
  }
}

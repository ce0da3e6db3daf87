public import BytePath

/// A store that takes an object in pieces, which nobody sees before they are put together. A connection that breaks costs the pieces that it
/// had in hand, and another attempt goes on, also one of another run.
public protocol SessionStore: Store {
  /// How an object is to be cut; nil if it is to go in one piece.
  ///
  /// - Parameter length: of the object, in bytes.
  /// - Throws: `rejected` if it has no place in as many and as large pieces as there may be.
  func plan(for length: Int64, at path: String, _ attributes: Attributes) async throws(Failure) -> SessionPlan?

  /// Begins a session.
  ///
  /// - Returns: `open` or `completed`, as a server may know the object already; nil if it has no sessions for this after all, so that the object
  ///   must go in one piece.
  func open(_ plan: SessionPlan, _ upload: Upload, at path: String, _ condition: Condition) async throws(Failure) -> SessionState?

  /// Asks which pieces the server has.
  func state(of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SessionState

  /// Sends one piece.
  ///
  /// - Throws: any failure; `isSessionLost` is set if another attempt must begin a new session.
  func send(_ piece: Piece, of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SentPiece

  /// Puts the pieces together.
  ///
  /// - Parameter pieces: all of them, in order.
  func complete(
    _ session: Session, _ pieces: [SentPiece], _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> Receipt

  /// Ends a session that will not go on. One that is gone already is a success.
  ///
  /// - Parameter length: of the object, in bytes.
  func abort(_ session: Session, at path: String, length: Int64) async throws(Failure)
}

/// How an object is cut.
public struct SessionPlan: Sendable, Equatable {
  /// Bytes of every piece but the last, which may be shorter.
  public var pieceSize: Int64
  /// How many pieces are on their way at a time.
  public var concurrency: Int
  /// How many pieces the server takes from the first on that it lacks; nil for any.
  public var window: Int?
  /// The hashes that are made of each piece before it is sent, while others are on their way.
  public var hashes: [HashAlgorithm] = []

  public init(pieceSize: Int64, concurrency: Int, hashes: [HashAlgorithm] = []) {
    self.pieceSize = pieceSize
    self.concurrency = concurrency
    self.hashes = hashes
  }

}

/// A session that has begun, as it is remembered from one attempt and run to the next.
public struct Session: Sendable, Equatable, Codable {
  /// Nil as long as the server has not said it: then it is known by the name that it is for.
  public var id: String?
  /// Bytes of every piece but the last.
  public var pieceSize: Int64
  /// What the store alone wants to remember.
  public var mark: String?

  public init(id: String?, pieceSize: Int64, mark: String? = nil) {
    self.id = id
    self.pieceSize = pieceSize
    self.mark = mark
  }

  /// - Parameter length: of the object, in bytes.
  public func count(for length: Int64) -> Int { length == 0 ? 1 : Int((length - 1) / pieceSize + 1) }

  /// - Parameters:
  ///   - index: from 0 on, below `count`.
  ///   - length: of the object, in bytes.
  public func range(of index: Int, in length: Int64) -> Range<Int64> {
    let start = Int64(index) * pieceSize
    return start..<min(length, start.addingSaturated(pieceSize))
  }
}

public enum SessionState: Sendable {
  /// The server does not know it any more.
  case gone
  /// It lives, and has these pieces by their index.
  case open(Session, [Int: SentPiece])
  /// It has ended well: the object is there.
  case completed(Receipt)
}

/// A piece to be sent.
public struct Piece: Sendable {
  /// From 0 on.
  public var index: Int
  /// In the object, in bytes.
  public var range: Range<Int64>
  /// Those that the plan asks for.
  public var hashes: [HashAlgorithm: Checksum] = [:]
  /// With how many it shares the rate, itself included.
  public var rateShare = 1
  /// Counts its bytes.
  public var meter: Meter
}

/// A piece that the server has.
public struct SentPiece: Sendable, Equatable {
  public var size: Int64
  /// As the server calls it; empty if it has no name for it.
  public var tag = ""
  /// Those that are known of its bytes.
  public var hashes: [HashAlgorithm: Checksum] = [:]
  /// Whether this run has sent these bytes itself, so that they need not be compared.
  public var isProven = false
  /// Whether the server said that it has the piece before it can have had all of it.
  public var isEarly = false
  /// Of the answer that said that the object is there with this piece.
  public var completed: Receipt?

  public init(size: Int64, tag: String = "", hashes: [HashAlgorithm: Checksum] = [:]) {
    self.size = size
    self.tag = tag
    self.hashes = hashes
  }
}

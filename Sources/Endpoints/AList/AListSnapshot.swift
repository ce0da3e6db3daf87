import BytePath

/// What the server says of a session.
struct AListSnapshot {
  /// Bytes of a chunk. The server takes none that is smaller (internal/multipart/session.go, Init), and very many would cost more than a put.
  private static let sizes: ClosedRange<Int64> = (1 << 20)...(1 << 30)

  let id: String
  let state: String
  let session: Session
  /// Chunks that the server has, in order; no two of these ranges touch.
  private(set) var received: [Range<Int>] = []

  var isCompleted: Bool { state == "completed" }

  /// - Parameter length: of the object, 1 or more: nil if the chunks do not make it up.
  init?(_ data: JSONValue?, length: Int64) {
    guard let data, let id = data["upload_id"]?.string, let state = data["state"]?.string, let size = data["chunk_size"]?.integer,
      AListSnapshot.sizes.contains(size), let chunks = data["total_chunks"]?.integer, chunks == (length - 1) / size + 1
    else { return nil }
    self.id = id
    self.state = state
    session = Session(id: id, pieceSize: size)
    let pairs = (data["received"]?.array ?? []).compactMap { pair -> Range<Int>? in
      guard let ends = pair.array?.compactMap(\.integer), ends.count == 2, 0 <= ends[0], ends[0] <= ends[1], ends[1] < chunks else {
        return nil
      }
      return Int(ends[0])..<Int(ends[1]) + 1
    }
    for range in pairs.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = received.last, range.lowerBound <= last.upperBound {
        received[received.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
      } else {
        received.append(range)
      }
    }
  }

  /// - Parameter length: of the object, in bytes.
  func pieces(of length: Int64) -> [Int: SentPiece] {
    Dictionary(
      uniqueKeysWithValues: received.joined().map { ($0, SentPiece(size: Int64(session.range(of: $0, in: length).count))) })
  }
}

public import BytePath
import FoundationEssentials
import Synchronization

/// Blobs in blocks (learn.microsoft.com/rest/api/storageservices/put-block, put-block-list). Nothing is said to begin one, and nothing to end one that
/// will not go on: blocks that are in no list of a blob are gone after a week.
///
/// A block's name says which session it is of, its number and its MD5, which Azure has compared with what arrived. So a list of the blocks is
/// all that a later run needs to know what is there.
extension AzureBlob: SessionStore {
  public func plan(for length: Int64, at path: String, _ attributes: Attributes) async throws(Failure) -> SessionPlan? {
    try AzureOptions(attributes.options).plan(for: length)
  }

  public func open(
    _ plan: SessionPlan, _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> SessionState? {
    .open(Session(id: AzureBlock.newSession(), pieceSize: plan.pieceSize), [:])
  }

  public func state(of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SessionState {
    guard let id = session.id, AzureOptions.blockSizes.contains(session.pieceSize) else { return .gone }
    var request = api.request(.get, path, [("comp", "blocklist"), ("blocklisttype", "uncommitted")])
    request.answerLimit = AzureBlock.listLimit
    let answer = try await api.send(request)
    switch answer.status {
    case 404: return .gone
    // Who may write need not be allowed to read. What this run sent itself it knows.
    case 401, 403: return .open(session, sent.blocks(of: id))
    default: break
    }
    if let failure = await api.failure(answer, "list the blocks of \(path)") { throw failure }
    guard let blocks = AzureBlock.pieces(answer.body, of: id) else {
      throw answer.azureEvidence(Failure(.protocol, "\(api.server) gives no list of the blocks of \(path)"))
    }
    return blocks.isEmpty ? .gone : .open(session, blocks)
  }

  public func send(_ piece: Piece, of session: Session, _ upload: Upload, at path: String) async throws(Failure) -> SentPiece {
    let md5: Checksum
    if let known = piece.hashes[.md5] { md5 = known } else { md5 = try await upload.payload.digests([.md5], of: piece.range)[0] }
    let block = AzureBlock(session: session.id ?? "", index: piece.index, md5: md5)
    var request = api.request(.put, path, [("comp", "block"), ("blockid", block.id)])
    request.headers = [("Content-MD5", md5.base64)]
    request.body = HTTPBody(payload: upload.payload, part: piece.range, meter: piece.meter)
    request.isUpload = true
    request.isAnsweredByStatus = true
    request.rateShare = piece.rateShare
    let answer = try await api.send(request)
    if let failure = await api.failure(answer, "put block \(piece.index + 1) of \(path)") { throw failure }
    var sent = SentPiece(size: Int64(piece.range.count), tag: block.id, hashes: [.md5: md5])
    sent.isEarly = !answer.isAfterWholeBody
    if !sent.isEarly { self.sent.add(sent, piece.index, of: block.session) }
    return sent
  }

  public func complete(
    _ session: Session, _ pieces: [SentPiece], _ upload: Upload, at path: String, _ condition: Condition
  ) async throws(Failure) -> Receipt {
    var request = api.request(.put, path, [("comp", "blocklist")])
    let list = pieces.map { "<Uncommitted>\($0.tag)</Uncommitted>" }.joined()
    request.headers = [("Content-Type", "application/xml")]
    request.headers.append(("x-ms-blob-content-md5", try await upload.payload.digest(.md5).base64))
    request.headers += upload.attributes.azureHeaders
    request.body = HTTPBody(prefix: Array("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>\(list)</BlockList>".utf8))
    do throws(Failure) { return try await publish(request, at: path, condition) } catch {
      guard error.response?["code"]?.string == "InvalidBlockList" else { throw error }
      // Somebody else has put the blob meanwhile, and with that the blocks are gone.
      var failure = error
      (failure.kind, failure.isRetryable, failure.isSessionLost) = (.server, true, true)
      throw failure
    }
  }

  /// There is no call for it but one that would make a blob of the blocks, or of nothing.
  public func abort(_ session: Session, at path: String, length: Int64) async throws(Failure) {}
}

/// The values of `-o` for Azure.
struct AzureOptions: Sendable {
  static let known = [
    StoreOption("block-size", "send the object in blocks of this size") { (value) throws(Failure) in
      _ = try AzureOptions(["block-size": value])
    },
    StoreOption("concurrency", "how many blocks are on their way at a time") { (value) throws(Failure) in
      _ = try AzureOptions(["concurrency": value])
    },
  ]
  static let mostConcurrent = 32
  /// What a block may have, and all of a blob that is put at once: up to 4000 MiB, and 5000.
  static let blockSizes: ClosedRange<Int64> = 1...(4000 << 20)
  private static let mostBlocks: Int64 = 50_000
  private static let usualBlockSize: Int64 = 16 << 20
  /// A longer object goes in blocks, unless the size of a block is given.
  private static let threshold: Int64 = 64 << 20

  /// Bytes; nil for the usual.
  private(set) var blockSize: Int64?
  /// How many blocks are on their way at a time.
  private(set) var concurrency = 4

  /// - Throws: `usage` for a value that means nothing.
  init(_ options: [String: String]) throws(Failure) {
    if let text = options["block-size"] {
      guard let size = SizeText.bytes(text), (64 << 10...AzureOptions.blockSizes.upperBound).contains(size) else {
        throw Failure(.usage, "-o block-size takes a size from 64k to 4000M")
      }
      blockSize = size
    }
    if let text = options["concurrency"] {
      guard let number = Int(text), (1...AzureOptions.mostConcurrent).contains(number) else {
        throw Failure(.usage, "-o concurrency takes a number from 1 to \(AzureOptions.mostConcurrent)")
      }
      concurrency = number
    }
  }

  /// How an object is cut; nil if it goes in one piece.
  ///
  /// - Throws: `rejected` if it has no place in as many and as large blocks as there may be.
  func plan(for length: Int64) throws(Failure) -> SessionPlan? {
    guard length > blockSize ?? AzureOptions.threshold else { return nil }
    let least = (length - 1) / AzureOptions.mostBlocks + 1
    var size = blockSize ?? AzureOptions.usualBlockSize
    // To whole MiB.
    if least > size { size = ((least + (1 << 20) - 1) >> 20) << 20 }
    guard size <= AzureOptions.blockSizes.upperBound else {
      throw Failure(
        .rejected, "the object has \(length) bytes, and Azure takes \(AzureOptions.mostBlocks) blocks of 4000 MiB at the most",
        hint: "make objects that are smaller with --part-size")
    }
    return SessionPlan(pieceSize: size, concurrency: concurrency, hashes: [.md5])
  }
}

/// What a block is called: as long as every other of its blob, and of at most 64 bytes before it is written in Base64.
struct AzureBlock: Sendable, Equatable {
  /// Of a list of 100,000 of them, in bytes.
  static let listLimit = 32 << 20

  let session: String
  let index: Int
  let md5: Checksum

  static func newSession() -> String { (0..<4).map { _ in UInt8.random(in: .min ... .max) }.hex }

  init(session: String, index: Int, md5: Checksum) {
    self.session = session
    self.index = index
    self.md5 = md5
  }

  /// Nil if no such text is in it.
  init?(id: String) {
    let words = Data(base64Encoded: id).map { String(decoding: $0, as: UTF8.self).split(separator: "-") } ?? []
    guard words.count == 3, let number = Int(words[1]), let md5 = Checksum(.md5, hex: words[2]) else { return nil }
    self.init(session: String(words[0]), index: number - 100_000, md5: md5)
  }

  var id: String { Data("\(session)-\(100_000 + index)-\(md5.hex)".utf8).base64EncodedString() }

  /// The blocks of a session that an answer to Get Block List tells of, by their index; nil if it is none.
  static func pieces(_ body: [UInt8], of session: String) -> [Int: SentPiece]? {
    guard let root = XMLTree(parsing: body), root.name == "BlockList" else { return nil }
    var pieces: [Int: SentPiece] = [:]
    for child in root["UncommittedBlocks"]?.all("Block") ?? [] {
      guard let id = child["Name"]?.text, let block = AzureBlock(id: id), block.session == session,
        let size = (child["Size"]?.text).flatMap({ Int64($0) })
      else { continue }
      pieces[block.index] = SentPiece(size: size, tag: id, hashes: [.md5: block.md5])
    }
    return pieces
  }
}

/// The blocks that this run has sent, for a server that does not tell.
final class AzureSentBlocks: Sendable {
  private let known = Mutex<[String: [Int: SentPiece]]>([:])

  func blocks(of session: String) -> [Int: SentPiece] { known.withLock { $0[session] ?? [:] } }

  func add(_ piece: SentPiece, _ index: Int, of session: String) { known.withLock { $0[session, default: [:]][index] = piece } }
}

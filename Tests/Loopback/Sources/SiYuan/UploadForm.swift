import NIOCore

/// The fields of a form with a file; the file itself goes straight to disk.
struct UploadForm {
  private static let longestValue = 1 << 20

  /// As the form has it; nil if there is no file.
  private(set) var fileName: String?
  private var values: [(String, String)] = []

  /// The first value of that name, or nothing.
  func value(_ name: String) -> String { values.first { $0.0 == name }?.1 ?? "" }

  /// Reads the whole body. The first file of the part `field` is written to `spool`.
  static func read(_ exchange: Exchange, file field: String = "file", to spool: String) async throws -> UploadForm {
    let type = exchange.header("Content-Type") ?? ""
    if type.hasPrefix("application/x-www-form-urlencoded") { return UploadForm(urlEncoded: try await exchange.smallBody()) }
    guard type.lowercased().hasPrefix("multipart/form-data"), let boundary = MultipartHeader(type).parameter("boundary") else {
      throw MalformedForm()
    }
    var reader = UploadFormReader(field: field, spool: spool, limit: exchange.storeLimit)
    defer { exchange.entry.form = reader.log }
    var parser = MultipartParser(boundary: boundary)
    while let piece = try await exchange.nextPiece() {
      try piece.withUnsafeReadableBytes { try parser.feed($0) { event in try reader.take(event) } }
    }
    guard parser.isComplete else { throw MalformedForm() }
    var form = UploadForm()
    form.values = reader.values
    form.fileName = reader.fileName
    return form
  }

  private init() {}

  private init(urlEncoded bytes: [UInt8]) {
    for pair in String(decoding: bytes, as: UTF8.self).split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      values.append((String(sides[0]), sides.count > 1 ? String(sides[1]) : ""))
    }
  }
}

/// Collects what the parser finds.
private struct UploadFormReader: ~Copyable {
  private(set) var values: [(String, String)] = []
  private(set) var fileName: String?
  private(set) var log = FormLog()
  private let field: String
  private let spool: String
  private let limit: Int?
  private var sink: FileSink?
  private var part: MultipartHeader?
  private var value: [UInt8] = []
  private var fileBytes = 0

  init(field: String, spool: String, limit: Int?) {
    self.field = field
    self.spool = spool
    self.limit = limit
  }

  mutating func take(_ event: MultipartParser.Event) throws {
    switch event {
    case .part(let header):
      part = header
      value = []
      fileBytes = 0
      log.order.append(header.parameter("name") ?? "")
      guard header.isFile, header.parameter("name") == field, fileName == nil else { return }
      fileName = header.parameter("filename") ?? ""
      sink = try FileSink(spool, limit: limit)
    case .bytes(let bytes):
      guard let part else { return }
      guard part.isFile else {
        value += bytes.prefix(max(0, 1 << 20 - value.count))
        return
      }
      fileBytes += bytes.count
      try sink?.append(bytes)
    case .endOfPart:
      finishPart()
    }
  }

  private mutating func finishPart() {
    sink = nil
    guard let part else { return }
    let name = part.parameter("name") ?? ""
    if part.isFile {
      log.files.append(
        .object([
          ("name", .string(name)), ("filename", .string(part.parameter("filename") ?? "")),
          ("headers", .object(part.lines.map { ($0.0, .string($0.1)) })), ("bytes", .int(Int64(fileBytes))),
        ]))
    } else {
      let text = String(decoding: value, as: UTF8.self)
      values.append((name, text))
      if !log.fields.contains(where: { $0.0 == name }) { log.fields.append((name, text)) }
    }
  }
}

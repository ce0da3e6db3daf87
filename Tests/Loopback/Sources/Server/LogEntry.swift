import NIOCore

/// One request's line in the log.
struct LogEntry {
  private static let collectedBytes = 64 << 10

  let method: String
  let path: String
  let query: String
  let headers: [(String, String)]
  let connection: Int
  var bodyBytes = 0
  var status = 0
  /// The fields, files and their order in SiYuan's form.
  var form: FormLog?
  private var collected: [UInt8]?

  init(method: String, path: String, query: String, headers: [(String, String)], connection: Int) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.connection = connection
  }

  mutating func collect(_ piece: ByteBuffer) {
    var bytes = collected ?? []
    // One byte more than what is kept tells that there was too much.
    bytes += piece.readableBytesView.prefix(Self.collectedBytes + 1 - bytes.count)
    collected = bytes
  }

  var json: JSON {
    var members: [(String, JSON)] = [
      ("method", .string(method)), ("path", .string(path)), ("query", .string(query)), ("headers", .object(joinedHeaders)),
      ("body_bytes", .int(Int64(bodyBytes))), ("connection", .int(Int64(connection))), ("status", .int(Int64(status))),
    ]
    if let collected, collected.count <= Self.collectedBytes {
      members.append(("body", .string(String(decoding: collected, as: UTF8.self))))
    }
    if let form { members += form.members }
    return .object(members)
  }

  private var joinedHeaders: [(String, JSON)] {
    var joined: [(name: String, value: String)] = []
    for (name, value) in headers {
      if let index = joined.firstIndex(where: { $0.name.lowercased() == name.lowercased() }) {
        joined[index].value += ", " + value
      } else {
        joined.append((name, value))
      }
    }
    return joined.map { ($0.name, .string($0.value)) }
  }
}

/// What a multipart form held.
struct FormLog {
  var fields: [(String, String)] = []
  var files: [JSON] = []
  var order: [String] = []

  fileprivate var members: [(String, JSON)] {
    [
      ("fields", .object(fields.map { ($0.0, .string($0.1)) })), ("parts", .array(files)),
      ("order", .array(order.map { .string($0) })),
    ]
  }
}

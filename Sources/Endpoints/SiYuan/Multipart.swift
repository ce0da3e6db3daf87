import BytePath

/// A `multipart/form-data` body (RFC 7578) of known length: fields, then perhaps a file that is streamed.
struct Multipart: Sendable {
  /// 128 random bits: no payload has them but by a chance that is none.
  let boundary = "sluice-" + (0..<4).map { _ in String(UInt32.random(in: .min ... .max) | 1 << 31, radix: 16) }.joined()
  private var fields = ""

  var contentType: String { "multipart/form-data; boundary=\(boundary)" }

  mutating func addField(_ name: String, _ value: String) {
    fields += "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
  }

  /// The fields alone.
  func body() -> HTTPBody {
    HTTPBody(prefix: Array("\(fields)--\(boundary)--\r\n".utf8))
  }

  /// The fields, and then the payload as a file.
  ///
  /// - Parameters:
  ///   - field: what the part is called.
  ///   - type: a MIME type without control characters.
  func body(file name: String, as field: String, type: String?, _ payload: Payload, _ meter: Meter) -> HTTPBody {
    let disposition = "form-data; name=\"\(field)\"; filename=\"\(Multipart.escaped(name))\""
    let type = type ?? "application/octet-stream"
    let head = "--\(boundary)\r\nContent-Disposition: \(disposition)\r\nContent-Type: \(type)\r\n\r\n"
    return HTTPBody(prefix: Array((fields + head).utf8), payload: payload, suffix: Array("\r\n--\(boundary)--\r\n".utf8), meter: meter)
  }

  /// As browsers write names in a header (html.spec.whatwg.org, multipart/form-data): nothing can end the quotes or the line.
  static func escaped(_ name: String) -> String {
    name.map { character in
      switch character {
      case "\"": "%22"
      case "\r", "\n", "\r\n": "%0A"
      default: String(character)
      }
    }.joined()
  }
}

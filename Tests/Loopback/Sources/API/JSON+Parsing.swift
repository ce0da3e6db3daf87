import FoundationEssentials

extension JSON {
  /// Nil if the bytes are no JSON. The order of members is not kept.
  static func parse(_ bytes: [UInt8]) -> JSON? {
    try? JSONDecoder().decode(JSON.self, from: Data(bytes))
  }
}

extension JSON: Decodable {
  private struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int? = nil

    init(stringValue: String) {
      self.stringValue = stringValue
    }

    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    if let members = try? decoder.container(keyedBy: AnyKey.self) {
      self = .object(try members.allKeys.map { ($0.stringValue, try members.decode(JSON.self, forKey: $0)) })
    } else if var values = try? decoder.unkeyedContainer() {
      var found: [JSON] = []
      while !values.isAtEnd { found.append(try values.decode(JSON.self)) }
      self = .array(found)
    } else {
      self = try Self.scalar(decoder.singleValueContainer())
    }
  }

  private static func scalar(_ value: any SingleValueDecodingContainer) throws -> JSON {
    if value.decodeNil() { return .null }
    // Each type is tried in turn: a failure means that it is another one.
    if let bool = try? value.decode(Bool.self) { return .bool(bool) }
    if let int = try? value.decode(Int64.self) { return .int(int) }
    if let double = try? value.decode(Double.self) { return .double(double) }
    return .string(try value.decode(String.self))
  }
}

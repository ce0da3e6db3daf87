import Foundation
import Support
import Testing

extension Finished {
  /// The result lines, each of them held against the schema.
  func results(_ location: SourceLocation = #_sourceLocation) throws -> [JSON] {
    try resultLines(outputText, location)
  }

  /// The one result line.
  func result(_ location: SourceLocation = #_sourceLocation) throws -> JSON {
    let results = try results(location)
    try #require(results.count == 1, "standard output: \(outputText) standard error: \(errorText)", sourceLocation: location)
    return results[0]
  }

  /// The one result line of a run that succeeded.
  @discardableResult
  func success(_ location: SourceLocation = #_sourceLocation) throws -> JSON {
    try #require(exit == 0, "\(summary)", sourceLocation: location)
    let result = try result(location)
    #expect(result["ok"] == .bool(true), "\(summary)", sourceLocation: location)
    return result
  }

  /// The one result line of a run that failed.
  @discardableResult
  func failure(_ code: Int32, _ kind: String, _ location: SourceLocation = #_sourceLocation) throws -> JSON {
    #expect(errorText.contains("sluice: "), "\(summary)", sourceLocation: location)
    return try failureWithoutWords(code, kind, location)
  }

  /// As above, where standard error is a terminal.
  @discardableResult
  func failureWithoutWords(_ code: Int32, _ kind: String, _ location: SourceLocation = #_sourceLocation) throws -> JSON {
    #expect(exit == code, "\(summary)", sourceLocation: location)
    let result = try result(location)
    #expect(result["ok"] == .bool(false), "\(summary)", sourceLocation: location)
    #expect(result["error"]["kind"].text == kind, "\(summary)", sourceLocation: location)
    return result
  }

  /// The lines of `sluice ls`.
  func entries() throws -> [JSON] { try outputText.split(separator: "\n").map { try JSON(parsing: $0) } }

  /// Expects a usage error: said on standard error, with nothing on standard output.
  func usage(_ location: SourceLocation = #_sourceLocation) {
    #expect(exit == 64, "\(summary)", sourceLocation: location)
    #expect(output.isEmpty, "\(summary)", sourceLocation: location)
    #expect(errorText.hasPrefix("sluice: "), "\(summary)", sourceLocation: location)
  }

  /// All of it, for the message of a failed expectation.
  var summary: String {
    let end = exit.map { "exit \($0)" } ?? "signal \(signal ?? 0)"
    return
      "\(end)\(wasTooSlow ? ", KILLED AS TOO SLOW" : "") after \(duration)\n-- stdout: \(outputText.prefix(3000))\n-- stderr: \(errorText.prefix(3000))"
  }
}

/// The lines of a result stream, each of them held against the schema.
func resultLines(_ text: String, _ location: SourceLocation = #_sourceLocation) throws -> [JSON] {
  #expect(text.isEmpty || text.hasSuffix("\n"), "the last line has no end: \(text)", sourceLocation: location)
  return try text.split(separator: "\n").map { line in
    let json = try JSON(parsing: line)
    for problem in ResultSchema.shared.problems(in: json) {
      Issue.record("\(problem) in \(line)", sourceLocation: location)
    }
    #expect(ResultSchema.hasOrder(String(line)), "keys out of order: \(line)", sourceLocation: location)
    return json
  }
}

/// The keywords of JSON Schema that `result.schema.json` uses. A test holds this validator against Python's.
struct ResultSchema: Sendable {
  static let file = (#filePath as NSString).deletingLastPathComponent + "/result.schema.json"
  static let shared = try! ResultSchema(JSON(parsing: String(decoding: contents(file), as: UTF8.self)))
  /// The order in which a line has its keys.
  private static let order = [
    "ok", "dry_run", "destination", "source", "endpoint", "path", "file", "input_bytes", "input_sha256", "bytes", "gzip", "sha256", "sum",
    "output_bytes", "output_sha256", "parts", "plan", "attempts", "resumed", "elapsed_s", "upload_s", "http_status", "response", "link",
    "task", "verified", "error", "superseded", "held",
  ]

  private let schema: JSON

  init(_ schema: JSON) {
    self.schema = schema
  }

  func problems(in value: JSON) -> [String] { problems(value, schema, "result") }

  /// True if the keys of the first level stand in the order of the contract.
  static func hasOrder(_ line: String) -> Bool {
    var depth = 0
    var isText = false
    var isEscaped = false
    var current = ""
    var keys: [String] = []
    for character in line {
      if isText {
        if isEscaped {
          isEscaped = false
        } else if character == "\\" {
          isEscaped = true
        } else if character == "\"" {
          isText = false
        } else {
          current.append(character)
        }
        continue
      }
      switch character {
      case "\"": (isText, current) = (true, "")
      case "{", "[": depth += 1
      case "}", "]": depth -= 1
      case ":" where depth == 1: keys.append(current)
      default: break
      }
    }
    let places = keys.compactMap { order.firstIndex(of: $0) }
    return places == places.sorted()
  }

  private func problems(_ value: JSON, _ schema: JSON, _ path: String) -> [String] {
    var found: [String] = []
    if let type = schema["type"].text, !has(value, type) { found.append("\(path) is no \(type)") }
    if case .array(let types) = schema["type"], !types.contains(where: { has(value, $0.text ?? "") }) {
      found.append("\(path) has no allowed type")
    }
    if schema["const"] != .null, value != schema["const"] { found.append("\(path) is not \(schema["const"])") }
    if !schema["enum"].items.isEmpty, !schema["enum"].items.contains(value) { found.append("\(path) is none of the allowed values") }
    if let minimum = schema["minimum"].double, let number = value.double, number < minimum { found.append("\(path) is below \(minimum)") }
    if let pattern = schema["pattern"].text, let text = value.text, text.range(of: pattern, options: .regularExpression) == nil {
      found.append("\(path) does not match \(pattern)")
    }
    for key in schema["required"].items.compactMap(\.text) where !value.keys.contains(key) { found.append("\(path) has no \(key)") }
    if case .object(let members) = value {
      for (key, member) in members {
        if schema["properties"].keys.contains(key) {
          found += problems(member, schema["properties"][key], "\(path).\(key)")
        } else if schema["additionalProperties"] == .bool(false) {
          found.append("\(path) has the unknown key \(key)")
        }
      }
    }
    if schema["items"] != .null { found += value.items.flatMap { problems($0, schema["items"], "\(path).[]") } }
    let choices = schema["anyOf"].items
    if !choices.isEmpty, choices.allSatisfy({ !problems(value, $0, path).isEmpty }) { found.append("\(path) is none of what it may be") }
    for part in schema["allOf"].items { found += problems(value, part, path) }
    if schema["if"] != .null {
      found += problems(value, problems(value, schema["if"], path).isEmpty ? schema["then"] : schema["else"], path)
    }
    if schema["not"] != .null, problems(value, schema["not"], path).isEmpty { found.append("\(path) has what it must not have") }
    return found
  }

  private func has(_ value: JSON, _ type: String) -> Bool {
    switch (value, type) {
    case (.object, "object"), (.array, "array"), (.string, "string"), (.bool, "boolean"), (.number, "number"), (.null, "null"): true
    case (.number(let number), "integer"): number == number.rounded()
    default: false
    }
  }
}

/// Expects the same bytes. `#expect` itself would look for the shortest way from one to the other, which takes minutes for a megabyte.
func expectSame(_ stored: [UInt8], _ expected: [UInt8], _ comment: String = "", location: SourceLocation = #_sourceLocation) {
  guard stored != expected else { return }
  let place = zip(stored, expected).enumerated().first { $1.0 != $1.1 }?.offset ?? min(stored.count, expected.count)
  let excerpt = { (bytes: [UInt8]) in String(decoding: bytes[place...].prefix(60), as: UTF8.self).debugDescription }
  Issue.record(
    "\(comment) \(stored.count) bytes instead of \(expected.count), not the same from \(place) on: \(excerpt(stored)) instead of \(excerpt(expected))",
    sourceLocation: location)
}

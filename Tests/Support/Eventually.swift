/// What was waited for did not come.
public struct NeverHappened: Error, CustomStringConvertible {
  public let description: String
}

/// Asks again and again until `condition` gives a value, for `limit` at the most.
///
/// - Throws: `NeverHappened`, or what `condition` throws.
@discardableResult
public func eventually<Value>(
  _ what: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Value?
) async throws -> Value {
  let end = ContinuousClock.now + limit
  while true {
    if let value = try await condition() { return value }
    guard ContinuousClock.now < end else { throw NeverHappened(description: "never happened within \(limit): \(what)") }
    try await Task.sleep(for: .milliseconds(10))
  }
}

/// As above, for a condition that is true or not.
public func eventually(_ what: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool) async throws {
  _ = try await eventually(what, within: limit) { try await condition() ? () : nil }
}

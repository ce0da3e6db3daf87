import ArgumentParser
import BytePath
import Endpoints

/// A number of bytes: `512`, `10k`, `1.5M`, `2GiB`. All units are powers of 1024.
struct Size: ExpressibleByArgument, Sendable {
  let bytes: Int64

  init?(argument: String) {
    guard let bytes = SizeText.bytes(argument) else { return nil }
    self.bytes = bytes
  }
}

/// A length of time: `30s`, `5m`, `500ms`, `2h`; a number alone is seconds.
struct TimeSpan: ExpressibleByArgument, Sendable {
  let duration: Duration

  init?(argument: String) {
    let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let value = Double(number), value.isFinite, number.first != "." else { return nil }
    let units: [Substring: Double] = ["": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400]
    guard let unit = units[argument[number.endIndex...]], value * unit < 1e9, value * unit >= 0.001 else { return nil }
    duration = .milliseconds(Int64(value * unit * 1000))
  }
}

/// A point in time: RFC 3339, or milliseconds since 1970.
struct Timestamp: ExpressibleByArgument, Sendable {
  let milliseconds: Int64

  init?(argument: String) {
    if let milliseconds = Int64(argument) {
      guard milliseconds >= 0 else { return nil }
      self.milliseconds = milliseconds
      return
    }
    guard let milliseconds = RFC3339.milliseconds(argument), milliseconds >= 0 else { return nil }
    self.milliseconds = milliseconds
  }
}

/// `KEY[=VALUE]` of `-o`.
struct EndpointOption: ExpressibleByArgument, Sendable {
  let key: String
  let value: String

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let key = parts.first, !key.isEmpty else { return nil }
    self.key = String(key)
    value = parts.count > 1 ? String(parts[1]) : ""
  }
}

/// Arithmetic on numbers that come from outside: servers, arguments, file systems, jobs. What does not fit stays at the end of what does, as
/// a number that is absurd must not end the program.
extension FixedWidthInteger {
  /// The sum, or the least or greatest number instead.
  public func addingSaturated(_ other: Self) -> Self {
    let (sum, overflows) = addingReportingOverflow(other)
    return overflows ? (other < 0 ? .min : .max) : sum
  }

  /// The difference, or the least or greatest number instead.
  public func subtractingSaturated(_ other: Self) -> Self {
    let (difference, overflows) = subtractingReportingOverflow(other)
    return overflows ? (other < 0 ? .max : .min) : difference
  }

  /// The product, or the least or greatest number instead.
  public func multipliedSaturated(by other: Self) -> Self {
    let (product, overflows) = multipliedReportingOverflow(by: other)
    return overflows ? ((self < 0) == (other < 0) ? .max : .min) : product
  }

  /// The whole part, or the least or greatest number instead; 0 for what is no number.
  public init(saturating value: Double) {
    guard !value.isNaN else {
      self = 0
      return
    }
    self = Self(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
  }
}

extension Int64 {
  /// How many hundredths of `whole` this is, rounded down, 0 to 100; all of nothing is 100.
  public func percent(of whole: Int64) -> Int64 {
    guard whole > 0 else { return 100 }
    let part = UInt64(Swift.min(Swift.max(self, 0), whole)).multipliedFullWidth(by: 100)
    return Int64(UInt64(whole).dividingFullWidth(part).quotient)
  }
}

extension Duration {
  /// In nanoseconds, or the least or greatest number of them that there is.
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds.multipliedSaturated(by: 1_000_000_000).addingSaturated(attoseconds / 1_000_000_000)
  }
}

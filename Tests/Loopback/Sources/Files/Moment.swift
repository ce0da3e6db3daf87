/// A point in time, and how the answers write it.
struct Moment: Sendable {
  let seconds: Int
  let nanoseconds: Int

  init(_ time: timespec) {
    seconds = Int(time.tv_sec)
    nanoseconds = Int(time.tv_nsec)
  }

  init(milliseconds: Int64) {
    let (whole, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
    seconds = Int(rest < 0 ? whole - 1 : whole)
    nanoseconds = Int(rest < 0 ? rest + 1000 : rest) * 1_000_000
  }

  init(seconds: Int64) {
    self.seconds = Int(seconds)
    nanoseconds = 0
  }

  static var now: Moment {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Moment(time)
  }

  var systemTime: timespec {
    var time = timespec()
    time.tv_sec = time_t(seconds)
    time.tv_nsec = nanoseconds
    return time
  }

  /// Since 1970, as far as there is room for them.
  var milliseconds: Int64 {
    let (whole, overflows) = Int64(seconds).multipliedReportingOverflow(by: 1000)
    return overflows ? (seconds < 0 ? .min : .max) : whole + min(Int64(nanoseconds / 1_000_000), .max - max(whole, 0))
  }

  /// RFC 3339 as Go writes it: UTC, as many digits of the second as are needed.
  var rfc3339: String {
    var text = formatted("%Y-%m-%dT%H:%M:%S")
    if nanoseconds > 0 {
      var digits = String(nanoseconds)
      digits = String(repeating: "0", count: 9 - digits.count) + digits
      while digits.hasSuffix("0") { digits.removeLast() }
      text += "." + digits
    }
    return text + "Z"
  }

  /// For the Date header.
  var httpDate: String { formatted("%a, %d %b %Y %H:%M:%S GMT") }

  private func formatted(_ format: String) -> String {
    var clock = time_t(seconds)
    var parts = tm()
    gmtime_r(&clock, &parts)
    var text = [CChar](repeating: 0, count: 64)
    let length = strftime(&text, text.count, format, &parts)
    return String(decoding: text.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// Milliseconds as seconds, towards minus infinity: half a second before 1970 is in the second -1, as everywhere in the system.
public func wholeSeconds(_ milliseconds: Int64) -> Int64 {
  milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0)
}

/// Milliseconds since 1970.
public func millisecondsNow() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return milliseconds(of: time)
}

/// A time in milliseconds, rounded down; the nearest that there is for one that is out of reach: some file systems have room for it.
func milliseconds(of time: timespec) -> Int64 {
  let whole = Int64(time.tv_sec).multipliedReportingOverflow(by: 1000)
  guard !whole.overflow else { return time.tv_sec < 0 ? .min : .max }
  return whole.partialValue.addingSaturated(Int64(time.tv_nsec) / 1_000_000)
}

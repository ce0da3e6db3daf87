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

/// A time in milliseconds, rounded down; the last one that there is for those of some file systems, which have room for more years.
func milliseconds(of time: timespec) -> Int64 {
  Int64(time.tv_sec).multipliedSaturated(by: 1000).addingSaturated(Int64(time.tv_nsec) / 1_000_000)
}

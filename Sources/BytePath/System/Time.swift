/// Milliseconds as seconds, towards minus infinity: half a second before 1970 is in the second -1, as everywhere in the system.
public func wholeSeconds(_ milliseconds: Int64) -> Int64 {
  milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0)
}

/// Milliseconds since 1970.
public func millisecondsNow() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

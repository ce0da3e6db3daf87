import Testing

@testable import BytePath

@Suite("time")
struct TimeTests {
  @Test(
    "milliseconds become seconds towards minus infinity",
    arguments: [
      (0, 0), (999, 0), (1000, 1), (-1, -1), (-999, -1), (-1000, -1), (-1001, -2), (.max, 9_223_372_036_854_775),
      (.min, -9_223_372_036_854_776),
    ])
  func seconds(milliseconds: Int64, seconds: Int64) {
    #expect(wholeSeconds(milliseconds) == seconds)
  }

  @Test("a time that is out of reach is the nearest that there is", arguments: [(Int.max, Int64.max), (Int.min, .min), (0, 0), (-1, -1)])
  func far(seconds: Int, milliseconds: Int64) {
    var status = stat()
    status.st_mtim = timespec(tv_sec: seconds, tv_nsec: seconds == 0 ? 999_999 : 999_999_999)
    #expect(status.modifiedMilliseconds == milliseconds)
  }

  @Test(
    "nobody gets more of a file than before",
    arguments: mode_t(0)..<0o1000, [(true, false), (false, true), (false, false)])
  func access(before: mode_t, kept: (owner: Bool, group: Bool)) {
    let after = FileAccess.mode(before, keepsOwner: kept.owner, keepsGroup: kept.group)
    let (owner, group, others) = (before >> 6, before >> 3 & 7, before & 7)
    let (newGroup, newOthers) = (after >> 3 & 7, after & 7)
    // Whoever is in neither group, in the old one, in the new one; and the owner of before, who is one of them now.
    #expect(newOthers & ~others == 0)
    #expect(newGroup & ~group == 0)
    if !kept.group { #expect((newOthers & ~group) | (newGroup & ~others) == 0) }
    if !kept.owner { #expect((newOthers | newGroup) & ~owner == 0) }
    #expect(after >> 6 == owner)
  }
}

import BytePath
import Testing

@testable import Endpoints

@Suite("Retry-After")
struct RetryAfterTests {
  /// Sun, 06 Nov 1994 08:49:37 GMT.
  private let moment: Int64 = 784_111_777

  @Test(
    "seconds are taken as they are, a day at the most",
    arguments: [("0", 0), ("120", 120), ("86400", 86400), ("86401", 86400), ("99999999999999999999", 86400)])
  func seconds(text: String, wait: Int64) {
    #expect(HTTPAnswer.wait(text, date: nil, now: moment) == .seconds(wait))
  }

  @Test("a date is held against the server's own clock, else against this one")
  func date() {
    let text = "Sun, 06 Nov 1994 08:51:37 GMT"
    #expect(HTTPAnswer.wait(text, date: nil, now: moment) == .seconds(120))
    #expect(HTTPAnswer.wait(text, date: "Sun, 06 Nov 1994 08:51:00 GMT", now: moment) == .seconds(37))
    #expect(HTTPAnswer.wait(text, date: "yesterday", now: moment) == .seconds(120))
    #expect(HTTPAnswer.wait(text, date: nil, now: moment + 1000) == .zero)
    #expect(HTTPAnswer.wait("Sun, 06 Nov 2033 08:51:37 GMT", date: nil, now: moment) == .seconds(86400))
  }

  @Test("what is neither asks for nothing", arguments: ["", "-1", "1.5", "soon", "١٢", "Sunday, 06-Nov-94 08:49:37 GMT", "+5", "5s"])
  func neither(text: String) {
    #expect(HTTPAnswer.wait(text, date: nil, now: moment) == nil)
  }

  @Test("the header of an answer is read")
  func answer() {
    let headers = ["retry-after": "Sun, 06 Nov 1994 08:49:47 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"]
    let answer = HTTPAnswer(status: 503, headers: headers, body: [], isAfterWholeBody: true, url: "http://h/")
    #expect(answer.retryAfter == .seconds(10))
    #expect(answer.statusFailure("h")?.retryAfter == .seconds(10))
  }

  @Test(
    "dates of HTTP become seconds",
    arguments: [
      ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
      ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800), ("Thu, 31 Dec 2099 23:59:60 GMT", 4_102_444_800),
      ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
    ])
  func dates(text: String, seconds: Int64) {
    #expect(HTTPDate.seconds(text) == seconds)
  }

  @Test(
    "what is no such date is none",
    arguments: [
      "", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun  06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
      "Sun, 06 Nov 1994 +8:49:37 GMT",
    ])
  func noDates(text: String) {
    #expect(HTTPDate.seconds(text) == nil)
  }
}

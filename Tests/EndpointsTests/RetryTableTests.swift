import Testing

@testable import Endpoints

@Suite struct RetryTableTests {
  @Test func `statuses that may pass are those and no others`() {
    let passing = (100...599).filter { RetryTable.mayPass(status: $0) }
    #expect(passing == [408, 423, 425, 429] + (500...599).filter { ![501, 505, 507, 508, 511].contains($0) })
  }

  @Test(arguments: [
    (429, "too many requests", true), (500, "unexpected EOF", true), (500, "open x: no space left on device", false),
    (500, "failed to create temp file: no space left on device", true), (500, "a word that is not known", true),
    (403, "permission denied", false),
    (404, "page not found", false), (503, "", true),
  ])
  func `AList's codes and words`(_ code: Int64, _ message: String, _ mayPass: Bool) {
    #expect((RetryTable.verdict(of: code, message, in: AListCode.rules) == .mayPass) == mayPass)
  }

  @Test(arguments: [
    (-1, "in read-only mode", false), (-1, "write x: no space left on device", false), (-1, "unexpected EOF", true),
    (400, "path must not be empty", true), (400, "invalid path", false), (403, "forbidden", false), (500, "panic", true), (7, "", false),
  ])
  func `SiYuan's codes and words`(_ code: Int64, _ message: String, _ mayPass: Bool) {
    #expect((RetryTable.verdict(of: code, message, in: RetryTable.siYuan) == .mayPass) == mayPass)
  }
}

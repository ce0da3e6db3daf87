import BytePath
import Support
import Testing

@testable import Endpoints

/// Numbers that nobody means and somebody sends: none of them ends the program.
@Suite struct ExtremesTests {
  private static let edges: [Int64] = [
    .min, .min + 1, -1 << 62, -1 << 32, -1000, -1, 0, 1, 2, 999, 1 << 20, 1 << 31, 1 << 32, 1 << 53, 1 << 62, .max - 1, .max,
  ]

  /// An edge, one beside it, or any number.
  private func number(_ generator: inout SeededGenerator) -> Int64 {
    let edge = ExtremesTests.edges.randomElement(using: &generator) ?? 0
    switch Int.random(in: 0..<3, using: &generator) {
    case 0: return edge
    case 1: return edge &+ Int64.random(in: -3...3, using: &generator)
    default: return Int64.random(in: .min ... .max, using: &generator) >> Int64.random(in: 0..<63, using: &generator)
    }
  }

  @Test("sums, differences, products and hundredths stay within what there is")
  func arithmetic() {
    var generator = Fuzz.generator("arithmetic")
    for _ in 0..<Fuzz.cases(5000) {
      let (a, b) = (number(&generator), number(&generator))
      #expect(a.addingSaturated(b) == Int64(clamping: Int128(a) + Int128(b)), "seed \(Fuzz.seed): \(a) + \(b)")
      #expect(a.subtractingSaturated(b) == Int64(clamping: Int128(a) - Int128(b)), "seed \(Fuzz.seed): \(a) - \(b)")
      #expect(a.multipliedSaturated(by: b) == Int64(clamping: Int128(a) * Int128(b)), "seed \(Fuzz.seed): \(a) * \(b)")
      let part = b > 0 ? Int128(min(max(a, 0), b)) * 100 / Int128(b) : 100
      #expect(Int128(a.percent(of: b)) == part, "seed \(Fuzz.seed): \(a) of \(b)")
      let duration = Duration.seconds(a)
      #expect(duration.nanoseconds == Int64(clamping: Int128(a) * 1_000_000_000), "seed \(Fuzz.seed): \(a) s")
    }
    #expect(Int64(saturating: .nan) == 0 && Int64(saturating: .infinity) == .max && Int64(saturating: -1e300) == .min)
    #expect(Int64(saturating: -1.9) == -1 && Int64(saturating: 0x1p63) == .max && Int64(saturating: -0x1p63) == .min)
  }

  @Test("an object of any length is cut into parts that make it up")
  func parts() {
    var generator = Fuzz.generator("parts")
    for _ in 0..<Fuzz.cases(3000) {
      let length = max(0, number(&generator))
      let size = ["5M", "16M", "5G"].randomElement(using: &generator) ?? "5M"
      let plan = Result { try S3Options(["part-size": size]).plan(for: length) }
      guard case .success(let plan) = plan else {
        #expect(length > 10_000 * (5 << 30), "seed \(Fuzz.seed): \(length)")
        continue
      }
      let session = Session(id: "x", pieceSize: plan?.pieceSize ?? 5 << 30)
      let count = session.count(for: length)
      #expect(count <= 10_000, "seed \(Fuzz.seed): \(length)")
      for index in [0, 1, count / 2, count - 2] where (0..<count - 1).contains(index) {
        #expect(session.range(of: index, in: length).count == Int(session.pieceSize), "seed \(Fuzz.seed): \(length)")
        let next = session.range(of: index + 1, in: length)
        #expect(session.range(of: index, in: length).upperBound == next.lowerBound, "seed \(Fuzz.seed): \(length)")
      }
      #expect(session.range(of: count - 1, in: length).upperBound == length, "seed \(Fuzz.seed): \(length)")
      let body = HTTPBody(prefix: [1, 2], part: 0..<length, suffix: [3])
      #expect(body.length == length.addingSaturated(3), "seed \(Fuzz.seed): \(length)")
    }
  }

  @Test("a session of any numbers is none, or its chunks make the object up; those that are there are ranges")
  func sessions() {
    var generator = Fuzz.generator("sessions")
    for _ in 0..<Fuzz.cases(3000) {
      let length = max(1, number(&generator))
      let isSound = Bool.random(using: &generator)
      let size = isSound ? Int64.random(in: (1 << 20)...(1 << 30), using: &generator) : number(&generator)
      let chunks = isSound ? (length - 1) / size + 1 : number(&generator)
      let pairs = (0..<Int.random(in: 0...5, using: &generator)).map { _ in "[\(number(&generator)),\(number(&generator))]" }
      let text = """
        {"upload_id":"a","state":"receiving","chunk_size":\(size),"total_chunks":\(chunks),"received":[\(pairs.joined(separator: ","))],
        "storage_progress":\(number(&generator))}
        """
      guard let snapshot = AListSnapshot(JSONValue(parsing: Array(text.utf8)), length: length) else {
        #expect(!isSound, "seed \(Fuzz.seed): \(text)")
        continue
      }
      let count = snapshot.session.count(for: length)
      #expect(Int128(count) * Int128(snapshot.session.pieceSize) >= Int128(length), "seed \(Fuzz.seed): \(text)")
      var end = -1
      for range in snapshot.received {
        #expect(!range.isEmpty && range.lowerBound > end && range.upperBound <= count, "seed \(Fuzz.seed): \(text)")
        end = range.upperBound
      }
    }
  }

  @Test("the chunks that are there are those that the server names")
  func received() throws {
    var generator = Fuzz.generator("received")
    for _ in 0..<Fuzz.cases(500) {
      let chunks = Int.random(in: 1...30, using: &generator)
      let received = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
        let start = Int.random(in: 0..<chunks, using: &generator)
        return start...Int.random(in: start..<chunks, using: &generator)
      }
      let pairs = received.map { "[\($0.lowerBound),\($0.upperBound)]" }.joined(separator: ",")
      let text = #"{"upload_id":"a","state":"receiving","chunk_size":1048576,"total_chunks":\#(chunks),"received":[\#(pairs)]}"#
      let snapshot = try #require(AListSnapshot(JSONValue(parsing: Array(text.utf8)), length: Int64(chunks) << 20))
      let expected = (0..<chunks).filter { index in received.contains { $0.contains(index) } }
      #expect(snapshot.pieces(of: Int64(chunks) << 20).keys.sorted() == expected, "seed \(Fuzz.seed): \(text)")
    }
  }

  @Test("numbers in the answers of servers are read or are none")
  func answers() {
    var generator = Fuzz.generator("numbers in answers")
    for _ in 0..<Fuzz.cases(2000) {
      let (one, other) = (number(&generator), number(&generator))
      for text in ["\(one)", "\(one)\(other)", "1e\(one)", "\(one).\(other)", "0x\(one)", " \(one)"] {
        let headers = ["content-length": text, "retry-after": text, "date": text]
        let answer = HTTPAnswer(status: Int(truncatingIfNeeded: one), headers: headers, body: [], isAfterWholeBody: true, url: "http://h/")
        _ = answer.expectedLength
        if let wait = answer.retryAfter { #expect(wait >= .zero && wait <= .seconds(86400), "seed \(Fuzz.seed): \(text)") }
        #expect((answer.statusFailure("h") == nil) == (200..<300).contains(one), "seed \(Fuzz.seed): \(one)")
        let json = JSONValue(parsing: Array(#"{"n":\#(text)}"#.utf8))
        _ = (json?["n"]?.integer, json?["n"]?.number)
        let list =
          "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>\(text)</NextPartNumberMarker><Part><PartNumber>\(one)"
          + "</PartNumber><Size>\(text)</Size><ETag>e</ETag></Part></ListPartsResult>"
        _ = S3PartList(parsing: Array(list.utf8), hasDigests: true)
        _ = Multistatus(
          Array(
            ("<m:multistatus xmlns:m='DAV:'><m:response><m:propstat><m:status>HTTP/1.1 \(text) x</m:status><m:prop><m:getcontentlength>"
              + "\(text)</m:getcontentlength></m:prop></m:propstat></m:response></m:multistatus>").utf8))?.finding("/x")
        let plugin = Array("{\"progress\":\(text)}\n".utf8)
        let output = PluginOutput { #expect($0 >= 0) }
        _ = plugin.withUnsafeBytes { output.take($0) }
      }
      _ = RetryTable.verdict(of: one, "", in: AListCode.rules)
      _ = RetryTable.verdict(of: one, "", in: RetryTable.siYuan)
      #expect(RetryTable.mayPass(status: Int(truncatingIfNeeded: one)) == false || (400..<600).contains(one))
    }
  }

  @Test("times of any year are written or read in some way")
  func times() {
    var generator = Fuzz.generator("times")
    for _ in 0..<Fuzz.cases(2000) {
      let time = number(&generator)
      #expect(!SigningTime(milliseconds: time).stamp.isEmpty)
      #expect(Attributes(modified: time).s3Headers.count == 1)
      for text in ["\(time)-01-01T00:00:00Z", "2026-01-01T00:00:\(time)Z", "\(time)", "2026-01-31T12:00:00+\(time):00"] {
        _ = RFC3339.milliseconds(text)
        _ = HTTPDate.seconds("Sun, 06 Nov \(text) GMT")
      }
    }
  }

  @Test("credentials that end at any time are to be had")
  func credentials() async throws {
    for end in ExtremesTests.edges {
      for now in [Int64.min, 0, .max] {
        let cache = AWSCredentialCache(now: { now }) { () throws(Failure) in
          var made = try AWSCredentials(accessKey: "k", secret: "s", sessionToken: nil, origin: "a test")
          made.end = end
          return made
        }
        #expect(try await cache.current().accessKey == "k")
      }
    }
  }

  @Test("a pace of any rate has a delay for any number of bytes")
  func pace() {
    var generator = Fuzz.generator("pace")
    for _ in 0..<Fuzz.cases(1000) {
      var pace = Pace(bytesPerSecond: max(1, number(&generator)))
      #expect(pace.pieceSize > 0)
      for _ in 0..<3 { _ = pace.moment(of: Int(max(0, number(&generator)))) }
    }
  }
}

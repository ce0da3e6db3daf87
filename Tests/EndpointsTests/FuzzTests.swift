import BytePath
import Foundation
import Support
import Testing

@testable import Endpoints

/// Properties of what is read from users and servers, held against random and damaged texts.
@Suite struct FuzzTests {
  private static let pieces = [
    "alist+http://", "alist+https://", "siyuan+http://", "http://", "https://", "file:", "nas:", "/", "./", "../", "~/", "//", ":", "@",
    "user",
    "pass%40word", "[::1]", "127.0.0.1", ":5244", ":0", ":65536", ":-1", "%", "%2", "%2F", "%25", "%00", "%ff", "%c3%a9", "?", "#", "é",
    "数据",
    "😀", "e\u{301}", " ", "\\", "\"", "\n", "\u{7f}", "\u{202e}", "+", "..", ".", "a", "x.tar.gz", "\0", "host.example",
  ]

  @Test("whatever is given as a destination is one or is refused, and the path of one survives its way into a URL and back")
  func destinations() throws {
    var generator = Fuzz.generator("destinations")
    for _ in 0..<Fuzz.cases(5000) {
      let text = generator.text(of: FuzzTests.pieces, Int.random(in: 1...8, using: &generator))
      let destination: Destination
      do throws(Failure) { destination = try Destination(text) } catch {
        #expect(error.kind == .usage && !error.message.isEmpty, "seed \(Fuzz.seed): \(text.debugDescription)")
        continue
      }
      guard case .url(let type, let remote, let path) = destination else { continue }
      let base = try #require(remote.base)
      #expect(!base.host.isEmpty && !path.unicodeScalars.contains { $0.value < 0x20 }, "seed \(Fuzz.seed): \(text.debugDescription)")
      let scheme = try #require(type.kind.schemes.first { $0.isSecure == base.isSecure }?.name)
      let absolute = path.hasPrefix("/") ? path : "/" + path
      guard case .url(_, _, let again) = try Destination("\(scheme)://h\(URLText.encoded(absolute))") else {
        Issue.record("seed \(Fuzz.seed): \(text.debugDescription) is no URL when it is written again")
        continue
      }
      #expect(Array(again.utf8) == Array(absolute.utf8), "seed \(Fuzz.seed): \(text.debugDescription)")
    }
  }

  @Test("a password is in no text that is shown, whatever the URL is made of")
  func redaction() {
    var generator = Fuzz.generator("redaction")
    let secret = "s3cr3t"
    for _ in 0..<Fuzz.cases(3000) {
      let host = generator.text(of: ["h", ":5244", "[::1]", ".example"], 2)
      let path = generator.text(of: FuzzTests.pieces, Int.random(in: 0...4, using: &generator))
      let text = "alist+http://\(generator.text(of: ["u", "@", "%40", ":"], 2))u:\(secret)@\(host)/\(path)"
      #expect(!URLText.redacted(text).contains(secret), "seed \(Fuzz.seed): \(text.debugDescription)")
      do throws(Failure) { _ = try Destination(text) } catch {
        #expect(!error.message.contains(secret), "seed \(Fuzz.seed): \(error.message)")
      }
    }
  }

  @Test("a path of any characters decodes to itself by the rules of Go's PathUnescape")
  func encoding() {
    var generator = Fuzz.generator("encoding")
    for _ in 0..<Fuzz.cases(5000) {
      let path = String(
        String.UnicodeScalarView(
          (0..<Int.random(in: 0...12, using: &generator)).compactMap { _ in
            Unicode.Scalar(UInt32.random(in: 0...(Bool.random(using: &generator) ? 0x7f : 0x10ffff), using: &generator))
          }))
      let encoded = URLText.encoded(path)
      #expect(encoded.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "seed \(Fuzz.seed)")
      #expect(goPathUnescape(encoded) == Array(path.utf8), "seed \(Fuzz.seed): \(path.debugDescription)")
    }
  }

  /// net/url's `PathUnescape`: `%XX` is a byte, `+` is a plus, anything else is itself; nil for an escape that is none.
  private func goPathUnescape(_ text: String) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        result.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else { return nil }
      result.append(high << 4 | low)
    }
    return result
  }

  private func digit(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) } }

  @Test("a name of any characters stays within its quotes in a form")
  func formNames() {
    var generator = Fuzz.generator("form names")
    for _ in 0..<Fuzz.cases(3000) {
      let name = generator.text(of: ["a", "\"", "\r", "\n", "\r\n", "é", "😀", "--", ";", "filename=", "\\", "%22", "\u{0}"], 6)
      let escaped = Multipart.escaped(name)
      #expect(!escaped.utf8.contains { $0 == 0x22 || $0 == 0x0d || $0 == 0x0a }, "seed \(Fuzz.seed): \(name.debugDescription)")
    }
  }

  @Test("whatever bytes a server sends as XML are a tree or none, and what is a tree is not deeper than any answer")
  func xml() {
    var generator = Fuzz.generator("xml")
    let valid = Array(
      """
      <?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/a%20b</D:href><D:propstat><D:prop>
      <D:getcontentlength>12</D:getcontentlength><x:y xmlns:x="urn:x" z="&lt;">é &amp; <![CDATA[<raw>]]></x:y></D:prop>
      <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response><!-- end --></D:multistatus>
      """.utf8)
    #expect(XMLTree(parsing: valid)?.name == "multistatus")
    for _ in 0..<Fuzz.cases(5000) {
      let bytes = generator.mutated(valid)
      guard let tree = XMLTree(parsing: bytes) else { continue }
      #expect(!tree.name.isEmpty && depth(tree) <= 64, "seed \(Fuzz.seed): \(String(decoding: bytes, as: UTF8.self))")
    }
  }

  private func depth(_ tree: XMLTree) -> Int { 1 + (tree.children.map(depth).max() ?? 0) }

  @Test("whatever bytes a server sends as JSON are JSON or none, and what is shown of them is JSON on one line")
  func json() {
    var generator = Fuzz.generator("json")
    let valid =
      #"{"code":200,"message":"suc\u0063ess \n","data":{"task":{"id":"é","progress":1.5e2,"l":[true,null,-0,12345678901234567890]}}}"#
    let encodings = [String.Encoding.utf16, .utf16BigEndian, .utf32, .utf32LittleEndian].compactMap {
      valid.data(using: $0).map { [UInt8]($0) }
    }
    let bodies = [Array(valid.utf8), Array("\u{feff}\(valid)".utf8)] + encodings
    for _ in 0..<Fuzz.cases(5000) {
      var bytes = bodies.randomElement(using: &generator) ?? []
      // What a terminal or a reader of lines would obey, in and between the strings.
      if Bool.random(using: &generator) {
        let wild = ["\u{0}", "\n", "\r", "\u{1b}[2J", "\u{7f}", "\u{85}", "\u{9b}2J", "\u{2028}", "\u{202e}", "\u{2066}", "\u{feff}", ","]
        let piece = Array((wild.randomElement(using: &generator) ?? "").utf8)
        bytes.insert(contentsOf: piece, at: Int.random(in: 0...bytes.count, using: &generator))
      }
      if Bool.random(using: &generator) { bytes = generator.mutated(bytes) }
      let answer = HTTPAnswer(status: 200, headers: [:], body: bytes, isAfterWholeBody: true, url: "http://h/")
      let report = answer.report.text
      let text = "seed \(Fuzz.seed): \(report.debugDescription)"
      #expect(!report.unicodeScalars.contains { $0.isObeyed }, "\(text)")
      #expect(JSONValue(parsing: Array(report.utf8))?.isObject == true, "\(text)")
      // Another parser agrees that it is JSON.
      #expect((try? JSONSerialization.jsonObject(with: Data(report.utf8))) != nil, "\(text)")
      if let value = answer.json { #expect(JSONValue(parsing: Array(value.text.utf8)) == value, "\(text)") }
    }
  }

  @Test("a status and headers of any kind are a success only from 200 to 299, and no wait is longer than a day")
  func statuses() {
    var generator = Fuzz.generator("statuses")
    let values = ["", "0", "-1", "5", "86400", "86401", "99999999999999999999", "1e3", " 7", "Wed, 21 Oct 2026 07:28:00 GMT", "é", "\u{0}"]
    for _ in 0..<Fuzz.cases(3000) {
      let status = Int.random(in: 0...999, using: &generator)
      let headers = ["retry-after", "content-length", "location"].map { ($0, values.randomElement(using: &generator) ?? "") }
      let answer = HTTPAnswer(
        status: status, headers: Dictionary(uniqueKeysWithValues: headers), body: [], isAfterWholeBody: true, url: "http://h/")
      let failure = answer.statusFailure("h")
      #expect((failure == nil) == (200..<300).contains(status), "seed \(Fuzz.seed): \(status)")
      if let wait = answer.retryAfter { #expect(wait >= .zero && wait <= .seconds(86400), "seed \(Fuzz.seed): \(headers)") }
      if let location = answer.headers["location"] { _ = RedirectTarget(location, from: "https://h:1/x") }
    }
  }

  @Test("a redirect of any text leads to http or https on a host that is told, or nowhere")
  func redirects() {
    var generator = Fuzz.generator("redirects")
    let pieces = FuzzTests.pieces + ["HTTP://", "hTTps://", "ftp://", "javascript:", "//evil.example", "https:/", "?x", "user:pw@"]
    for _ in 0..<Fuzz.cases(5000) {
      let text = generator.text(of: pieces, Int.random(in: 1...5, using: &generator))
      guard let target = RedirectTarget(text, from: "https://good.example/dav/x") else { continue }
      #expect(target.url.hasPrefix("http://") || target.url.hasPrefix("https://"), "seed \(Fuzz.seed): \(text.debugDescription)")
      let host = target.origin
      #expect(host.hasPrefix("http"), "seed \(Fuzz.seed): \(text.debugDescription)")
      if host == "https://good.example" {
        let authority = target.url.dropFirst(8).prefix { !"/?#".contains($0) }
        let name = authority.split(separator: "@").last.map(String.init) ?? ""
        #expect(["good.example", "good.example:443"].contains(name.lowercased()), "seed \(Fuzz.seed): \(text.debugDescription)")
      }
    }
  }
}

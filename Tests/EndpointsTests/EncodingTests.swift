import BytePath
import Foundation
import Testing

@testable import Endpoints

@Suite("encodings")
struct EncodingTests {
  @Test("a redirect is compared by its scheme, however that is written")
  func redirect() {
    #expect(RedirectTarget("HTTP://other/x", from: "https://h/y")?.url == "http://other/x")
    #expect(RedirectTarget("/x", from: "https://h:1/y")?.url == "https://h:1/x")
    #expect(RedirectTarget("ftp://other/x", from: "https://h/y") == nil)
  }

  @Test("File-Path decodes to what was meant by the rules of Go's PathUnescape")
  func filePath() throws {
    var generator = SystemRandomNumberGenerator()
    let alphabet = Array("abcXYZ019 %+?#&=;:'\"!*()[]{}<>|~^`@$,._-/中文ñé🎉\u{301}")
    for _ in 0..<500 {
      let path = "/" + String((0..<Int.random(in: 1...40, using: &generator)).map { _ in alphabet.randomElement(using: &generator)! })
      let header = URLText.encoded(path)
      #expect(header.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "\(path)")
      #expect(pathUnescaped(header) == path, "\(path)")
    }
    #expect(URLText.encoded("/a b%c+d") == "/a%20b%25c%2Bd")
  }

  /// net/url.PathUnescape: `%XX` is a byte, `+` and all else stay.
  private func pathUnescaped(_ text: String) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: "%") {
        bytes.append(byte)
      } else {
        guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
        bytes.append(value)
        rest = rest.dropFirst(2)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  @Test("JSON is written with its control characters escaped")
  func jsonQuoting() {
    #expect(JSONValue.string("a\"b\\c\n\u{1b}[2J\u{7f}\u{9b}中").text == "\"a\\\"b\\\\c\\n\\u001b[2J\\u007f\\u009b中\"")
  }

  @Test("what terminals and readers of lines obey is escaped in JSON, and what people write is not")
  func jsonControls() {
    #expect(
      JSONValue.string("\u{0}\u{85}\u{61c}\u{200f}\u{2028}\u{202e}\u{2066}\u{feff}").text
        == #""\u0000\u0085\u061c\u200f\u2028\u202e\u2066\ufeff""#)
    #expect(JSONValue.string("é 👩‍🚀 नमस्ते سلام").text == "\"é 👩‍🚀 नमस्ते سلام\"")
  }

  @Test("JSON is printed as the value that was parsed: members in their order, numbers as they were written, the last of two of a name")
  func jsonValue() {
    let text =
      "\u{feff}{ \"b\" : [ 1.50, \"x \\\" y\\u007f\\ud83d\\ude00\\ud83d\" ,\n null ] , \"a\":12345678901234567890123, \"b\":-0e+2,\"\":{}}\n"
    #expect(JSONValue(parsing: Array(text.utf8))?.text == #"{"b":-0e+2,"a":12345678901234567890123,"":{}}"#)
    #expect(
      JSONValue(parsing: Array(#" [ 1.50, "x \" y\u007f\ud83d\ude00\ud83d\/" ] "#.utf8))?.text == "[1.50,\"x \\\" y\\u007f😀\u{fffd}/\"]")
    let numbers = JSONValue(parsing: Array("[200, 2e2, 200.0, 200.5, 1.5e-3, 9223372036854775807, 9223372036854775808, -0]".utf8))?.array
    #expect(numbers?.map(\.integer) == [200, 200, 200, nil, nil, .max, nil, 0])
    #expect(numbers?[4].number == 0.0015)
  }

  @Test(
    "what is nearly JSON is none",
    arguments: [
      "", " ", "{\"a\":1,}", "[1,]", "[,1]", "{,}", "{\"a\"}", "{a:1}", "{'a':1}", "01", "+1", "1.", ".5", "1e", "-", "0x1", "NaN",
      "Infinity", "1e400",
      "tru", "nul", "\"a", "\"a\nb\"", "\"a\tb\"", "\"\u{0}\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u+123\"", "[1] x", "[1]\u{0}", "/**/1",
      "1//",
      "\u{feff}\u{feff}1", "{\"a\":1 \"b\":2}", "\u{c}1", "\u{a0}1",
    ])
  func jsonNearly(text: String) {
    #expect(JSONValue(parsing: Array(text.utf8)) == nil)
  }

  @Test("other encodings than UTF-8 are no JSON, and what is shown of them is")
  func jsonEncodings() {
    let text = #"{"code":200,"message":"é"}"#
    for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf16BigEndian, .utf32, .utf32LittleEndian, .utf32BigEndian, .isoLatin1] {
      let bytes = [UInt8](text.data(using: encoding) ?? Data())
      #expect(!bytes.isEmpty && JSONValue(parsing: bytes) == nil, "\(encoding)")
      let answer = HTTPAnswer(status: 200, headers: [:], body: bytes, isAfterWholeBody: true, url: "http://h/")
      #expect(!answer.report.text.unicodeScalars.contains { $0.isObeyed }, "\(encoding)")
      #expect(answer.report["text"]?.string != nil, "\(encoding)")
    }
  }

  @Test("whatever bytes a server sends are JSON or are not, and nothing breaks")
  func jsonFuzz() {
    let seed = UInt64.random(in: 0 ... .max)
    var state = seed
    let valid = Array("{\"code\":200,\"message\":\"success\",\"data\":{\"task\":{\"id\":\"x\",\"progress\":1.5e2,\"l\":[true,null]}}}".utf8)
    for _ in 0..<3000 {
      var bytes = valid
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let index = Int(state >> 33) % bytes.count
        switch state % 3 {
        case 0: bytes[index] = UInt8(truncatingIfNeeded: state >> 40)
        case 1: bytes.remove(at: index)
        default: bytes.insert(UInt8(truncatingIfNeeded: state >> 50), at: index)
        }
      }
      if let value = JSONValue(parsing: bytes) {
        #expect(JSONValue(parsing: Array(value.text.utf8)) == value, "seed \(seed)")
      }
    }
    #expect(JSONValue(parsing: Array(repeating: UInt8(ascii: "["), count: 100_000)) == nil)
  }

  @Test("times in JSON have three decimals and no needless zeros")
  func seconds() {
    let times: JSONValue = [
      "a": JSONValue(seconds: .milliseconds(1234)), "b": JSONValue(seconds: .seconds(2)), "c": JSONValue(seconds: .milliseconds(50)),
    ]
    #expect(times.text == "{\"a\":1.234,\"b\":2.0,\"c\":0.05}")
  }

  @Test("a file name can't leave its quotes in a multipart header")
  func multipartName() {
    #expect(Multipart.escaped("a\"b\r\nc\u{d}d") == "a%22b%0Ac%0Ad")
  }

  @Test("a multipart body is as long as it says")
  func multipartLength() {
    var form = Multipart()
    form.addField("path", "data/中.md")
    let body = form.body()
    #expect(body.length == Int64(body.prefix.count))
    #expect(String(decoding: body.prefix, as: UTF8.self).hasSuffix("--\(form.boundary)--\r\n"))
  }

  @Test("only drives that take a file by its hash are sent one")
  func drives() {
    #expect(AListDrive(name: "Local").hashesThatHelp == [])
    #expect(AListDrive(name: nil).hashesThatHelp == [])
    #expect(AListDrive(name: "115 Cloud").hashesThatHelp == [.sha1])
    #expect(AListDrive(name: "Quark").hashesThatHelp == [.md5, .sha1])
  }
}

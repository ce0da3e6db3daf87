import BytePath
import Testing

@testable import sluice

@Suite("config file syntax")
struct YAMLTests {
  @Test("mappings, comments and quotes are read")
  func read() throws {
    let text = """
      # a comment
      ---
      remotes:
        nas:            # another
          type: alist
          url: https://nas.example:5244/alist   # not part of it
          token-file: '~/it''s here'
          username: "a \\"b\\"\\t\\\\"
        "quoted name":
          type: siyuan
        empty:
      """
    let expected: YAML.Node = .mapping([
      "remotes": .mapping([
        "nas": .mapping([
          "type": .scalar("alist"), "url": .scalar("https://nas.example:5244/alist"), "token-file": .scalar("~/it's here"),
          "username": .scalar("a \"b\"\t\\"),
        ]),
        "quoted name": .mapping(["type": .scalar("siyuan")]),
        "empty": .mapping([:]),
      ])
    ])
    #expect(try YAML.parse(text) == expected)
    #expect(try YAML.parse("") == .mapping([:]))
    #expect(try YAML.parse("a: b\r\nc: d\r\n") == .mapping(["a": .scalar("b"), "c": .scalar("d")]))
  }

  @Test(
    "what is not read is refused with its line",
    arguments: [
      ("a: b\n- c", 2), ("a: b\n  c: d", 2), ("a:\n    b: c\n  d: e", 3), ("a: [b]", 1), ("a: {b: c}", 1), ("a: &b c", 1), ("a: |\n  b", 1),
      ("\ta: b", 1), ("a", 1), ("a: \"b", 1), ("a: 'b' c", 1), ("a: b\na: c", 2), ("a: b: c", 1), ("a: \"\\x\"", 1), ("  a: b\nc: d", 2),
      ("a: b\n---\nc: d", 2), ("a:\n  ---", 2), ("!a: b", 1), ("*a: b", 1), ("a # b: c", 1),
      ("? \"a: b\"", 1), ("? a: b", 1),
    ])
  func refused(text: String, line: Int) {
    let error = #expect(throws: Failure.self) { try YAML.parse(text) }
    #expect(error?.kind == .config)
    #expect(error?.message.hasPrefix("line \(line): ") ?? false, "\(error?.message ?? "")")
  }

  @Test("whatever text is in a config file is read or refused, and nothing breaks")
  func fuzz() {
    let pieces = ["a", ":", " ", "\n", "  ", "\"", "'", "#", "-", "\t", "\\", "é", "b: c\n", "remotes:\n", "\r\n", "{"]
    let seed = UInt64.random(in: 0 ... .max)
    var state = seed
    for _ in 0..<5000 {
      var text = ""
      for _ in 0..<20 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += pieces[Int(state >> 33) % pieces.count]
      }
      do throws(Failure) {
        _ = try YAML.parse(text)
      } catch {
        #expect(error.kind == .config, "seed \(seed)")
      }
    }
  }
}

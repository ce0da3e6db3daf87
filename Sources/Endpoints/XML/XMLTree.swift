import CExpat

/// XML as servers answer with it: an element with what is in it. Names are without their namespaces, and attributes are left out: the answers
/// of S3 and WebDAV say nothing in them.
struct XMLTree: Sendable, Equatable {
  var name: String
  /// The text directly in it, without white space at its ends.
  var text = ""
  var children: [XMLTree] = []

  /// The first child of this name.
  subscript(name: String) -> XMLTree? { children.first { $0.name == name } }

  /// The children of this name.
  func all(_ name: String) -> [XMLTree] { children.filter { $0.name == name } }
}

extension XMLTree {
  /// Nil if the bytes are not one whole document, or one that is deeper than any answer.
  init?(parsing bytes: [UInt8]) {
    guard let parser = XML_ParserCreateNS(nil, CChar(UInt8(ascii: "\n"))) else { return nil }
    defer { XML_ParserFree(parser) }
    let builder = Builder(parser)
    XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
    XML_SetElementHandler(
      parser,
      { context, name, _ in
        guard let context, let name else { return }
        Builder.of(context).start(String(cString: name))
      },
      { context, _ in
        guard let context else { return }
        Builder.of(context).end()
      })
    XML_SetCharacterDataHandler(parser) { context, bytes, count in
      guard let context, let bytes else { return }
      let text = UnsafeRawBufferPointer(start: bytes, count: Int(count))
      Builder.of(context).add(String(decoding: text, as: UTF8.self))
    }
    let isWhole = bytes.withUnsafeBytes { buffer in
      XML_Parse(parser, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(buffer.count), 1) == XML_STATUS_OK
    }
    guard isWhole, let root = withExtendedLifetime(builder, { builder.root }) else { return nil }
    self = root
  }

  /// Builds the tree from what the parser meets, in the thread that parses.
  private final class Builder {
    private static let deepest = 64

    private let parser: XML_Parser
    private var open: [XMLTree] = []
    private(set) var root: XMLTree?

    init(_ parser: XML_Parser) { self.parser = parser }

    static func of(_ context: UnsafeMutableRawPointer) -> Builder { Unmanaged<Builder>.fromOpaque(context).takeUnretainedValue() }

    func start(_ qualified: String) {
      guard open.count < Builder.deepest else {
        XML_StopParser(parser, XML_Bool(XML_FALSE))
        return
      }
      // The parser puts the namespace before the name, and a line break, which neither can have, between them.
      open.append(XMLTree(name: qualified.split(separator: "\n").last.map(String.init) ?? qualified))
    }

    func add(_ text: String) {
      guard !open.isEmpty else { return }
      open[open.count - 1].text += text
    }

    func end() {
      guard var element = open.popLast() else { return }
      element.text = element.text.trimmingWhitespace
      if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
    }
  }
}

extension String {
  fileprivate var trimmingWhitespace: String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}

import Testing

@testable import Endpoints

@Suite struct XMLTests {
  private func tree(_ text: String) -> XMLTree? { XMLTree(parsing: Array(text.utf8)) }

  @Test func `an error of S3 is a tree without namespaces`() {
    let text = """
      <?xml version="1.0" encoding="UTF-8"?>
      <Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>NoSuchKey</Code><Message>a &lt;b&gt; ü</Message></Error>
      """
    #expect(tree(text)?.name == "Error")
    #expect(tree(text)?["Code"]?.text == "NoSuchKey")
    #expect(tree(text)?["Message"]?.text == "a <b> ü")
  }

  @Test func `prefixes do not matter, and children keep their order`() {
    let text = "<d:multistatus xmlns:d=\"DAV:\"><d:response>1</d:response><d:response>2</d:response></d:multistatus>"
    #expect(tree(text)?.all("response").map(\.text) == ["1", "2"])
  }

  @Test(arguments: ["", "<a>", "<a></b>", "no xml", "<a/><b/>", "<a>&unknown;</a>"])
  func `what is no document is nil`(_ text: String) {
    #expect(tree(text) == nil)
  }

  @Test func `a document deeper than any answer is nil`() {
    let depth = 10_000
    #expect(tree(String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)) == nil)
    #expect(tree(String(repeating: "<a>", count: 60) + String(repeating: "</a>", count: 60)) != nil)
  }

  /// "Billion laughs": entities that grow by a factor of ten each.
  @Test func `entities that explode are nil`() {
    let entities = (1...12).map { "<!ENTITY e\($0) \"\(String(repeating: "&e\($0 - 1);", count: 10))\">" }.joined()
    #expect(tree("<!DOCTYPE a [<!ENTITY e0 \"0123456789\">\(entities)]><a>&e12;</a>") == nil)
  }
}

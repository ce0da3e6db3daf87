import BytePath
import Testing

@testable import Endpoints

@Suite("answers to PROPFIND")
struct WebDAVTests {
  private func read(_ text: String) -> Finding? { Multistatus(Array(text.utf8))?.finding("/x") }

  @Test("a file, as Apache tells it: what it does not know stands in a propstat of its own")
  func file() {
    let found = read(
      """
      <?xml version="1.0" encoding="utf-8"?>
      <D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:"><D:response xmlns:lp1="DAV:"><D:href>/a%20b</D:href>
      <D:propstat><D:prop><lp1:resourcetype/><lp1:getcontentlength>12</lp1:getcontentlength></D:prop>
      <D:status>HTTP/1.1 200 OK</D:status></D:propstat>
      <D:propstat><D:prop><g1:checksums xmlns:g1="http://owncloud.org/ns"/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
      </D:response></D:multistatus>
      """)
    var expected = Stored("/x", size: 12)
    expected.isYoung = true
    #expect(found?.stored == expected)
  }

  @Test("a folder")
  func folder() {
    let found = read(
      """
      <multistatus xmlns="DAV:"><response><href>/d/</href><propstat><status>HTTP/1.1 200 OK</status>
      <prop><resourcetype><collection/></resourcetype></prop></propstat></response></multistatus>
      """)
    #expect(found?.stored == Stored("/x", isDirectory: true))
  }

  @Test("the checksums of a Nextcloud, those that are some")
  func checksum() {
    let found = read(
      """
      <d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:response><d:propstat><d:prop><d:resourcetype/>
      <d:getcontentlength>3</d:getcontentlength><oc:checksums><oc:checksum>MD5:ab SHA1:A9993E364706816ABA3E25717850C26C9CD0D89D ADLER32:1</oc:checksum></oc:checksums>
      </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>
      """)
    var expected = Stored("/x", size: 3)
    expected.checksums[.sha1] = Checksum(.sha1, of: Array("abc".utf8))
    expected.isYoung = true
    #expect(found?.stored == expected)
  }

  @Test("the time and the tag: one that is weak is the same one")
  func version() {
    let text = { (tag: String) in
      """
      <D:multistatus xmlns:D="DAV:"><D:response><D:propstat><D:prop><D:resourcetype/>\(tag)
      <D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified></D:prop></D:propstat></D:response></D:multistatus>
      """
    }
    for tag in [#"W/"a-1""#, #""a-1""#] {
      let found = read(text("<D:getetag>\(tag)</D:getetag>"))?.stored
      #expect(found?.version == "\"a-1\"\nSun, 06 Nov 1994 08:49:37 GMT\n")
      #expect(found?.modified == 784_111_777_000)
    }
    #expect(read(text(""))?.stored?.version == "\nSun, 06 Nov 1994 08:49:37 GMT\n")
  }

  @Test("a directory lists what is in it, whatever its address is to the server", arguments: ["", "http://h:81", "/behind/a/proxy"])
  func list(prefix: String) throws {
    let entry = { (path: String, kind: String) in
      "<D:response><D:href>\(prefix)\(path)</D:href><D:propstat><D:prop>\(kind)</D:prop></D:propstat></D:response>"
    }
    let (folder, file) = ("<D:resourcetype><D:collection/></D:resourcetype>", "<D:resourcetype/><D:getcontentlength>5</D:getcontentlength>")
    let body =
      "<D:multistatus xmlns:D='DAV:'>" + entry("/a/d/", folder) + entry("/a/d/d/", folder) + entry("/a/d/100%25", file)
    let gone = "<D:response><D:href>\(prefix)/a/d/gone</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"
    let hidden =
      "<D:response><D:href>\(prefix)/a/d/hidden</D:href><D:propstat><D:status>HTTP/1.1 403 Forbidden</D:status></D:propstat></D:response>"
    let told = try #require(Multistatus(Array("\(body)\(gone)\(hidden)</D:multistatus>".utf8)))
    #expect(told.finding("/d")?.stored?.isDirectory == true)
    #expect(told.entries(of: "/d")?.map(\.path) == ["/d/d", "/d/100%", "/d/hidden"])
    #expect(told.entries(of: "/d")?.map(\.size) == [nil, 5, nil])
    #expect(told.entries(of: "/d")?.map(\.isDirectory) == [true, false, nil])
    for path in ["/a/d/a%20b%2Fc", "/a/d/%zz", "/a/d/..", "/a/other", nil] {
      let other = path.map { entry($0, file) } ?? "<D:response/>"
      let unread = Multistatus(Array("\(body)\(other)</D:multistatus>".utf8))
      #expect(unread?.entries(of: "/d") == nil, "\(other)")
    }
  }

  @Test("a 404 inside means that nothing is there")
  func missing() {
    let found = read("<D:multistatus xmlns:D='DAV:'><D:response><D:status>HTTP/1.1 404 Not Found</D:status></D:response></D:multistatus>")
    #expect(found?.isNothing == true)
  }

  @Test(
    "anything else is no answer",
    arguments: ["", "<html/>", "<D:multistatus xmlns:D='DAV:'/>", "{}", "<multistatus><response/></multistatus>"])
  func others(text: String) {
    #expect(read(text) == nil && Multistatus(Array(text.utf8))?.entries(of: "/") ?? [] == [])
  }
}

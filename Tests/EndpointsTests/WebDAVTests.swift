import BytePath
import Testing

@testable import Endpoints

@Suite("answers to PROPFIND")
struct WebDAVTests {
  private func read(_ text: String) -> WebDAVResource?? { WebDAVResource.reading(Array(text.utf8)) }

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
    #expect(found == .some(.some(WebDAVResource(isCollection: false, size: 12))))
  }

  @Test("a folder")
  func folder() {
    let found = read(
      """
      <multistatus xmlns="DAV:"><response><href>/d/</href><propstat><status>HTTP/1.1 200 OK</status>
      <prop><resourcetype><collection/></resourcetype></prop></propstat></response></multistatus>
      """)
    #expect(found == .some(.some(WebDAVResource(isCollection: true))))
  }

  @Test("the SHA-1 of a Nextcloud")
  func checksum() {
    let found = read(
      """
      <d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:response><d:propstat><d:prop><d:resourcetype/>
      <d:getcontentlength>3</d:getcontentlength><oc:checksums><oc:checksum>MD5:ab SHA1:A9993E364706816ABA3E25717850C26C9CD0D89D ADLER32:1</oc:checksum></oc:checksums>
      </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>
      """)
    #expect(found == .some(.some(WebDAVResource(isCollection: false, size: 3, sha1: Checksum(.sha1, of: Array("abc".utf8))))))
  }

  @Test("a 404 inside means that nothing is there")
  func missing() {
    let found = read("<D:multistatus xmlns:D='DAV:'><D:response><D:status>HTTP/1.1 404 Not Found</D:status></D:response></D:multistatus>")
    #expect(found == .some(nil))
  }

  @Test(
    "anything else is no answer",
    arguments: ["", "<html/>", "<D:multistatus xmlns:D='DAV:'/>", "{}", "<multistatus><response/></multistatus>"])
  func others(text: String) {
    #expect(read(text) == nil)
  }
}

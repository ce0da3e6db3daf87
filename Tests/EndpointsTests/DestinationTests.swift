import BytePath
import Testing

@testable import Endpoints

@Suite("destinations")
struct DestinationTests {
  @Test(
    "URLs are read, and their paths decoded once",
    arguments: [
      ("alist+http://h/a/b.gz", "http://h", "/a/b.gz"),
      ("alist://h:5244/a%20b%25%2B%3F%23", "https://h:5244", "/a b%+?#"),
      ("alist+https://u:p%40ss@[::1]:8443/x", "https://[::1]:8443", "/x"),
      ("siyuan+http://127.0.0.1:6806/data/%E4%B8%AD.md", "http://127.0.0.1:6806", "/data/中.md"),
      ("alist+http://h/a%2520b?c#d", "http://h", "/a%20b?c#d"),
    ])
  func urls(text: String, origin: String, path: String) throws {
    guard case .url(_, let remote, let decoded) = try Destination(text) else {
      Issue.record("\(text) is no URL")
      return
    }
    #expect(remote.base?.origin == origin)
    #expect(decoded == path)
  }

  @Test(
    "what can't be a destination is a usage error",
    arguments: [
      "backup.gz", "alist+http://", "alist+http:///x", "alist+http://h:0/x", "alist+http://h:99999/x",
      "alist+http://h/100%", "gopher://h/x", "alist+http://h/%zz", "alist+http://h/a%0Ab", "alist+http://h/%FF", "alist+http://h\u{7}/x",
      "alist+http://h/%+1", "",
    ])
  func refused(text: String) {
    let error = #expect(throws: Failure.self) { try Destination(text) }
    #expect(error?.kind == .usage)
  }

  @Test("bare paths and file: are files, other names remotes with a literal path")
  func others() throws {
    for (text, path) in [("/a b", "/a b"), ("./x", "./x"), ("../x", "../x"), ("file:x%20y", "x%20y"), ("file:/a:b", "/a:b")] {
      guard case .file(let found) = try Destination(text) else {
        Issue.record("\(text) is no file")
        continue
      }
      #expect(found == path)
    }
    guard case .named("nas", let path) = try Destination("nas:/100% a.gz") else {
      Issue.record("nas: is no remote")
      return
    }
    #expect(path == "/100% a.gz")
  }

  @Test("a password in a URL is not shown")
  func redacted() {
    #expect(URLText.redacted("alist+http://me:secret@h/a@b") == "alist+http://me@h/a@b")
    #expect(URLText.redacted("alist+http://h/a:b@c") == "alist+http://h/a:b@c")
    #expect(URLText.redacted("./me:secret@h") == "./me:secret@h")
    #expect(URLText.redacted("http://me:s3/cr@et@h/x") == "http://me@h/x")
    #expect(URLText.redacted("http://h:80/a@b") == "http://h:80/a@b")
    #expect(URLText.redacted("http://[::1]:80/a@b") == "http://[::1]:80/a@b")
  }

  @Test("a token in the place of a user name is not shown, nor the query of a redirect's target")
  func tokens() {
    #expect(URLText.redactedWhole("https://TOKEN@h/a@b") == "https://*@h/a@b")
    #expect(URLText.redactedWhole("https://me:secret@h/x") == "https://me@h/x")
    #expect(URLText.redactedWhole("https://h/a@b") == "https://h/a@b")
    #expect(URLText.redactedTarget("https://TOKEN@h/x?signature=abc") == "https://*@h/x?…")
    #expect(URLText.redactedTarget("/x?signature=a@b#c") == "/x?…")
    #expect(URLText.redactedTarget("https://h/x") == "https://h/x")
  }

  @Test("a slash in a password is told of, without the password", arguments: ["http://u:s3/cr3t@h/x", "http://u:/cr3t@h/x"])
  func slashInPassword(text: String) {
    let error = #expect(throws: Failure.self) { try Destination(text) }
    #expect(error?.kind == .usage)
    #expect(error?.hint?.contains("%2F") == true)
    #expect(error?.message.contains("cr3t") == false)
  }

  @Test(
    "an @ in a path is no sign of a password", arguments: ["http://h/a@b", "http://h:80/a@b", "http://[::1]:80/a@b", "http://u:p@h/a@b"])
  func atInPath(text: String) {
    #expect(throws: Never.self) { try Destination(text) }
  }

  @Test("a redirect's target is read as a browser would")
  func redirects() {
    let from = "https://h:8443/alist/api/fs/put"
    #expect(RedirectTarget("/x", from: from)?.url == "https://h:8443/x")
    #expect(RedirectTarget("//other/x", from: from)?.origin == "https://other")
    #expect(RedirectTarget("http://h:8443/x", from: from)?.origin == "http://h:8443")
    #expect(RedirectTarget("ftp://h/x", from: from) == nil)
    #expect(RedirectTarget("", from: from) == nil)
  }

  @Test(
    "NO_PROXY exempts hosts and what is below a domain",
    arguments: [
      ("*", true), ("h.example", true), ("example", true), (".example", true), ("ample", false), ("h.example:5244", true),
      ("h.example:80", false), ("other, h.example", true), ("", false),
    ])
  func noProxy(list: String, exempts: Bool) {
    #expect(ProxySetting.exempts(list, BaseURL(isSecure: false, host: "h.example", port: 5244)) == exempts)
  }

  @Test(
    "NO_PROXY exempts the addresses of a network, and no name",
    arguments: [
      ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.0/23", "10.1.3.255", true),
      ("10.1.2.0/23", "10.1.4.0", false), ("10.1.2.3", "10.1.2.3", true), ("1.2.3", "10.1.2.3", false), ("0.0.0.0/0", "10.1.2.3", true),
      ("10.0.0.0/33", "10.0.0.0", false), ("10.0.0.0/", "10.0.0.0", false), ("10.0.0.0/-1", "10.0.0.0", false),
      ("fe80::/10", "fe80::1", true), ("fd00::/8", "fe80::1", false), ("::/0", "10.0.0.1", false), ("[::1]", "0:0::1", true),
    ])
  func noProxyNetwork(list: String, host: String, exempts: Bool) {
    #expect(ProxySetting.exempts(list, BaseURL(isSecure: false, host: host)) == exempts)
  }

  @Test("a zone is no part of the host that a server is told", arguments: ["%25eth0", "%eth0"])
  func zone(text: String) throws {
    let base = try BaseURL("https://[fe80::1\(text)]:8443/alist")
    #expect(base.host == "fe80::1")
    #expect(base.zone == "eth0")
    #expect(base.origin == "https://[fe80::1]:8443")
    #expect(throws: Failure.self) { try BaseURL("https://[fe80::1%]/") }
    #expect(throws: Failure.self) { try BaseURL("https://[fe80::1%25a/b]/") }
  }
}

import BytePath
import Testing

@testable import Endpoints

@Suite("Digest (RFC 7616)")
struct DigestTests {
  /// The challenge of RFC 7616, 3.9.1, as two headers are when they are joined.
  private static let both = """
    Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", \
    opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, \
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    """

  @Test("the strongest challenge is answered, with the response of the RFC's example")
  func sha256() throws {
    let challenge = try #require(DigestChallenge.strongest(of: DigestTests.both))
    #expect(challenge.algorithm == .sha256)
    var session = DigestSession(challenge, clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    let header = session.authorization(username: "Mufasa", password: "Circle of Life", method: "GET", target: "/dir/index.html")
    #expect(
      header == """
        Digest username="Mufasa", realm="http-auth@example.org", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", \
        uri="/dir/index.html", response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", algorithm=SHA-256, qop=auth, \
        nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
        """)
  }

  @Test("MD5 where there is nothing better, as in the RFC's example")
  func md5() throws {
    let alone = DigestTests.both.replacing("SHA-256", with: "SHA-512-256")
    let challenge = try #require(DigestChallenge.strongest(of: alone))
    #expect(challenge.algorithm == .md5)
    var session = DigestSession(challenge, clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    let header = session.authorization(username: "Mufasa", password: "Circle of Life", method: "GET", target: "/dir/index.html")
    #expect(header.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""))
  }

  @Test("a challenge that names no algorithm means MD5, as in RFC 2617, 3.5")
  func unnamed() throws {
    let challenge = try #require(
      DigestChallenge.strongest(
        of: """
          Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", \
          opaque="5ccc069c403ebaf9f0171e9517f40e41"
          """))
    var session = DigestSession(challenge, clientNonce: "0a4f113b")
    let header = session.authorization(username: "Mufasa", password: "Circle Of Life", method: "GET", target: "/dir/index.html")
    #expect(header.contains("response=\"6629fae49393a05397450978507c4ef1\""))
  }

  @Test("each answer counts the nonce up, and without qop nothing is counted")
  func count() throws {
    var session = DigestSession(try #require(DigestChallenge.strongest(of: DigestTests.both)), clientNonce: "c")
    let first = session.authorization(username: "u", password: "p", method: "PUT", target: "/x")
    let second = session.authorization(username: "u", password: "p", method: "PUT", target: "/x")
    #expect(first.contains("nc=00000001"))
    #expect(second.contains("nc=00000002"))
    let response = try #require(first.firstMatch(of: /response="([0-9a-f]+)"/)?.output.1)
    #expect(!second.contains(response))
    var old = DigestSession(try #require(DigestChallenge.strongest(of: #"Digest realm="r", nonce="n""#)), clientNonce: "c")
    let header = old.authorization(username: "u", password: "p", method: "GET", target: "/x")
    #expect(!header.contains("nc=") && !header.contains("cnonce") && !header.contains("qop"))
    let response2069 = md5([md5("u:r:p"), "n", md5("GET:/x")].joined(separator: ":"))
    #expect(header.contains("response=\"\(response2069)\""))
  }

  @Test("-sess makes its key of the nonces")
  func session() throws {
    let header = #"Digest realm="r", nonce="n", qop="auth", algorithm=md5-sess, stale=TRUE"#
    let challenge = try #require(DigestChallenge.strongest(of: header))
    #expect(challenge.isStale)
    var session = DigestSession(challenge, clientNonce: "c")
    let answer = session.authorization(username: "u", password: "p", method: "GET", target: "/x")
    let key = md5(md5("u:r:p") + ":n:c")
    let response = md5([key, "n:00000001:c:auth", md5("GET:/x")].joined(separator: ":"))
    #expect(answer.contains("response=\"\(response)\""))
  }

  @Test("quotes and backslashes are escaped in the header, and the user name is hashed where the server wants it")
  func quoting() throws {
    let challenge = try #require(DigestChallenge.strongest(of: #"Digest realm="a \"b\"", nonce="n", qop=auth, userhash=true"#))
    #expect(challenge.realm == "a \"b\"")
    var session = DigestSession(challenge, clientNonce: "c")
    let answer = session.authorization(username: "u\\", password: "p", method: "GET", target: "/x")
    #expect(answer.contains(#"realm="a \"b\"""#))
    let user = md5(#"u\:a "b""#)
    #expect(answer.contains("username=\"\(user)\""))
    #expect(answer.contains("userhash=true"))
  }

  @Test(
    "what cannot be answered is no challenge",
    arguments: [
      "", "Basic realm=\"x\"", "Negotiate", "NTLM, Basic realm=\"Digest realm=x, nonce=y\"", "Digest realm=\"x\"",
      "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"", "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256", "Digest", "=", ",,,",
    ])
  func none(header: String) {
    #expect(DigestChallenge.strongest(of: header) == nil)
  }

  @Test("challenges are told apart although commas are between their parameters as well")
  func parsing() {
    let found = AuthenticationChallenge.parse(
      "Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\" , Negotiate YWJj==, Bearer")
    #expect(found.map(\.scheme).filter { $0 != "ywjj" } == ["newauth", "basic", "negotiate", "bearer"])
    #expect(found.first?["title"] == "Login to \"apps\"")
    #expect(found.first?["type"] == "1")
    #expect(found.dropFirst().first?["realm"] == "simple")
  }

  private func md5(_ text: String) -> String { DigestChallenge.Algorithm.md5.hash(text) }
}

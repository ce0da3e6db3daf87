import Testing

@testable import Endpoints

@Suite("the netrc file")
struct NetrcFileTests {
  @Test("entries are read as curl and ftp read them")
  func entries() {
    let netrc = Netrc(
      parsing: """
        # machine commented login no password no
        machine one.example login me password p#1
        machine Two.example
          login "with blank"
          password "say \\"hi\\"\\\\"
          account none
        machine three.example login a password first  # a remark
        machine three.example login b password second
        macdef init
        machine macro.example login evil password evil

        machine nouser.example password only
        default login anonymous password guest\r\n
        """)
    #expect(netrc.entry(for: "one.example") == Netrc.Entry(machine: "one.example", login: "me", password: "p#1"))
    #expect(netrc.entry(for: "two.EXAMPLE")?.login == "with blank")
    #expect(netrc.entry(for: "two.example")?.password == "say \"hi\"\\")
    #expect(netrc.entry(for: "three.example")?.password == "first")
    #expect(netrc.entry(for: "three.example", login: "b")?.password == "second")
    for other in ["commented", "macro.example", "nouser.example", "else.example"] {
      #expect(netrc.entry(for: other) == Netrc.Entry(machine: nil, login: "anonymous", password: "guest"), "\(other)")
    }
    #expect(netrc.entry(for: "else.example", login: "x") == nil)
  }

  @Test(
    "whatever stands there, there is no entry without a server",
    arguments: ["", "login x password y", "machine", "machine h login", "\"", "password"])
  func odd(text: String) {
    #expect(Netrc(parsing: text).entry(for: "h") == nil)
  }
}

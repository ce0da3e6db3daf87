import BytePath
import Endpoints
import Support
import Testing

@testable import sluice

@Suite("proofs of what is read back", .sandboxed)
struct ProofTests {
  private static let one = Checksum(.sha256, of: Array("1".utf8))
  private static let two = Checksum(.sha256, of: Array("2".utf8))

  private func word(_ source: Proof.Source, size: Int64? = nil, _ checksum: Checksum? = nil) -> Proof.Word {
    Proof.Word(source: source, speaker: "\(source)", size: size, checksum: checksum)
  }

  @Test("the best word is a hash of the most trusted speaker, and every other word must fit too")
  func precedence() throws {
    var proof = Proof()
    #expect(proof.verified == nil && !proof.isHash && proof.size == nil)
    var stored = Stored("/a", size: 1)
    proof.add(stored)
    #expect(proof.verified == "size" && proof.size == 1)
    #expect(throws: Failure.self) { try proof.requireHash(of: "a") }
    // A receipt without a hash is no more than a size.
    proof.add(word(.receipt, size: 1))
    #expect(proof.verified == "size" && !proof.isHash)
    stored.checksums = [.md5: Checksum(.md5, of: Array("1".utf8)), .sha256: ProofTests.one]
    proof.add(stored)
    #expect(proof.verified == "checksum" && proof.hashes == [.sha256])
    proof.add(word(.sum, ProofTests.one))
    #expect(proof.verified == "sum")
    proof.add(word(.manifest, size: 1, ProofTests.one))
    #expect(proof.verified == "manifest")
    proof.add(given: ProofTests.one)
    #expect(proof.verified == "sha256")
    try proof.requireHash(of: "a")
    let right = [ProofTests.one, Checksum(.md5, of: Array("1".utf8))]
    try proof.check("a", length: 1, digests: right)
    #expect(throws: Failure.self) { try proof.check("a", length: 2, digests: right) }
    #expect(throws: Failure.self) { try proof.check("a", length: 1, digests: [ProofTests.two, right[1]]) }
    // What is not known is not right.
    #expect(throws: Failure.self) { try proof.check("a", length: 1, digests: [right[1]]) }
    // The strongest fits, and the server says another size.
    proof.add(Stored("/a", size: 7))
    let failure = #expect(throws: Failure.self) { try proof.check("a", length: 1, digests: right) }
    #expect(failure?.kind == .input && failure?.message == "a is not what was stored: it has 1 bytes, and 7 by the server")
  }

  @Test("what comes out is compared where everything that put did is undone")
  func output() throws {
    let gzip = try ReceiptFile(
      parsing: Array(ProofTests.line("./a", gzip: true, input: ProofTests.two).utf8), name: "r")
    let filtered = try ReceiptFile(parsing: Array(ProofTests.line("./a", input: ProofTests.two).utf8), name: "r")
    let plain = try ReceiptFile(parsing: Array(ProofTests.line("./a").utf8), name: "r")
    func proof(_ file: ReceiptFile) throws -> Proof {
      var proof = Proof()
      proof.add(try file.entry(for: "./a", endpoint: "file", path: "./a").entry, of: file)
      return proof
    }
    #expect(try proof(gzip).expectsInput(gunzips: true, filters: 0) != nil)
    #expect(try proof(gzip).expectsInput(gunzips: false, filters: 1) == nil)
    #expect(try proof(filtered).expectsInput(gunzips: false, filters: 1) != nil)
    #expect(try proof(filtered).expectsInput(gunzips: true, filters: 0) != nil)
    #expect(try proof(filtered).expectsInput(gunzips: false, filters: 0) == nil)
    #expect(try proof(plain).expectsInput(gunzips: true, filters: 1) == nil)
    let expected = try #require(try proof(gzip).expectsInput(gunzips: true, filters: 0))
    try expected.check("a", length: 9, sha256: ProofTests.two)
    #expect(throws: Failure.self) { try expected.check("a", length: 8, sha256: ProofTests.two) }
    #expect(throws: Failure.self) { try expected.check("a", length: 9, sha256: ProofTests.one) }
  }

  @Test("--sha256 takes 64 digits of either case")
  func option() throws {
    #expect(try sha256Argument(ProofTests.one.hex.uppercased()) == ProofTests.one)
    for text in ["", "abc", ProofTests.one.hex + "0", String(ProofTests.one.hex.dropLast()) + "g"] {
      #expect(throws: (any Error).self) { try sha256Argument(text) }
    }
  }
}

/// Receipts.
extension ProofTests {
  private static func line(
    _ destination: String, ok: Bool = true, path: String? = nil, bytes: Int = 1, _ sha256: Checksum? = one, gzip: Bool = false,
    input: Checksum? = nil, more: String = ""
  ) -> String {
    let hash = sha256.map { #","sha256":"\#($0.hex)""# } ?? ""
    let before = input.map { #","input_sha256":"\#($0.hex)""# } ?? ""
    return #"{"ok":\#(ok),"destination":"\#(destination)","endpoint":"file","path":"\#(path ?? destination)","input_bytes":9,"#
      + #""bytes":\#(bytes),"gzip":\#(gzip)\#(hash)\#(before),"attempts":1,"elapsed_s":0.1\#(more)}"# + "\n"
  }

  private func receipt(_ text: String) throws -> ReceiptFile { try ReceiptFile(parsing: Array(text.utf8), name: "r.json") }

  @Test("the line of the object is found: by its destination, by its path, and as a copy of another name")
  func lines() throws {
    let log = try receipt(
      ProofTests.line("nas:/a", path: "/a", bytes: 1) + "\n" + ProofTests.line("nas:/b", path: "/b", bytes: 2, ProofTests.two)
        + ProofTests.line("nas:/a", path: "/a", bytes: 3, more: #","parts":4"#) + ProofTests.line("nas:/a", ok: false, bytes: 7)
        + ProofTests.line("nas:/a", bytes: 8, more: #","superseded":true"#) + ProofTests.line("nas:/a", bytes: 9, more: #","dry_run":true"#)
        + #"{"ok":true,"destination":"nas:/dir","endpoint":"file","path":"/dir","attempts":1,"elapsed_s":0.1}"# + "\r\n")
    // Of several runs the last one counts.
    #expect(try log.entry(for: "nas:/a", endpoint: "dav", path: "/x").entry.bytes == 3)
    #expect(try log.entry(for: "nas:/a", endpoint: "dav", path: "/x").entry.parts == 4)
    #expect(try log.entry(for: "https://h/b", endpoint: "file", path: "/b").entry.sha256 == ProofTests.two)
    for (text, path) in [("nas:/c", "/c"), ("dav://h/a", "/a")] {
      let failure = #expect(throws: Failure.self) { try log.entry(for: text, endpoint: "dav", path: path) }
      #expect(failure?.kind == .config)
    }
    // A copy of another name is the same object, if all lines are of one.
    let copies = try receipt(ProofTests.line("./a") + ProofTests.line("./b"))
    let found = try copies.entry(for: "nas:/c", endpoint: "dav", path: "/c")
    #expect(found.otherName == "./b" && found.entry.sha256 == ProofTests.one)
    #expect(try copies.entry(for: "./a", endpoint: "file", path: "./a").otherName == nil)
    // A size alone proves nothing of another name.
    let sizes = try receipt(ProofTests.line("./a", nil))
    #expect(try sizes.entry(for: "./a", endpoint: "file", path: "./a").entry.sha256 == nil)
    #expect(throws: Failure.self) { try sizes.entry(for: "./b", endpoint: "file", path: "./b") }
  }

  @Test(
    "what is no receipt is refused",
    arguments: [
      "", "\n \n", "sluice: hello\n", "[]\n", "{}\n", line("./a", ok: false), line("./a", bytes: -1), line("./a", more: #","parts":0"#),
      line("./a", more: #","parts":1e99"#), line("./a", more: #","input_sha256":"00""#), String(line("./a").dropLast(3)), line("./a") + "x",
      #"{"ok":true,"destination":7,"bytes":1}"#, #"{"ok":true,"destination":"./a","bytes":1,"sha256":"00"}"#,
    ])
  func noReceipt(text: String) {
    let failure = #expect(throws: Failure.self) { try receipt(text) }
    #expect(failure?.kind == .config)
  }

  @Test("a receipt that can't be read is refused")
  func unreadable() {
    for path in ["/nonexistent/receipt", "/"] {
      let failure = #expect(throws: Failure.self) { try ReceiptFile(path) }
      #expect(failure?.kind == .config)
    }
  }
}

/// Files of sums.
extension ProofTests {
  private func sum(of name: String, in text: String) throws -> Checksum? {
    try SumFile.checksum(of: name, in: Array(text.utf8), at: "there")
  }

  @Test("every way to write a sum is read")
  func sums() throws {
    let (hex, other) = (ProofTests.one.hex, ProofTests.two.hex)
    let texts = [
      "\(hex)  a.gz\n", "\(hex) *a.gz\n", "\(hex)  a.gz", "\(hex)  a.gz\r\n", "\(hex.uppercased())  a.gz\n", "  \(hex)  a.gz\n",
      "\(hex) a.gz\n", "\(hex)  ./dist/a.gz\n", "\(other)  b.gz\n\(hex)  a.gz\n", "# a comment\n\n\(hex)  a.gz\n",
      "SHA256 (a.gz) = \(hex)\n", "SHA256(a.gz)= \(hex)\n", "\(hex)\n", "\(hex)  a.gz\n\(hex) *a.gz\n",
    ]
    for text in texts { #expect(try sum(of: "a.gz", in: text) == ProofTests.one, "\(text)") }
    #expect(try sum(of: "a\\b\nc\rd", in: "\\\(hex)  a\\\\b\\nc\\rd\n") == ProofTests.one)
    #expect(try sum(of: "a) = b (", in: "SHA256 (a) = b () = \(hex)\n") == ProofTests.one)
    #expect(try sum(of: "  two", in: "\(hex)    two\n") == ProofTests.one)
    #expect(try sum(of: "a", in: "\n<!DOCTYPE html>\n<html>") == nil)
  }

  @Test("what is no sum of the object is refused")
  func noSums() {
    let (hex, other) = (ProofTests.one.hex, ProofTests.two.hex)
    let texts = [
      "", "\n", "hello\n", "\(hex)  b.gz\n", "\(hex)  a.gz.old\n", "\(hex.dropLast())  a.gz\n", "\(hex)0  a.gz\n", "\(hex)a.gz\n",
      "\(hex)  a.gz\n\(other)  a.gz\n", "\(hex)  a.gz\nhello\n", "\\\(hex)  a\\x.gz\n", "\\\(hex)  a.gz\\", "\\\(hex)\n",
      "MD5 (a.gz) = \(hex)\n", "SHA256 (a.gz) = \(hex.dropLast())\n", "SHA256 a.gz = \(hex)\n", "SHA256 (a.gz) \(hex)\n", "\(hex)  A.gz\n",
    ]
    for text in texts {
      let failure = #expect(throws: Failure.self, "\(text)") { _ = try sum(of: "a.gz", in: text) }
      #expect(failure?.kind == .input)
    }
  }

  @Test("sha256sum takes what is written", arguments: ["a", "a b", "*a", "a\\b", "ä😀", "a\nb\rc", "#a", " a ", "(a) = b"])
  func written(name: String) async throws {
    let sandbox = Sandbox.here
    try sandbox.file(name, "1")
    let line = SumFile.line(ProofTests.one, name)
    try sandbox.file("sums", line)
    #expect(try sum(of: name, in: line) == ProofTests.one)
    let check = try await sandbox.shell("sha256sum --strict -c sums")
    #expect(check.exit == 0, "\(check.errorText)")
  }
}

/// Manifests of parts.
extension ProofTests {
  private func manifest(
    _ version: String = "1", name: String = "a", bytes: String = "5", size: String = "2", hash: String = one.hex,
    parts: [(name: String, bytes: String)] = [("a.part-00001", "2"), ("a.part-00002", "2"), ("a.part-00003", "1")], more: String = ""
  ) throws -> PartManifest {
    let list = parts.map { #"{"name":"\#($0.name)","bytes":\#($0.bytes),"sha256":"\#(ProofTests.two.hex)"}"# }.joined(separator: ",")
    let text = #"""
      {"version":\#(version),"name":"\#(name)","bytes":\#(bytes),"sha256":"\#(hash)","gzip":false,"part_size":\#(size),\#(more)"parts":[\#(list)]}
      """#
    return try PartManifest(parsing: Array(text.utf8), at: "/a.parts.json")
  }

  @Test("a manifest is read")
  func manifests() throws {
    let read = try manifest()
    #expect(read.bytes == 5 && read.sha256 == ProofTests.one && read.parts.map(\.suffix) == [".part-00001", ".part-00002", ".part-00003"])
    #expect(read.parts.map(\.bytes) == [2, 2, 1] && read.parts.allSatisfy { $0.sha256 == ProofTests.two } && read.inputSHA256 == nil)
    #expect(try manifest(more: #""input_bytes":7,"input_sha256":"\#(ProofTests.two.hex)","#).inputBytes == 7)
    #expect(try manifest(bytes: "0", parts: [("a.part-00001", "0")]).parts.count == 1)
  }

  @Test("a manifest that says what can't be is refused")
  func badManifests() {
    let parts = [("a.part-00001", "2"), ("a.part-00002", "2"), ("a.part-00003", "1")]
    let bad: [() throws -> PartManifest] = [
      { try self.manifest("2") }, { try self.manifest("1.5") }, { try self.manifest("null") }, { try self.manifest(bytes: "6") },
      { try self.manifest(bytes: "4") }, { try self.manifest(bytes: "-5") }, { try self.manifest(bytes: "9223372036854775807") },
      { try self.manifest(bytes: "1e300") }, { try self.manifest(size: "0") }, { try self.manifest(size: "3") },
      { try self.manifest(hash: "00") }, { try self.manifest(parts: []) }, { try self.manifest(name: "b") },
      { try self.manifest(name: "x/a") }, { try self.manifest(bytes: "4", parts: Array(parts[..<2]) + [("a.part-00003", "0")]) },
      { try self.manifest(parts: [parts[0], parts[2], parts[1]]) }, { try self.manifest(parts: Array(parts[1...])) },
      { try self.manifest(bytes: "4611686018427387904", size: "4611686018427387904", parts: [("a.part-00001", "9223372036854775807")]) },
      { try self.manifest(parts: [parts[0], ("../a.part-00002", "2"), parts[2]]) }, { try self.manifest(more: #""input_sha256":"00","#) },
      { try self.manifest(more: #""input_sha256":"\#(ProofTests.two.hex)","#) }, { try PartManifest(parsing: [], at: "x") },
      { try PartManifest(parsing: Array("<html>".utf8), at: "x") },
    ]
    for (index, make) in bad.enumerated() {
      let failure = #expect(throws: Failure.self, "\(index)") { _ = try make() }
      #expect(failure?.kind == .input)
    }
  }
}

import Foundation
import Support
import Testing

/// AList: under a temporary name until it is whole.
@Suite(.sandboxed)
struct AListPublicationTests {
  private let box = Sandbox.here
  private let old = Array("yesterday's good one".utf8)
  private let bytes = Array(String(repeating: "some object\n", count: 50_000).utf8)

  private func calls(_ server: Loopback) throws -> [String] {
    try server.log().compactMap(\.["path"].text).filter { !$0.hasSuffix("/list") && !$0.hasSuffix("/get") && !$0.hasSuffix("/me") }
  }

  @Test("an old object of the same size is not taken for the new one", arguments: [true, false])
  func sameSize(isRenaming: Bool) async throws {
    let server = try await box.loopback("--status", "503", "--times", "1")
    let other = [UInt8](repeating: 0x6f, count: bytes.count)
    try write(other, to: server.alistFile("/d/x"))
    let held = try #require(try await box.sluice("--retries", "0", server.alist("/d/x"), input: bytes).failure(69, "server")["held"].text)
    let job = "\(box.spool)/\(held).json"
    var text = String(decoding: try contents(job), as: UTF8.self)
    // As a run leaves it that was told to stop, and whose rest somebody has removed.
    let note =
      isRenaming
      ? #"{"before":{"isNothing":false,"size":\#(bytes.count)},"stage":"renaming","temporary":".x.sluice-00000000"}"#
      : #"{"isCompleting":true,"session":{"pieceSize":1048576},"stage":"sending"}"#
    text.replace(#/"checkpoint":"([^"\\]|\\.)*",?/#, with: "")
    text = text.replacing("{\"error\"", with: "{\"checkpoint\":\"\(note.replacing("\"", with: "\\\""))\",\"error\"")
    #expect(text.contains("stage"))
    try write(Array(text.utf8), to: job)
    try await box.sluice("held", "push", held).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test(
    "when every rename after the one that moves the old object aside is lost, both are named, and the next push puts that right",
    arguments: ["Alias", "WebDav", "unknown"])
  func swapLost(driver: String) async throws {
    // The first rename is the question whether there may be one. Of those that are lost each attempt makes up to three.
    let server = try await box.loopback(
      "--provider", driver, "--on", "/api/fs/rename", "--cut-after", "0", "--skip", "2", "--times", "5")
    try write(old, to: server.alistFile("/d/x"))
    let run = try await box.sluice("--retries", "1", server.alist("/d/x"), input: bytes)
    let result = try run.failure(69, "unreachable")
    let left = names(in: server.alistFile("/d"))
    #expect(left.count == 2 && !left.contains("x"))
    #expect(Set(result["error"]["left"].items.compactMap(\.text)) == Set(left.map { "/d/\($0)" }))
    for name in left { #expect(run.errorText.split(separator: "\n").suffix(4).joined().contains("/d/\(name)"), "\(run.summary)") }
    try await box.sluice("held", "push", try #require(result["held"].text)).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("an attempt that can't give the object its name gives the old one its place back", arguments: [true, false])
  func putBack(isHeld: Bool) async throws {
    // Refused is the rename of the new object: once for itself, and once more after the look at what is there.
    let server = try await box.loopback(
      "--provider", "SFTP", "--on", "/api/fs/rename", "--code", "500", "--message", "the drive says no", "--skip", "2", "--times", "2")
    try write(old, to: server.alistFile("/d/x"))
    let options = ["--retries", "0"] + (isHeld ? [] : ["--no-hold"])
    let run = try await box.start(box.client(options + [server.alist("/d/x")], input: .bytes(bytes))).finish()
    let result = try run.failure(69, "server")
    try expectSame(contents(server.alistFile("/d/x")), old)
    guard isHeld else {
      #expect(names(in: server.alistFile("/d")) == ["x"])
      return #expect(result["error"]["left"] == .null)
    }
    #expect(result["error"]["left"].items.count == 1)
    try await box.sluice("held", "push", try #require(result["held"].text)).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    #expect(try await server.puts().count == 1)
  }

  @Test("an old object that was moved aside gets its place back, or goes when the new one has it", arguments: [1, 2, 3])
  func swapCut(at call: Int) async throws {
    // The first rename is the question whether there may be one, the next ones move the old object and the new one.
    let server = try await box.loopback("--provider", "SFTP", "--on", "/api/fs/rename", "--store-then-cut", "--times", "\(call)")
    try write(old, to: server.alistFile("/d/x"))
    try await box.sluice("--retries", "4", server.alist("/d/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("--no-clobber never takes what appears after a failed attempt for its own", arguments: ["Quark", "Local"])
  func foreignAfterFailure(provider: String) async throws {
    let server = try await box.loopback("--provider", provider, "--status", "502", "--times", "1", "--delay", "1000")
    let running = try box.start(box.client(["--no-clobber", server.alist("/d/x")], input: .bytes(bytes)))
    try await eventually("the first attempt has looked") {
      try server.log("/api/fs/get").count { $0["body"].text?.contains(#""/d/x""#) == true } > 0
    }
    try write(old, to: server.alistFile("/d/x"))
    try await running.finish().failure(73, "exists")
    try expectSame(contents(server.alistFile("/d/x")), old)
  }

  @Test(
    "the bytes go to a temporary name, and a rename puts them in place, also where the server does not name the drive",
    arguments: ["openlist", "alist"], ["Local", "unknown", "SFTP", "Alias", "AList V3"])
  func temporary(flavor: String, driver: String) async throws {
    let server = try await box.loopback("--flavor", flavor, "--provider", driver)
    try write(old, to: server.alistFile("/d/x"))
    try await box.sluice(server.alist("/d/x"), input: bytes).success()
    let put = try await server.puts()[0]["headers"]
    #expect(put["file-path"].text?.hasPrefix("/d/.x.sluice-") == true)
    #expect(put["overwrite"].text == "false")
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try expectSame(contents(server.alistFile("/d/x")), bytes)
  }

  @Test("an upload that is cut off leaves what was there, and nothing beside it", arguments: [0, 1, 100_000, 599_999])
  func cut(after count: Int) async throws {
    let server = try await box.loopback("--cut-after", "\(count)")
    try write(old, to: server.alistFile("/d/x"))
    let run = try await box.sluice("--retries", "1", server.alist("/d/x"), input: bytes)
    try run.failure(69, "unreachable")
    try expectSame(contents(server.alistFile("/d/x")), old)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("an object that was cut while it was stored never gets its name")
  func stored() async throws {
    let server = try await box.loopback("--truncate-stored", "500", "--times", "1")
    try write(old, to: server.alistFile("/d/x"))
    let once = try await box.sluice("--retries", "0", server.alist("/d/x"), input: bytes)
    let held = try #require(try once.failure(69, "server")["held"].text)
    try expectSame(contents(server.alistFile("/d/x")), old)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try await box.sluice("held", "push", held).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
  }

  @Test("what a dead server kept of an upload is named, and removed when the spool is pushed")
  func leftover() async throws {
    let server = try await box.loopback("--cut-after", "1000", "--times", "1", "--permission", "\(0b11000)")
    let run = try await box.sluice("--retries", "0", server.alist("/d/x"), input: bytes)
    let held = try #require(try run.failure(69, "unreachable")["held"].text)
    let rest = try #require(names(in: server.alistFile("/d")).first { $0.hasPrefix(".x.sluice-") })
    #expect(run.errorText.contains("what is left of the upload is at /d/\(rest)"))
    await server.stop()
    // The same files, now with a user who may remove.
    let again = try await box.loopback(["--root", server.root])
    let environment = [
      "SLUICE_REMOTE_NAS_TYPE": "alist", "SLUICE_REMOTE_NAS_URL": again.url, "SLUICE_REMOTE_NAS_TOKEN": Loopback.token,
    ]
    let job = "\(box.spool)/\(held).json"
    let text = String(decoding: try contents(job), as: UTF8.self).replacing(server.authority, with: again.authority)
    try write(Array(text.utf8), to: job)
    try await box.sluice("held", "push", held, environment: environment).success()
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try expectSame(contents(server.alistFile("/d/x")), bytes)
  }

  @Test(
    "when only the answer to the rename was lost, the object is found in its place, without a retry",
    arguments: [("Local", 1), ("SFTP", 1), ("SFTP", 2)])
  func renameLost(driver: String, skipped: Int) async throws {
    // The first rename is the question whether there may be one.
    let server = try await box.loopback(
      "--provider", driver, "--on", "/api/fs/rename", "--store-then-cut", "--skip", "\(skipped)", "--times", "1")
    try write(old, to: server.alistFile("/d/x"))
    let run = try await box.sluice("--retries", "0", server.alist("/d/x"), input: bytes)
    try run.success()
    #expect(!run.errorText.contains(".sluice-"), "\(run.summary)")
    #expect(try await server.puts().count == 1)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try expectSame(contents(server.alistFile("/d/x")), bytes)
  }

  @Test(
    "where renames are not allowed or not known the object goes to its name",
    arguments: [["--permission", "\(0b10001000)"], ["--on", "/api/fs/rename", "--status", "404"], ["--provider", "Quark"]])
  func direct(options: [String]) async throws {
    let server = try await box.loopback(options)
    try write(old, to: server.alistFile("/d/x"))
    try await box.sluice(server.alist("/d/x"), input: bytes).success()
    #expect(try await server.puts()[0]["headers"]["file-path"].text == "/d/x")
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test("a storage that turns out not to rename gets the object straight to its name, with a warning")
  func renamesNot() async throws {
    // The first rename is the question, which the server answers before the storage is asked.
    let server = try await box.loopback(
      "--on", "/api/fs/rename", "--code", "500", "--message", "not implement", "--skip", "1")
    try write(old, to: server.alistFile("/d/x"))
    let run = try await box.sluice("--verify", server.alist("/d/x"), input: bytes)
    #expect(try run.success()["attempts"].int == 1, "\(run.summary)")
    #expect(run.errorText.contains("cannot rename"), "\(run.summary)")
    #expect(try await server.puts(2)[1]["headers"]["file-path"].text == "/d/x")
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try expectSame(contents(server.alistFile("/d/x")), bytes)
  }

  @Test("on a drive that does not rename onto a file, the old one is moved aside first")
  func aside() async throws {
    let server = try await box.loopback("--provider", "SFTP")
    try write(old, to: server.alistFile("/d/x"))
    try await box.sluice(server.alist("/d/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    #expect(try calls(server).suffix(3) == ["/api/fs/rename", "/api/fs/rename", "/api/fs/remove"])
  }

  @Test("Ctrl-C in mid-upload removes the temporary name, keeps the old object and holds the spool")
  func interrupted() async throws {
    let server = try await box.loopback("--stall-after", "1000")
    try write(old, to: server.alistFile("/d/x"))
    let running = try box.start(box.client([server.alist("/d/x")], input: .bytes(bytes)))
    try await eventually("the upload has begun") { names(in: server.alistFile("/d")).count == 2 }
    running.signal(SIGINT)
    let run = await running.finish()
    #expect(try run.failure(130, "interrupted")["held"].text != nil)
    #expect(names(in: server.alistFile("/d")) == ["x"])
    try expectSame(contents(server.alistFile("/d/x")), old)
  }

  @Test("--no-clobber holds against an object that appears while the temporary one is sent")
  func appears() async throws {
    let server = try await box.loopback("--delay", "1500")
    let running = try box.start(box.client(["--no-clobber", server.alist("/d/x")], input: .bytes(bytes)))
    try await eventually("the upload has begun") { names(in: server.alistFile("/d")).count == 1 }
    try write(old, to: server.alistFile("/d/x"))
    try await running.finish().failure(73, "exists")
    try expectSame(contents(server.alistFile("/d/x")), old)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }
}

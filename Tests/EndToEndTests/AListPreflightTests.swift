import Support
import Testing

/// AList: what the preflight refuses is what the put would be refused, and nothing else.
@Suite(.sandboxed)
struct AListPreflightTests {
  private let box = Sandbox.here
  private let bytes = Array("some object\n".utf8)

  @Test("a user's root that is not there yet is no reason to refuse: the put makes it", arguments: ["openlist", "alist"])
  func missingRoot(flavor: String) async throws {
    let server = try await box.loopback("--flavor", flavor, "--home", "/users/new")
    try await box.sluice("check", server.alist("/x")).success()
    try await box.sluice(server.alist("/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/users/new/x")), bytes)
    #expect(names(in: server.alistFile("/users/new")) == ["x"])
    #expect(try await server.puts()[0]["headers"]["file-path"].text?.hasPrefix("/.x.sluice-") == true)
  }

  @Test(
    "rights on a folder that is not there yet count, whatever those on the folders above are", arguments: ["openlist", "alist"],
    ["/inbox/new", "/inbox/new/deeper"])
  func missingFolder(flavor: String, folder: String) async throws {
    // All rights but that to upload.
    let server = try await box.loopback("--flavor", flavor, "--permission", "\(0b11110000)", "--may-write", "/inbox/new")
    try await box.sluice("check", server.alist("\(folder)/x")).success()
    try await box.sluice(server.alist("\(folder)/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("\(folder)/x")), bytes)
    #expect(names(in: server.alistFile(folder)) == ["x"])
    let run = try await box.sluice(server.alist("/inbox/x"), input: .endless)
    try run.failure(77, "auth")
    #expect(run.errorText.contains("\"admin\""), "\(run.summary)")
    try await box.sluice("check", server.alist("/inbox/x")).failure(77, "auth")
  }

  @Test("a server or a proxy that does not know the question is no reason to refuse", arguments: ["403", "404", "405", "html"])
  func unknownQuestion(answer: String) async throws {
    let fault = answer == "html" ? ["--html"] : ["--status", answer]
    let server = try await box.loopback(["--on", "/api/fs/form"] + fault)
    try await box.sluice(server.alist("/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/x")), bytes)
  }

  @Test("a place without a storage, and one that takes no uploads, are refused before the input is read", arguments: [400, 405])
  func noStorage(code: Int) async throws {
    let message = code == 400 ? "failed get storage: storage not found; rawPath: /p" : "Current storage doesn't support upload"
    let server = try await box.loopback("--on", "/api/fs/form", "--code", "\(code)", "--message", message)
    let run = try await box.sluice(server.alist("/p/x"), input: .endless)
    try run.failure(73, "rejected")
    #expect(run.errorText.contains(message), "\(run.summary)")
  }

  @Test("a folder that does not let itself be looked into can be put into all the same")
  func lockedFolder() async throws {
    let server = try await box.loopback(
      "--on", "/api/fs/get", "--on", "/api/fs/list", "--code", "403", "--message", "password is incorrect or you have no permission")
    try await box.sluice(server.alist("/d/x"), input: bytes).success()
    try expectSame(contents(server.alistFile("/d/x")), bytes)
    // What is there can't be seen, so that nothing is replaced.
    let run = try await box.sluice(server.alist("/d/x"), input: [1])
    #expect(try run.failure(73, "exists")["attempts"].int == 1, "\(run.summary)")
    try expectSame(contents(server.alistFile("/d/x")), bytes)
  }

  @Test(
    "a small upload with its preflight, rename and --verify takes at most seven requests and eight round trips",
    arguments: ["openlist", "alist"], [true, false])
  func roundTrips(flavor: String, isThere: Bool) async throws {
    let server = try await box.loopback("--flavor", flavor)
    try makeDirectory(server.alistFile("/d"))
    if isThere { try write(Array("old".utf8), to: server.alistFile("/d/x")) }
    let counted = try box.roundTrips(to: server.port)
    let run = try await box.sluice("--verify", "alist+http://\(counted.authority)/d/x", input: bytes)
    #expect(try run.success()["verified"].text == "size")
    #expect(try await server.puts()[0]["headers"]["file-path"].text?.hasPrefix("/d/.x.sluice-") == true)
    #expect(counted.requests.count <= 7, "\(counted.requests)")
    #expect(counted.rounds <= 8, "\(counted.requests)")
  }
}

import Support
import Testing

/// AList on a disk that is full: told as such, not tried again, and what is left of the object is removed or named.
@Suite(.sandboxed)
struct AListFullDiskTests {
  private let box = Sandbox.here
  private let old = Array("yesterday's good one".utf8)
  private let bytes = [UInt8](repeating: 7, count: 5 << 20)

  @Test(
    "in one piece and in chunks it is a refusal that names the disk, and what was there stays", arguments: ["openlist", "alist"],
    [[], ["-o", "chunked=1M"]])
  func aside(flavor: String, options: [String]) async throws {
    let server = try await box.loopback("--flavor", flavor, "--multipart", "--full-after", "\(3 << 20)")
    try write(old, to: server.alistFile("/d/x"))
    let run = try await box.start(box.client(options + [server.alist("/d/x")], input: .bytes(bytes))).finish()
    let result = try run.failure(73, "rejected")
    #expect(result["attempts"].int == 1)
    #expect(result["error"]["message"].text?.contains("no space left on device") == true, "\(run.summary)")
    #expect(result["error"]["left"] == .null)
    try expectSame(contents(server.alistFile("/d/x")), old)
    #expect(names(in: server.alistFile("/d")) == ["x"])
  }

  @Test(
    "a task, and an upload that goes straight to its name, leave a cut file, which is named", arguments: ["openlist", "alist"],
    [["-o", "as-task", "-o", "wait"], ["-o", "direct"], ["-o", "direct", "-o", "chunked=1M"]])
  func direct(flavor: String, options: [String]) async throws {
    let server = try await box.loopback("--flavor", flavor, "--multipart", "--full-after", "\(3 << 20)")
    try write(old, to: server.alistFile("/d/x"))
    let run = try await box.start(box.client(options + [server.alist("/d/x")], input: .bytes(bytes))).finish()
    let result = try run.failure(73, "rejected")
    #expect(result["attempts"].int == 1)
    #expect(result["error"]["message"].text?.contains("no space left on device") == true, "\(run.summary)")
    #expect(result["error"]["left"] == .array([.string("/d/x")]))
    #expect(run.errorText.contains("left there: /d/x"), "\(run.summary)")
    #expect(try contents(server.alistFile("/d/x")).count < bytes.count)
  }
}

import Support
import Testing

/// The address of a server's web pages in place of that of its API.
@Suite(.sandboxed)
struct PastedAddressTests {
  private let box = Sandbox.here

  @Test(
    "a refusal hints at the kind whose server listens on that port",
    arguments: [
      ("http://nas.invalid:5244/d/backup/a%20b", "alist+http://nas.invalid:5244/backup/a%20b"),
      ("http://nas.invalid:5244/backup/x", "alist+http://nas.invalid:5244/backup/x"),
      ("http://nas.invalid:6806/assets/x.png", "siyuan+http://nas.invalid:6806/data/assets/x.png"),
    ])
  func hint(pasted: String, meant: String) async throws {
    let proxy = try box.scripted { $0.answer("", status: "405 Method Not Allowed") }
    let run = try await box.sluice(
      "--no-preflight", "--retries", "0", pasted, input: [1], environment: ["HTTP_PROXY": "http://\(proxy.authority)"])
    _ = try run.failure(73, "rejected")
    #expect(run.errorText.contains("write \(meant)\n"))
  }
}

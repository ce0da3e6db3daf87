import Foundation
import Support
import Testing

/// One stream to every place at once.
@Suite(.sandboxed)
struct FanOutTests {
  private let box = Sandbox.here

  @Test("one pass over the input, a line of JSON for each destination, the same object everywhere")
  func everywhere() async throws {
    let server = try await box.loopback()
    let cloud = try ScriptedS3(box)
    let dump = Array((0..<200_000).map { "INSERT INTO orders VALUES (\($0), 'something');\n" }.joined().utf8)
    let run = try await box.start(
      box.client(
        [
          "-z", server.alist("/db.sql.gz"), "s3://b/db.sql.gz", "./db.sql.gz", server.siyuan("/data/db.sql.gz"), server.plain("/db.sql.gz"),
        ],
        input: .bytes(dump), environment: cloud.environment)
    ).finish()
    #expect(run.exit == 0, "\(run.summary)")
    let results = try resultLines(run.outputText)
    #expect(Set(results.compactMap { $0["endpoint"].text }) == ["alist", "s3", "file", "siyuan", "http"])
    let local = try contents("\(box.work)/db.sql.gz")
    let digest = try await sha256(local)
    for result in results {
      #expect(result["ok"].bool == true)
      #expect(result["sha256"].text == digest)
      #expect(result["bytes"].int == local.count)
    }
    for path in [server.alistFile("/db.sql.gz"), server.siyuanFile("/data/db.sql.gz"), server.plainFile("/db.sql.gz")] {
      #expect(try contents(path) == local)
    }
    #expect(cloud.size(of: "/b/db.sql.gz") == local.count)
    try await expectSame(gunzipped(local), dump)
    #expect(box.spoolNames.isEmpty)
  }

  @Test("one that fails does not stop the others, and the object is held for it alone")
  func oneFails() async throws {
    let server = try await box.loopback("--on", "/plain/", "--status", "503")
    let cloud = try ScriptedS3(box)
    let run = try await box.start(
      box.client(
        ["--retries", "1", server.plain("/x"), server.alist("/x"), "s3://b/x", "./x"], input: .bytes([1, 2, 3]),
        environment: cloud.environment)
    ).finish()
    #expect(run.exit == 69, "\(run.summary)")
    let results = try resultLines(run.outputText)
    #expect(results.count { $0["ok"].bool == true } == 3)
    let held = try #require(results.first { $0["ok"].bool == false }?["held"].text)
    let list = try await box.sluice("held")
    let waiting = try JSON(parsing: list.outputText.split(separator: "\n")[0])["destinations"].items
    #expect(waiting.map { $0["destination"].text } == [server.plain("/x")])
    #expect(list.outputText.contains(held))
  }
}

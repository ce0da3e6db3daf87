import Foundation
import Support
import Testing

/// Sizes around the edge of every buffer on the way, each through each endpoint.
@Suite(.sandboxed)
struct SizeTests {
  private static let sizes: [Int] =
    [0, 1, 2] + [32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20].flatMap { [$0 - 1, $0, $0 + 1] }
  private let box = Sandbox.here

  @Test("what is stored is what came in, byte for byte", arguments: ["alist", "siyuan", "file"], [false, true])
  func everySize(endpoint: String, gzip: Bool) async throws {
    let server = try await box.loopback()
    for size in Self.sizes {
      var generator = SeededGenerator(UInt64(size))
      // Half of it can be compressed, half can't.
      let bytes = generator.text(size / 2) + generator.bytes(size - size / 2)
      let name = "size-\(size)"
      let (destination, file) =
        switch endpoint {
        case "alist": (server.alist("/\(name)"), server.alistFile("/\(name)"))
        case "siyuan": (server.siyuan("/data/\(name)"), server.siyuanFile("/data/\(name)"))
        default: ("./\(name)", "\(box.work)/\(name)")
        }
      let client = box.client((gzip ? ["-z", "--level", "1"] : []) + ["--min-size", "0", destination], input: .bytes(bytes))
      let result = try await box.start(client).finish().success()
      let stored = try contents(file)
      try await expectSame((gzip ? gunzipped(stored) : stored), bytes, "size \(size)")
      #expect(result["input_bytes"].int == size)
      #expect(result["bytes"].int == stored.count)
      #expect(result["gzip"].bool == gzip)
      #expect(try await result["sha256"].text == sha256(stored), "size \(size)")
    }
    #expect(box.spoolNames.isEmpty)
  }
}

/// What is too large to be in memory. One at a time, so that the machine bears it.
@Suite(.sandboxed, .serialized)
struct LargeTests {
  private static let gibibyte = 1 << 30
  private static let mostKiB = 48 << 10
  private let box = Sandbox.here

  @Test("3 GiB go through in at most 48 MiB of memory", arguments: ["file", "alist"])
  func threeGibibytes(endpoint: String) async throws {
    let server = try await box.loopback()
    let size = 3 * Self.gibibyte + 1
    let input = try sparse(size)
    let destination = endpoint == "file" ? "./out" : server.alist("/out")
    var client = box.client([destination], input: .file(input))
    client.measuresMemory = true
    client.limit = .seconds(240)
    let run = try await box.start(client).finish()
    let result = try run.success()
    #expect(run.peakKiB > 0 && run.peakKiB <= Self.mostKiB, "peak: \(run.peakKiB) KiB")
    #expect(result["bytes"].int == size)
    let stored = endpoint == "file" ? "\(box.work)/out" : server.alistFile("/out")
    #expect(try size == Int(FileManager.default.attributesOfItem(atPath: stored)[.size] as? UInt64 ?? 0))
    let compared = try await box.shell("cmp in '\(stored)'")
    #expect(compared.exit == 0, "\(compared.summary)")
  }

  @Test("gzip with many threads stays within 48 MiB")
  func gzipMemory() async throws {
    let input = try sparse(Self.gibibyte)
    var client = box.client(["-z", "--level", "1", "--threads", "4", "./out"], input: .file(input))
    client.measuresMemory = true
    client.limit = .seconds(240)
    let run = try await box.start(client).finish()
    try run.success()
    #expect(run.peakKiB > 0 && run.peakKiB <= Self.mostKiB, "peak: \(run.peakKiB) KiB")
  }

  @Test("a command's endless looking output stays within 48 MiB")
  func commandMemory() async throws {
    var client = box.client(["./out", "--", "head", "-c", "1000000000", "/dev/zero"])
    client.measuresMemory = true
    client.limit = .seconds(240)
    let run = try await box.start(client).finish()
    #expect(try run.success()["bytes"].int == 1_000_000_000)
    #expect(run.peakKiB > 0 && run.peakKiB <= Self.mostKiB, "peak: \(run.peakKiB) KiB")
  }

  private func sparse(_ size: Int) throws -> String {
    let path = try box.file("in", "begin")
    #expect(truncate(path, size) == 0)
    return path
  }
}

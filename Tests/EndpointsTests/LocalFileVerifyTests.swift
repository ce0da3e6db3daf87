import BytePath
import Foundation
import Testing

@testable import Endpoints

/// What a local file is found to be after it was written.
@Suite("verify of a local file")
struct LocalFileVerifyTests {
  @Test("other bytes, fewer, and no file at all are none of the object", arguments: [("abd", true), ("ab", true), (nil, true)])
  func mismatch(stored: String?, isMismatch: Bool) async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-verify-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try "abc".write(toFile: folder + "/sent", atomically: false, encoding: .utf8)
    try stored?.write(toFile: folder + "/stored", atomically: false, encoding: .utf8)
    let payload = try await fill(FillPlan(input: .path(folder + "/sent")), into: try SpoolDirectory(folder + "/spool"), Meter())
    let context = EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })
    let publisher = Publisher(try LocalFile(Remote(), context), context)
    let failure = await #expect(throws: Failure.self) { try await publisher.verify(folder + "/stored", against: payload) }
    #expect(failure?.kind == .server)
    #expect(failure?.isMismatch == isMismatch)
  }

  @Test("the end of a file is none of what was asked for beyond it")
  func beyondTheEnd() async throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-read-\(UUID().uuidString)").path
    try "0123456789".write(toFile: file, atomically: false, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: file) }
    let store = try LocalFile(Remote(), EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in }))
    let part = Kept()
    #expect(try await store.read(file, 2..<5, of: nil, into: part).stored != nil)
    #expect(part.bytes == Array("234".utf8))
    guard case .untold(let failure) = try await store.read(file, 8..<12, of: nil, into: Kept()) else {
      return #expect(Bool(false), "it was read")
    }
    #expect(failure.kind == .input)
  }
}

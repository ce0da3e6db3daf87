import BytePath
import Foundation
import Support
import Synchronization
import Testing

@testable import Endpoints

@Suite("local files are read")
struct LocalFileReadingTests {
  /// Does something when the first bytes come.
  private final class Acting: ByteSink {
    private let act: @Sendable () -> Void
    private let isFirst = Atomic(true)

    init(_ act: @escaping @Sendable () -> Void) { self.act = act }

    func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
      if isFirst.exchange(false, ordering: .relaxed) { act() }
      return true
    }
  }

  private func with(_ body: (LocalFile, String) async throws -> Void) async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    try await body(try LocalFile(Remote(), EndpointContext(http: HTTPSettings(), warn: { _ in }, detail: { _ in })), directory.path)
  }

  @Test("a file that changes while it is read is told of", arguments: ["longer", "shorter", "other bytes", "replaced before"])
  func changes(how: String) async throws {
    try await with { store, folder in
      let path = "\(folder)/x"
      let bytes = [UInt8](repeating: 1, count: 3 << 20)
      try write(bytes, to: path)
      let version = try #require(try await store.stat(path, fresh: true).stored?.version)
      #expect(try await store.read(path, nil, of: version, into: Kept()).stored?.size == 3 << 20)
      if how == "replaced before" {
        try write(bytes, to: path + "2")
        #expect(rename(path + "2", path) == 0)
      }
      let sink = Acting { if how != "replaced before" { Self.change(path, how) } }
      guard case .untold(let failure) = try await store.read(path, nil, of: version, into: sink) else {
        return #expect(Bool(false), "it was read")
      }
      #expect(failure.kind == .input && failure.message == "\(path) was replaced while it was read")
      #expect(!store.readsInParts(path))
    }
  }

  private static func change(_ path: String, _ how: String) {
    let file = open(path, O_WRONLY)
    defer { close(file) }
    switch how {
    case "longer": #expect(pwrite(file, "more", 4, 3 << 20) == 4)
    case "shorter": #expect(ftruncate(file, 2 << 20) == 0)
    default: #expect(pwrite(file, "o", 1, 0) == 1)
    }
  }

  @Test("what is no regular file is refused, and does not keep anybody waiting")
  func special() async throws {
    try await with { store, folder in
      #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
      for path in ["\(folder)/pipe", "/dev/null", "/dev/zero"] {
        for finding in [try await store.stat(path, fresh: true), try await store.read(path, nil, of: nil, into: Kept())] {
          guard case .untold(let failure) = finding else { return #expect(Bool(false), "\(path): \(finding)") }
          #expect(failure.kind == .rejected && failure.hint?.contains("cat \(path)") == true)
        }
      }
      guard case .untold(let failure) = try await store.read(folder, nil, of: nil, into: Kept()) else { return #expect(Bool(false)) }
      #expect(failure.kind == .rejected)
      #expect(try await store.read("\(folder)/none", nil, of: nil, into: Kept()).isNothing)
    }
  }

  @Test("a file that has more bytes than its size says is not taken for an empty one")
  func size() async throws {
    guard exists("/proc/version") else { return }
    try await with { store, _ in
      let kept = Kept()
      guard case .untold(let failure) = try await store.read("/proc/version", nil, of: nil, into: kept) else { return #expect(Bool(false)) }
      #expect(failure.kind == .input && kept.bytes.isEmpty)
    }
  }
}

import Testing

@testable import BytePath

@Suite("spool")
struct SpoolTests {
  @Test("a sweep keeps the job of data that it cannot open")
  func sweepOfUnreadable() async throws {
    try await withTemporaryFolder { folder in
      let path = "\(folder)/spool"
      let directory = try SpoolDirectory(path)
      // A link is never followed: the data is there, and can't be had.
      try #require(symlink("elsewhere", "\(path)/01A00000000000000000000000.data") == 0)
      for name in ["01A00000000000000000000000.json", "01A00000000000000000000000.json.new"] {
        try Descriptor.open("\(path)/\(name)", O_WRONLY | O_CREAT, mode: 0o600).close()
      }
      directory.sweep()
      #expect(access("\(path)/01A00000000000000000000000.json", F_OK) == 0)
    }
  }

  @Test("what a dead run left is swept, and what is complete or in use is not")
  func sweep() async throws {
    try await withTemporaryFolder { folder in
      let path = "\(folder)/spool"
      let directory = try SpoolDirectory(path)
      let living = try Spool.create(in: directory)
      let complete = try Spool.create(in: directory)
      try complete.keep(job: Array("{}".utf8), isDurable: false)
      try Descriptor.open("\(path)/01DEAD00000000000000000000.data", O_WRONLY | O_CREAT, mode: 0o600).writeAll("half")
      try Descriptor.open("\(path)/01G0NE00000000000000000000.json", O_WRONLY | O_CREAT, mode: 0o600).writeAll("{}")
      try Descriptor.open("\(path)/01T0RN00000000000000000000.json.new", O_WRONLY | O_CREAT, mode: 0o600).writeAll("{")
      directory.sweep()
      #expect(Set(names(in: path)) == ["\(living.id).data", "\(complete.id).data", "\(complete.id).json"])
      #expect(try directory.completeIDs() == [complete.id])
    }
  }

  @Test("a spool in use can't be opened a second time")
  func lock() async throws {
    try await withTemporaryFolder { folder in
      let directory = try SpoolDirectory("\(folder)/spool")
      let spool = try Spool.create(in: directory)
      #expect(throws: Failure.self) { try Spool.open(spool.id, in: directory) }
      #expect(try Spool.open("01NOSUCH", in: directory) == nil)
      #expect(try Spool.open("../../etc/passwd", in: directory) == nil)
    }
  }

  @Test("IDs are ULIDs that sort by time")
  func identifiers() async throws {
    try await withTemporaryFolder { folder in
      let directory = try SpoolDirectory("\(folder)/spool")
      let first = try Spool.create(in: directory).id
      #expect(first.count == 26)
      #expect(first.allSatisfy("0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains))
    }
  }

  @Test("bytes that changed since they were held are no payload")
  func damaged() async throws {
    try await withTemporaryFolder { folder in
      let directory = try SpoolDirectory("\(folder)/spool")
      let spool = try Spool.create(in: directory)
      try spool.data.writeAll("hello")
      let right = Checksum(.sha256, of: Array("hello".utf8))
      let wrong = Checksum(.sha256, of: Array("hallo".utf8))
      let payload = try await Payload.held(spool, length: 5, inputLength: 5, sha256: right)
      #expect(try bytes(of: payload) == Array("hello".utf8))
      await #expect(throws: Failure.self) { try await Payload.held(spool, length: 5, inputLength: 5, sha256: wrong) }
      await #expect(throws: Failure.self) { try await Payload.held(spool, length: 4, inputLength: 4, sha256: right) }
    }
  }

  private func names(in path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names.filter { !$0.hasPrefix(".") }
  }
}

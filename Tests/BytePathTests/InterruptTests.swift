import Synchronization
import Testing

@testable import BytePath

@Suite("interrupt under stress")
struct InterruptTests {
  @Test("one trigger ends every wait, whatever for, and all that come later")
  func trigger() async throws {
    for _ in 0..<15 {
      let seed = UInt64.random(in: 0 ... .max)
      var generator = Generator(state: seed)
      let (interrupt, crew) = (try Interrupt(), Crew())
      let empty = try (0..<4).map { _ in try Descriptor.pipe() }
      let full = try (0..<4).map { _ in try Descriptor.pipe() }
      for pipe in full.prefix(2) { pipe.write.stopBlocking() }
      crew.start(4) { index in
        crew.expect(try !interrupt.waitUntilReadable(empty[index].read), "an empty pipe could be read")
      }
      crew.start(4) { index in
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        let isWritten = try bytes.withUnsafeBytes { try interrupt.writeAll($0, to: full[index].write) }
        crew.expect(!isWritten, "a pipe that nobody reads took a mebibyte")
      }
      usleep(UInt32(generator.next() % 1000))
      crew.start(3) { _ in interrupt.trigger() }
      try await crew.finish("seed \(seed)")
      #expect(try !interrupt.waitUntilReadable(empty[0].read), "seed \(seed)")
      #expect(try !interrupt.writeAll("x", to: full[3].write), "seed \(seed)")
      // Where there is room nobody waits, and so nobody is interrupted; what has no end is not read any more.
      try empty[1].write.writeAll("x")
      #expect(try !interrupt.waitUntilReadable(empty[1].read), "seed \(seed)")
      #expect(try interrupt.writeAll("x", to: empty[2].write), "seed \(seed)")
    }
  }

  @Test("bytes written past a reader of any pace arrive whole and in order", arguments: [true, false])
  func bytes(blocks: Bool) async throws {
    for _ in 0..<4 {
      let seed = UInt64.random(in: 0 ... .max)
      let input = sample(400_000, seed: seed)
      let (interrupt, crew) = (try Interrupt(), Crew())
      let pipe = try Descriptor.pipe()
      if !blocks { pipe.write.stopBlocking() }
      let moved = Atomic(0)
      let output = Mutex<[UInt8]>([])
      crew.start { _ in
        var generator = Generator(state: seed ^ 1)
        var rest = input[...]
        while !rest.isEmpty {
          let piece = Array(rest.prefix(generator.number(1...90_000)))
          let isWritten = try piece.withUnsafeBytes { bytes in
            try interrupt.writeAll(bytes, to: pipe.write, moved: { _ in moved.add(1, ordering: .relaxed) })
          }
          crew.expect(isWritten, "a write ended early")
          rest = rest.dropFirst(piece.count)
        }
        try pipe.write.close()
      }
      crew.start { _ in
        var generator = Generator(state: seed ^ 2)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 70_000, alignment: 1)
        defer { buffer.deallocate() }
        while try interrupt.waitUntilReadable(pipe.read) {
          let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<generator.number(1...70_000)])
          let count = try pipe.read.read(into: wanted)
          if count == 0 { break }
          output.withLock { $0 += wanted[..<count] }
          generator.pause()
        }
      }
      try await crew.finish("seed \(seed)")
      // Compared here, as the difference of two long arrays takes longer to find than anybody waits.
      let isSame = output.withLock { $0 == input }
      #expect(isSame, "seed \(seed)")
      #expect(moved.load(ordering: .relaxed) > 0, "seed \(seed)")
    }
  }

  @Test("a writer that is told that nobody will read any more lets go, though it was not interrupted")
  func over() async throws {
    let (interrupt, crew) = (try Interrupt(), Crew())
    let isOver = Atomic(false)
    let pipe = try Descriptor.pipe()
    crew.start { _ in
      let bytes = [UInt8](repeating: 1, count: 1 << 20)
      let isWritten = try bytes.withUnsafeBytes { bytes in
        try interrupt.writeAll(bytes, to: pipe.write, unless: { isOver.load(ordering: .relaxed) })
      }
      crew.expect(!isWritten, "a pipe that nobody reads took a mebibyte")
    }
    isOver.store(true, ordering: .relaxed)
    try await crew.finish("")
  }
}

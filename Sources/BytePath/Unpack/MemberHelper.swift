/// Unpacks segments ahead of the leader; see `MembersAhead`. Used by one thread.
final class MemberHelper {
  private let store: any ByteStore
  private let ahead: MembersAhead
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 * 1024, alignment: 4096)
  private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 4096)

  init(_ store: any ByteStore, _ ahead: MembersAhead) {
    self.store = store
    self.ahead = ahead
  }

  deinit {
    input.deallocate()
    output.deallocate()
  }

  /// Takes segments until there are none. Blocks.
  func run() throws(Failure) {
    guard var work = ahead.next() else { return }
    let stream = try InflateStream()
    while true {
      // A store that fails is for its reader to report.
      let isRight = (try? unpack(work, stream)) ?? false
      ahead.end(work, isRight: isRight)
      guard let next = ahead.next() else { return }
      work = next
    }
  }

  /// Returns whether the segment is a chain of whole members from its first byte to its last, and what came out is as long as was guessed.
  private func unpack(_ work: MembersAhead.Work, _ stream: InflateStream) throws(Failure) -> Bool {
    let length = Int64(work.segment.output.count)
    var (position, made, waiting) = (work.segment.bytes.lowerBound, Int64(0), 0)
    var isInMember = false
    while position < work.segment.bytes.upperBound {
      let wanted = Int(min(Int64(input.count), work.segment.bytes.upperBound - position))
      let count = try store.read(into: UnsafeMutableRawBufferPointer(rebasing: input[..<wanted]), at: position)
      guard count > 0 else { return false }
      position += Int64(count)
      var rest = UnsafeRawBufferPointer(rebasing: input[..<count])
      var isFull = false
      while !rest.isEmpty || isFull {
        if !isInMember { stream.reset() }
        isInMember = true
        let room = UnsafeMutableRawBufferPointer(rebasing: output[waiting...])
        let step = try stream.inflate(rest, into: room)
        rest = UnsafeRawBufferPointer(rebasing: rest[step.taken...])
        waiting += step.made
        made += Int64(step.made)
        guard made <= length else { return false }
        isFull = step.made == room.count && step.outcome == .goesOn
        if waiting == output.count, !write(&waiting, of: work, made) { return false }
        switch step.outcome {
        case .goesOn: continue
        case .memberEnded: isInMember = false
        case .broken: return false
        }
      }
    }
    return !isInMember && made == length && write(&waiting, of: work, made)
  }

  /// Writes what waits in the buffer, the end of what was made.
  private func write(_ waiting: inout Int, of work: MembersAhead.Work, _ made: Int64) -> Bool {
    let bytes = UnsafeRawBufferPointer(rebasing: output[..<waiting])
    let offset = made - Int64(waiting)
    waiting = 0
    return ahead.write(bytes, of: work, at: offset)
  }
}

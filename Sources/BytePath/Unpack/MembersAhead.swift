/// What is unpacked ahead of the thread that goes through the members in order.
///
/// Three parties meet here:
/// - A scanner looks for what may be the beginning of a member, and cuts the object there into segments of some hundred KiB at least. Before such
///   a beginning stands how many bytes came of the member that ends there, modulo 2³² (ISIZE, RFC 1952), so it is known where in the
///   spool the output of each segment belongs, if all that is no chance.
/// - Helpers take the segments, each the first that nobody has, and write what comes out of them to those places.
/// - The leader goes through the object in order, and nothing counts that it has not come to: where a member of its has ended exactly at the
///   beginning of a segment, and with it the output exactly at its place, what a helper made of the segment is right, because each member was
///   checked against its own length and CRC, and the leader goes on behind it. Anything else the leader unpacks itself.
///
/// So what comes out, and what is said of a damaged object, is what the leader alone would have made of it. The scanner's guess is wrong where the
/// bytes of a beginning stand inside a member, or where one has 4 GiB or more. That shows when the leader gets, in the object or in its output,
/// past the beginning of a segment without a member's end there. Until then it has not written behind that place, and helpers write nowhere else;
/// then the helpers are stopped, what they wrote is cut off, and they begin again where the leader next ends a member at the beginning of a segment.
final class MembersAhead: Sendable {
  /// A part of the object that holds whole members, if the guess is right.
  struct Segment: Equatable {
    /// Its place in the object, in bytes.
    let bytes: Range<Int64>
    /// That of what comes out of it, counted from the beginning of the object.
    let output: Range<Int64>
  }

  /// A segment for a helper.
  struct Work {
    let segment: Segment
    /// Where its output goes in the spool, in bytes.
    let place: Int64
    fileprivate let generation: Int
  }

  /// What the leader is to do with the member that it has come to.
  enum Step: Equatable {
    /// Unpack it.
    case unpack
    /// Go on behind these bytes of the object, of which a helper has written this many bytes.
    case skip(to: Int64, made: Int64)
  }

  private enum Progress {
    case waiting, running, done, failed, leaders
  }

  private struct State {
    var segments: [(segment: Segment, progress: Progress)] = []
    /// Where the segment that has no end yet began.
    var open = (start: Int64(0), output: Int64(0))
    /// What would come out of all before the last beginning that was found. Lengths that are none may add up to any number.
    var sum: Int64 = 0
    /// What is added to a segment's output to have its place in the spool; nil while the guess is known to be wrong.
    var shift: Int64? = 0
    /// How often the guess was wrong. What a helper does for an earlier guess is for nothing.
    var generation = 0
    /// How many helpers write at this moment.
    var writing = 0
    /// Where the leader is, in the object and in the spool.
    var leader = (position: Int64(0), made: Int64(0))
    var isStopped = false

    /// The first segment that is not the leader's.
    var ahead: Segment? { segments.first { $0.progress != .leaders }?.segment }

    /// Whether the leader has got past the beginning of a segment, so that it cannot be one.
    var isGuessWrong: Bool {
      guard let shift, let ahead else { return false }
      return leader.position > ahead.bytes.lowerBound || leader.made > ahead.output.lowerBound.addingSaturated(shift)
    }

    mutating func forgetGuess() {
      shift = nil
      generation += 1
      for index in segments.indices where segments[index].progress != .leaders { segments[index].progress = .waiting }
    }
  }

  // The conditions of the monitor.
  private static let work = 0
  private static let leader = 1
  private static let room = 2

  /// As many bytes as deflate can make of one (RFC 1951: 258 bytes of two bits).
  private static let largestRatio: Int64 = 1032
  /// How many segments wait or are worked on at a time, at the most.
  private static let most = 64

  private let least: Int64
  private let spool: Spool
  private let state = Monitor(State(), conditions: 3)

  /// - Parameters:
  ///   - least: how many bytes of the object a segment has, at least.
  ///   - spool: where the helpers write.
  init(leastSegment least: Int64, _ spool: Spool) {
    self.least = least
    self.spool = spool
  }

  /// Ends the waiting of everyone.
  func stop() {
    state.update { $0.isStopped = true }
    state.wakeAll()
  }

  /// Of the scanner: says that a member may begin at `place`, or that the object ends there. Blocks while there are segments enough.
  ///
  /// - Parameter length: what the four bytes before it say.
  /// - Returns: false if nobody needs to know any more.
  func found(_ place: Int64, length: UInt32, isEnd: Bool = false) -> Bool {
    let result = state.wait(for: MembersAhead.room) { state -> Bool? in
      if state.isStopped { return false }
      guard place - state.open.start >= least || isEnd else {
        state.sum = state.sum.addingSaturated(Int64(length))
        return true
      }
      guard state.segments.count < MembersAhead.most else { return nil }
      state.sum = state.sum.addingSaturated(Int64(length))
      let segment = Segment(bytes: state.open.start..<place, output: state.open.output..<state.sum)
      let isPossible = segment.output.count <= segment.bytes.count.multipliedSaturated(by: Int(MembersAhead.largestRatio))
      // One that cannot be is for the leader, who sees what is wrong with it. So is one that it is in already.
      let isLeaders = segment.bytes.lowerBound <= state.leader.position
      state.segments.append((segment, isLeaders ? .leaders : isPossible ? .waiting : .failed))
      state.open = (place, state.sum)
      // No helper is at anything then: whatever one had was ahead of the leader.
      if state.isGuessWrong { state.forgetGuess() }
      return true
    }
    state.wakeOne(MembersAhead.work)
    return result
  }

  /// Of a helper: the next segment to unpack; nil when there will be none. Blocks.
  func next() -> Work? {
    state.wait(for: MembersAhead.work) { state -> Work?? in
      if state.isStopped { return .some(nil) }
      guard let shift = state.shift, let index = state.segments.firstIndex(where: { $0.progress == .waiting }) else { return nil }
      state.segments[index].progress = .running
      let segment = state.segments[index].segment
      return Work(segment: segment, place: segment.output.lowerBound.addingSaturated(shift), generation: state.generation)
    }
  }

  /// Of a helper: writes a part of a segment's output, unless that is for nothing by now.
  ///
  /// - Parameter offset: from the beginning of the segment's output on.
  /// - Returns: whether it is still wanted and the disk took it.
  func write(_ bytes: UnsafeRawBufferPointer, of work: Work, at offset: Int64) -> Bool {
    let isWanted = state.update { state in
      guard !state.isStopped, state.generation == work.generation else { return false }
      state.writing += 1
      return true
    }
    guard isWanted else { return false }
    // A disk that is full is met again by the leader, who says so.
    let isWritten = (try? spool.write(bytes, at: work.place.addingSaturated(offset))) != nil
    state.update { $0.writing -= 1 }
    state.wakeOne(MembersAhead.leader)
    return isWritten
  }

  /// Of a helper: says how its work has ended.
  func end(_ work: Work, isRight: Bool) {
    state.update { state in
      guard state.generation == work.generation, let index = state.segments.firstIndex(where: { $0.segment == work.segment }) else {
        return
      }
      state.segments[index].progress = isRight ? .done : .failed
    }
    state.wakeOne(MembersAhead.leader)
  }

  /// Of the leader: says that a member ends, or the object begins, at `position`, with `made` bytes of output. Blocks while a helper is at what follows.
  ///
  /// - Throws: `interrupted` after `stop`.
  func begin(at position: Int64, made: Int64) throws(Failure) -> Step {
    try advance(to: position, made: made)
    let hasNewGuess = try settle { state in
      state.segments.removeAll { $0.segment.bytes.upperBound <= position }
      guard let segment = state.ahead, segment.bytes.lowerBound == position, state.shift != made - segment.output.lowerBound else {
        return false
      }
      // Here a guess begins that may be right.
      state.forgetGuess()
      return true
    } then: { state in
      if let segment = state.ahead { state.shift = made - segment.output.lowerBound }
    }
    if hasNewGuess { state.wakeAll() }
    let step = state.wait(for: MembersAhead.leader) { state -> Step?? in
      if state.isStopped { return .some(nil) }
      guard let first = state.segments.first, first.segment.bytes.lowerBound == position else { return .unpack }
      switch first.progress {
      case .running: return nil
      case .done:
        state.segments.removeFirst()
        let length = Int64(first.segment.output.count)
        state.leader = (first.segment.bytes.upperBound, made + length)
        return .skip(to: first.segment.bytes.upperBound, made: length)
      case .waiting, .failed, .leaders:
        state.segments[0].progress = .leaders
        return .unpack
      }
    }
    state.wakeOne(MembersAhead.room)
    guard let step else { throw .interrupted }
    return step
  }

  /// Of the leader: says how far it is with its member. What it has made is handed on afterwards only.
  ///
  /// - Throws: `interrupted` after `stop`.
  func advance(to position: Int64, made: Int64) throws(Failure) {
    try settle { state in
      state.leader = (position, made)
      guard state.isGuessWrong else { return false }
      state.forgetGuess()
      return true
    }
  }

  /// Looks whether the helpers' guess is given up, and then waits for those who are writing and cuts off what they wrote.
  @discardableResult
  private func settle(_ isGivenUp: (inout State) -> Bool, then: (inout State) -> Void = { _ in }) throws(Failure) -> Bool {
    guard state.update(isGivenUp) else { return false }
    let made = state.wait(for: MembersAhead.leader) { state -> Int64? in state.writing == 0 ? state.leader.made : nil }
    guard ftruncate(spool.data.raw, off_t(made)) == 0 else {
      throw Failure(.spool, "cannot shorten the spool \(spool.id) in \(spool.directory.path): \(SystemError("ftruncate", errno).words)")
    }
    state.update(then)
    return true
  }
}

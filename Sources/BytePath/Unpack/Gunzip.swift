/// Unpacks gzip members, one behind the other, from pieces as they come. Used by one thread.
///
/// What is no whole chain of members is a failure. Zeros behind the last one are let pass, as gzip(1) does: tapes and block devices fill up with
/// them.
struct Gunzip {
  private enum State {
    /// Nothing has come.
    case start
    case inMember
    case betweenMembers
    case padding
  }

  private let name: String
  private let stream: InflateStream
  private let ahead: MembersAhead?
  private var state = State.start
  /// Bytes of the input that were taken.
  private var position: Int64 = 0
  /// Where the member began.
  private var memberStart: Int64 = 0
  /// Up to where others have unpacked it.
  private var skipped: Int64 = 0

  /// - Parameters:
  ///   - name: what is unpacked, for messages.
  ///   - ahead: what others unpack meanwhile, if there is something. What is taken here is its leader.
  init(_ name: String, ahead: MembersAhead? = nil) throws(Failure) {
    self.name = name
    self.ahead = ahead
    stream = try InflateStream()
  }

  /// Takes the next bytes of the input.
  ///
  /// - Parameter output: gets what comes out of them.
  /// - Throws: `input`, or what `output` fails with.
  mutating func take(_ bytes: UnsafeRawBufferPointer, to output: BlockPacker) throws(Failure) {
    var rest = bytes
    while !rest.isEmpty {
      if position < skipped {
        let count = Int(min(skipped - position, Int64(rest.count)))
        position += Int64(count)
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        continue
      }
      if state == .betweenMembers, rest[0] == 0 { state = .padding }
      if state == .padding {
        if let place = rest.firstIndex(where: { $0 != 0 }) { throw garbage(at: position + Int64(place)) }
        position += Int64(rest.count)
        return
      }
      if state != .inMember, case .skip(let end, let count)? = try ahead?.begin(at: position, made: output.made) {
        try output.addWritten(count)
        skipped = end
        state = .betweenMembers
        continue
      }
      let taken = try takeMember(rest, to: output)
      rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
    }
  }

  /// Says that the input has ended.
  ///
  /// - Throws: `input` if it may not end here.
  func end() throws(Failure) {
    switch state {
    case .start: throw noGzip("it is empty")
    case .inMember:
      throw Failure(
        .input, "\(name) ends in the middle of a gzip member, after \(position) bytes", hint: "it was cut before or while it was stored")
    case .betweenMembers, .padding: return
    }
  }

  /// Returns how many bytes were taken: all, or those up to the end of the member.
  private mutating func takeMember(_ bytes: UnsafeRawBufferPointer, to output: BlockPacker) throws(Failure) -> Int {
    if state != .inMember {
      // zlib would wait for a second byte.
      guard bytes[0] == 0x1f else { throw noMember() }
      if state == .betweenMembers { stream.reset() }
      memberStart = position
    }
    let isFirst = memberStart == 0
    state = .inMember
    var taken = 0
    while true {
      let room = try output.room()
      let step = try stream.inflate(UnsafeRawBufferPointer(rebasing: bytes[taken...]), into: room)
      taken += step.taken
      position += Int64(step.taken)
      try ahead?.advance(to: position, made: output.made + Int64(step.made))
      output.add(step.made)
      switch step.outcome {
      case .goesOn:
        if taken == bytes.count, step.made < room.count { return taken }
      case .memberEnded:
        state = .betweenMembers
        return taken
      case .broken("incorrect header check"):
        position = memberStart
        state = isFirst ? .start : .betweenMembers
        throw noMember()
      case .broken(let words): throw broken(words)
      }
    }
  }

  private func noMember() -> Failure {
    state == .start ? noGzip("it does not begin as gzip does") : garbage(at: position)
  }

  private func noGzip(_ why: String) -> Failure {
    Failure(.input, "\(name) is not gzip: \(why)", hint: "leave out -d (--gunzip) to get it as it is")
  }

  private func garbage(at place: Int64) -> Failure {
    Failure(
      .input, "\(name) has data after its last gzip member that is not gzip, from byte \(place) on",
      hint: "something was added to it, or a member is damaged; get it without -d to look at it")
  }

  private func broken(_ words: String) -> Failure {
    let message =
      switch words {
      case "incorrect data check":
        "\(name) fails its CRC: what comes out of the gzip member at byte \(memberStart) is not what was put into it"
      case "incorrect length check":
        "\(name) fails its length check: the gzip member at byte \(memberStart) has another length than it says"
      case "header crc mismatch": "\(name) fails its CRC: the header of the gzip member at byte \(memberStart) is damaged"
      default: "\(name) is damaged at or before byte \(position): \(words)"
      }
    return Failure(.input, message, hint: "get it without -d, and compare it with another copy")
  }
}

import BytePath
import Synchronization

/// The words of a plugin on standard output, read as they come. However many there are, little of them is kept.
final class PluginOutput: ByteSink {
  private struct State {
    /// The output without its lines of progress, as far as a result has room for it.
    var beginning: [UInt8] = []
    /// The last line that has more than blanks in it and is not about progress; empty if it is too long.
    var last: [UInt8] = []
    var lines = LineCutter()
  }

  private let state = Mutex(State())
  private let progressed: @Sendable (Int64) -> Void

  /// - Parameter progressed: is told the bytes that are done, as lines about progress say.
  init(progressed: @escaping @Sendable (Int64) -> Void = { _ in }) {
    self.progressed = progressed
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let progress = state.withLock { state in
      var progress: Int64?
      for line in state.lines.cut(bytes) { progress = PluginOutput.note(line, &state) ?? progress }
      return progress
    }
    if let progress { progressed(progress) }
    return true
  }

  /// The last line, if it is a JSON object.
  var json: JSONValue? { ended { ReportedAnswer.json($0.last) } }

  /// For the result, once the output has ended: the last line if it is a JSON object, else all as text; nil if there is nothing.
  var report: JSONValue? {
    ended { ReportedAnswer.json($0.last) ?? ($0.beginning.allSatisfy(\.isBlank) ? nil : ReportedAnswer.text($0.beginning)) }
  }

  /// The last line may have no line feed at its end.
  private func ended<Result: Sendable>(_ body: (State) -> Result) -> Result {
    state.withLock { state in
      if let line = state.lines.rest() { _ = PluginOutput.note(line, &state) }
      return body(state)
    }
  }

  private static func note(_ line: LineCutter.Line, _ state: inout State) -> Int64? {
    if let progress = progress(in: line.bytes), !line.isCut { return progress }
    if !line.bytes.allSatisfy(\.isBlank) { state.last = line.isCut ? [] : line.bytes }
    let room = ReportedAnswer.textByteLimit - state.beginning.count
    if room > 0, !(line.bytes.isEmpty && state.beginning.isEmpty) {
      if !state.beginning.isEmpty { state.beginning.append(UInt8(ascii: "\n")) }
      state.beginning += line.bytes.prefix(room)
    }
    return nil
  }

  /// The number of `{"progress":BYTES}`, blanks allowed. Read by hand, as there may be a line for every block that was sent.
  private static func progress(in line: [UInt8]) -> Int64? {
    guard line.count < 100, line.first(where: { !$0.isBlank }) == UInt8(ascii: "{") else { return nil }
    let text = String(decoding: line.filter { !$0.isBlank }, as: UTF8.self)
    let head = #"{"progress":"#
    guard text.hasPrefix(head), text.hasSuffix("}"), let bytes = Int64(text.dropFirst(head.count).dropLast()) else { return nil }
    return max(0, bytes)
  }
}

/// The lines of a plugin's listing, each one as it is.
final class PluginLines: ByteSink {
  private struct State {
    var cutter = LineCutter()
    var lines: [LineCutter.Line] = []
  }

  private let state = Mutex(State())

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { state in state.lines += state.cutter.cut(bytes).filter { !$0.bytes.allSatisfy(\.isBlank) } }
    return true
  }

  /// Those with more than blanks in them. Asked once the output has ended.
  var lines: [LineCutter.Line] {
    state.withLock { state in state.lines + [state.cutter.rest()].compactMap { $0 }.filter { !$0.bytes.allSatisfy(\.isBlank) } }
  }
}

/// The object that a plugin writes, handed on.
final class PluginObject: ByteSink {
  private let sink: any ByteSink
  /// How many bytes were asked for; nil if all.
  private let limit: Int64?
  private let taken = Mutex<Int64>(0)

  init(_ sink: any ByteSink, limit: Int64?) {
    self.sink = sink
    self.limit = limit
  }

  var count: Int64 { taken.withLock { $0 } }
  var isTooLong: Bool { limit.map { count > $0 } ?? false }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let isWanted = taken.withLock { taken in
      taken += Int64(bytes.count)
      return taken <= limit ?? .max
    }
    return isWanted && sink.take(bytes)
  }

  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { sink.isReady(go) }
}

/// Cuts what comes into lines of at most as many bytes as an answer may have.
struct LineCutter: Sendable {
  struct Line: Sendable {
    var bytes: [UInt8] = []
    /// Whether it was longer.
    var isCut = false
  }

  /// The one that has not ended yet.
  private var line = Line()

  /// - Returns: the lines that have ended, without their line feeds.
  mutating func cut(_ bytes: UnsafeRawBufferPointer) -> [Line] {
    var lines: [Line] = []
    var rest = bytes
    while let start = rest.baseAddress, rest.count > 0 {
      let length = memchr(start, CInt(UInt8(ascii: "\n")), rest.count).map { UnsafeRawPointer($0) - start }
      let piece = rest.prefix(length ?? rest.count)
      let room = ReportedAnswer.jsonLimit - line.bytes.count
      line.bytes += piece.prefix(room)
      if piece.count > room { line.isCut = true }
      guard let length else { break }
      lines.append(line)
      line = Line()
      rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
    }
    return lines
  }

  /// What stands behind the last line feed; nil if that is nothing.
  mutating func rest() -> Line? {
    defer { line = Line() }
    return line.bytes.isEmpty ? nil : line
  }
}

extension UInt8 {
  fileprivate var isBlank: Bool { self == 0x20 || (0x09...0x0d).contains(self) }
}

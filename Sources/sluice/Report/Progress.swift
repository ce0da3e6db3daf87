import ArgumentParser
import BytePath
import Synchronization

/// When progress is shown.
enum ProgressMode: String, ExpressibleByArgument, CaseIterable, Sendable {
  case auto, always, never, json
}

/// Shows ten times a second how far a run is: on a terminal a line, and when it uploads one for each destination; JSON for programs, nothing
/// otherwise.
final class Progress: Sendable {
  private struct State {
    var total: Int64?
    var lastTime = ContinuousClock.now
    var lastBytes: [Int64]
    /// Bytes a second, smoothed over some seconds.
    var rates: [Double?]
    /// The destinations that have ended.
    var ended: Set<Int> = []
  }

  /// More lines would drive what was said before off the screen.
  private static let mostLines = 8

  private let messages: Messages
  private let isGzip: Bool
  private let input: Meter
  private let names: [String]
  private let meters: [Meter]
  private let state: Mutex<State>
  private let ticker: ProgressTicker

  private var isJSON: Bool { ticker.isJSON }

  init(_ mode: ProgressMode, _ messages: Messages, plan: FillPlan, input: Meter, names: [String], meters: [Meter]) {
    self.messages = messages
    self.input = input
    self.names = names
    self.meters = meters
    isGzip = plan.gzip != nil
    let count = max(1, names.count)
    state = Mutex(State(lastBytes: Array(repeating: 0, count: count), rates: Array(repeating: nil, count: count)))
    ticker = ProgressTicker(mode, messages)
    ticker.start { [weak self] in self?.show() }
  }

  /// From here on the uploads are what is shown.
  func beginUpload(of total: Int64) {
    if isJSON { show() }
    state.withLock { state in
      state.total = total
      state.lastBytes = state.lastBytes.map { _ in 0 }
      state.rates = state.rates.map { _ in nil }
      state.lastTime = .now
    }
  }

  /// A destination has ended, and needs no line any more.
  func ended(_ index: Int) {
    _ = state.withLock { $0.ended.insert(index) }
  }

  /// Removes the lines.
  func end() async {
    guard await ticker.end() else { return }
    if isJSON { show() } else { messages.progress([]) }
  }

  private func show() {
    state.withLock { state in
      let bytes = state.total == nil ? [input.input] : meters.map(\.sent)
      let now = ContinuousClock.now
      let seconds = state.lastTime.duration(to: now).seconds
      if seconds > 0.05 {
        for index in bytes.indices {
          let moved = bytes[index].subtractingSaturated(state.lastBytes[index])
          state.rates[index] = ProgressLine.smoothed(state.rates[index], moved, in: seconds)
          state.lastBytes[index] = bytes[index]
        }
        state.lastTime = now
      }
      if isJSON {
        for line in jsonLines(bytes, state) { messages.json(line) }
      } else {
        let columns = ProgressLine.terminalColumns() - 1
        messages.progress(lines(bytes, state).map { ProgressLine.fitted($0, columns: columns) })
      }
    }
  }

  private func lines(_ bytes: [Int64], _ state: State) -> [ProgressLine.Parts] {
    guard let total = state.total else { return [inputLine(bytes[0], state.rates[0])] }
    let running = bytes.indices.filter { !state.ended.contains($0) }
    let shown = running.prefix(running.count > Progress.mostLines ? Progress.mostLines - 1 : Progress.mostLines)
    var lines = shown.map { uploadLine($0, of: total, bytes[$0], state.rates[$0]) }
    if shown.count < running.count { lines.append(ProgressLine.Parts(name: "and \(running.count - shown.count) more", figures: "")) }
    return lines
  }

  private func inputLine(_ bytes: Int64, _ rate: Double?) -> ProgressLine.Parts {
    var text = "in \(ProgressLine.size(bytes))  \(ProgressLine.rate(rate))"
    let object = input.object
    if isGzip, bytes > 0, object > 0 { text += "  gzip \(ProgressLine.size(object)) (\(object.multipliedSaturated(by: 100) / bytes) %)" }
    return ProgressLine.Parts(name: names.count == 1 ? names[0] : "\(names.count) destinations", figures: text)
  }

  private func uploadLine(_ index: Int, of total: Int64, _ sent: Int64, _ rate: Double?) -> ProgressLine.Parts {
    var text = "\(sent.percent(of: total)) %  \(ProgressLine.size(sent))/\(ProgressLine.size(total))"
    if sent >= total {
      text += meters[index].serverPercent.map { "  the server has stored \($0) %" } ?? "  waiting for the answer"
    } else {
      text += "  \(ProgressLine.rate(rate))"
      if let rate, rate > 1 { text += "  \(ProgressLine.time(Double(total.subtractingSaturated(sent)) / rate)) left" }
    }
    return ProgressLine.Parts(name: names[index], figures: text)
  }

  private func jsonLines(_ bytes: [Int64], _ state: State) -> [JSONValue] {
    guard let total = state.total else {
      return [ProgressLine.json(phase: "input", destination: nil, bytes[0], total: nil, object: input.object, state.rates[0])]
    }
    return names.indices.map { index in
      ProgressLine.json(
        phase: "upload", destination: names[index], bytes[index], total: total, object: nil, state.rates[index],
        serverPercent: meters[index].serverPercent)
    }
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

import BytePath
import Endpoints
import Synchronization

/// How far an object is that is read back: a line on a terminal, JSON for programs.
final class FetchProgress: Sendable {
  private struct State {
    var phase: String
    /// In bytes; nil if nobody knows.
    var total: Int64?
    var count: @Sendable () -> Int64
    var lastTime = ContinuousClock.now
    var lastBytes: Int64 = 0
    var rate: Double?
  }

  private let messages: Messages
  private let name: String
  private let state: Mutex<State>
  private let ticker: ProgressTicker

  /// - Parameters:
  ///   - phase: what is being done, for programs.
  ///   - total: bytes; nil if nobody knows.
  ///   - count: bytes that have passed.
  init(
    _ mode: ProgressMode, _ messages: Messages, _ name: String, _ phase: String, of total: Int64?, count: @escaping @Sendable () -> Int64
  ) {
    self.messages = messages
    self.name = name
    state = Mutex(State(phase: phase, total: total, count: count))
    ticker = ProgressTicker(mode, messages)
    ticker.start { [weak self] in self?.show() }
  }

  /// Removes the line.
  func end() async {
    guard await ticker.end() else { return }
    if ticker.isJSON { show() } else { messages.progress([]) }
  }

  private func show() {
    state.withLock { state in
      let bytes = state.count()
      let seconds = state.lastTime.duration(to: .now).seconds
      if seconds > 0.05 {
        state.rate = ProgressLine.smoothed(state.rate, bytes.subtractingSaturated(state.lastBytes), in: seconds)
        (state.lastBytes, state.lastTime) = (bytes, .now)
      }
      if ticker.isJSON {
        messages.json(ProgressLine.json(phase: state.phase, destination: name, bytes, total: state.total, object: nil, state.rate))
      } else {
        let parts = ProgressLine.Parts(name: name, figures: figures(bytes, state))
        messages.progress([ProgressLine.fitted(parts, columns: ProgressLine.terminalColumns() - 1)])
      }
    }
  }

  private func figures(_ bytes: Int64, _ state: State) -> String {
    let rate = ProgressLine.rate(state.rate)
    guard let total = state.total else { return "\(state.phase) \(ProgressLine.size(bytes))  \(rate)" }
    let text = "\(state.phase) \(bytes.percent(of: total)) %  \(ProgressLine.size(bytes))/\(ProgressLine.size(total))  \(rate)"
    guard let rate = state.rate, rate > 1, bytes < total else { return text }
    return "\(text)  \(ProgressLine.time(Double(total.subtractingSaturated(bytes)) / rate)) left"
  }
}

import ArgumentParser
import BytePath
import Synchronization

/// When progress is shown.
enum ProgressMode: String, ExpressibleByArgument, CaseIterable, Sendable {
  case auto, always, never, json
}

/// Shows ten times a second how far a run is; one line on a terminal, JSON for programs, nothing otherwise.
final class Progress: Sendable {
  private struct State {
    var total: Int64?
    var lastTime = ContinuousClock.now
    var lastBytes: [Int64]
    /// Bytes a second, smoothed over some seconds.
    var rates: [Double?]
  }

  private let messages: Messages
  private let isJSON: Bool
  private let isGzip: Bool
  private let input: Meter
  private let names: [String]
  private let meters: [Meter]
  private let state: Mutex<State>
  private let task = Mutex<Task<Void, Never>?>(nil)

  init(_ mode: ProgressMode, _ messages: Messages, plan: FillPlan, input: Meter, names: [String], meters: [Meter]) {
    self.messages = messages
    self.input = input
    self.names = names
    self.meters = meters
    isJSON = mode == .json
    isGzip = plan.gzip != nil
    let count = max(1, names.count)
    state = Mutex(State(lastBytes: Array(repeating: 0, count: count), rates: Array(repeating: nil, count: count)))
    let isShown =
      switch mode {
      case .auto: isatty(STDERR_FILENO) == 1 && messages.verbosity >= .normal && getenv("TERM").map { String(cString: $0) } != "dumb"
      case .always, .json: true
      case .never: false
      }
    guard isShown else { return }
    let interval = isJSON ? Duration.milliseconds(500) : .milliseconds(100)
    task.withLock { task in
      task = Task { [weak self] in
        while (try? await Task.sleep(for: interval)) != nil { self?.show() }
      }
    }
  }

  /// From here on the uploads are what is shown.
  func beginUpload(of total: Int64) {
    if isJSON, task.withLock({ $0 != nil }) { show() }
    state.withLock { state in
      state.total = total
      state.lastBytes = state.lastBytes.map { _ in 0 }
      state.rates = state.rates.map { _ in nil }
      state.lastTime = .now
    }
  }

  /// Removes the line.
  func end() async {
    let running = task.withLock { task in
      defer { task = nil }
      return task
    }
    guard let running else { return }
    running.cancel()
    await running.value
    if isJSON { show() } else { messages.progress("") }
  }

  private func show() {
    state.withLock { state in
      let bytes = state.total == nil ? [input.input] : meters.map(\.sent)
      let now = ContinuousClock.now
      let seconds = state.lastTime.duration(to: now).seconds
      if seconds > 0.05 {
        for index in bytes.indices {
          let current = max(0, Double(bytes[index] - state.lastBytes[index])) / seconds
          // The first figure stands for itself; after that each counts for a part that depends on how long it stands for.
          let weight = min(1, seconds / 2)
          state.rates[index] = state.rates[index].map { $0 * (1 - weight) + current * weight } ?? current
          state.lastBytes[index] = bytes[index]
        }
        state.lastTime = now
      }
      if isJSON {
        for line in jsonLines(bytes, state) { messages.json(line) }
      } else {
        messages.progress(ProgressLine.fitted(text(bytes, state), columns: terminalColumns() - 1))
      }
    }
  }

  private func text(_ bytes: [Int64], _ state: State) -> ProgressLine.Parts {
    guard let total = state.total else {
      var text = "in \(ProgressLine.size(bytes[0]))  \(ProgressLine.rate(state.rates[0]))"
      let object = input.object
      if isGzip, bytes[0] > 0, object > 0 {
        text += "  gzip \(ProgressLine.size(object)) (\(object * 100 / bytes[0]) %)"
      }
      return ProgressLine.Parts(name: names.count == 1 ? names[0] : "\(names.count) destinations", figures: text)
    }
    // With several destinations the line is about the one that is furthest behind.
    let index = bytes.indices.filter { bytes[$0] < total }.min { bytes[$0] < bytes[$1] } ?? 0
    let sent = bytes[index]
    var text = "\(total == 0 ? 100 : sent * 100 / total) %  \(ProgressLine.size(sent))/\(ProgressLine.size(total))"
    if sent >= total {
      text += meters[index].serverPercent.map { "  the server has stored \($0) %" } ?? "  waiting for the answer"
    } else {
      text += "  \(ProgressLine.rate(state.rates[index]))"
      if let rate = state.rates[index], rate > 1 { text += "  \(ProgressLine.time(Double(total - sent) / rate)) left" }
    }
    return ProgressLine.Parts(name: names[index], figures: text)
  }

  private func jsonLines(_ bytes: [Int64], _ state: State) -> [String] {
    guard let total = state.total else {
      return [ProgressLine.json(phase: "input", destination: nil, bytes[0], total: nil, object: input.object, state.rates[0])]
    }
    return names.indices.map { index in
      ProgressLine.json(
        phase: "upload", destination: names[index], bytes[index], total: total, object: nil, state.rates[index],
        serverPercent: meters[index].serverPercent)
    }
  }

  private func terminalColumns() -> Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

import AsyncHTTPClient
import BytePath
import NIOCore
import NIOHTTP1
import Synchronization

/// How far one request has come; written as the connection takes its body, read by the watch over time-outs.
final class ExchangeState: Sendable {
  enum Phase {
    case sending, answering
  }

  private struct State {
    var phase = Phase.sending
    var lastMove = ContinuousClock.now
    /// Whether it is we who take no more at the moment.
    var isHeld = false
  }

  private let isUpload: Bool
  private let state = Mutex(State())

  init(isUpload: Bool) {
    self.isUpload = isUpload
  }

  /// Once all of an object had gone, the server may have stored it, and only the answer was lost.
  var isOutcomeUnknown: Bool { isUpload && phase == .answering }

  var phase: Phase { state.withLock { $0.phase } }
  /// When something last moved; in `answering`, when the connection had taken the last byte.
  var lastMove: ContinuousClock.Instant { state.withLock { $0.isHeld ? .now : $0.lastMove } }

  func moved() {
    // A piece may be taken during the pause before the next one.
    state.withLock { state in
      state.lastMove = max(state.lastMove, .now)
      state.isHeld = false
    }
  }

  /// The answer is not taken for a while, until `moved`.
  func hold() {
    state.withLock { $0.isHeld = true }
  }

  /// Nothing will be sent before then, and that is not the connection's doing.
  func pauses(until moment: ContinuousClock.Instant) {
    state.withLock { $0.lastMove = max($0.lastMove, moment) }
  }

  /// The connection has taken the whole body.
  func sentAll() {
    state.withLock { state in
      state.phase = .answering
      state.lastMove = .now
    }
  }
}

/// Collects an answer as it comes, while the request's body may still be on its way.
///
/// The client reports an answer when the request has been sent too; a server that refuses early may never read the rest, or close. So what
/// it said is kept here: once it is complete, nothing more is waited for, and an error that comes after it does not matter.
final class AnswerCollector: HTTPClientResponseDelegate {
  /// Ends a request whose answer's body is not wanted.
  private struct Enough: Error {}

  /// Fields of which all lines count.
  private static let lists = ["www-authenticate", "digest", "repr-digest", "x-goog-hash"]

  private struct State {
    var answer: HTTPAnswer?
    /// True if nothing is missing as far as its head tells.
    private(set) var isComplete = false
    /// Bytes of the body that a sink has taken.
    var received: Int64 = 0
    var lastMove = ContinuousClock.now

    /// What a server says before it has everything it may not say of everything, even if it reads the rest later.
    mutating func complete(in phase: ExchangeState.Phase) {
      guard !isComplete else { return }
      isComplete = true
      answer?.isAfterWholeBody = phase == .answering
    }
  }

  private let request: HTTPRequest
  private let exchange: ExchangeState
  private let window: SendWindow
  private let state = Mutex(State())

  init(_ request: HTTPRequest, _ exchange: ExchangeState, _ window: SendWindow) {
    self.request = request
    self.exchange = exchange
    self.window = window
  }

  /// What has come so far; nil before the head is there.
  var answer: HTTPAnswer? { state.withLock { $0.answer } }
  var isComplete: Bool { state.withLock { $0.isComplete } }

  /// How long nothing more has come of an answer that has begun; nil if it has not.
  var silence: Duration? {
    state.withLock { $0.answer == nil ? nil : $0.lastMove.duration(to: .now) }
  }

  func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
    let isEnough = state.withLock { state in
      var answer = HTTPAnswer(
        status: Int(head.status.code), headers: [:], body: [], isAfterWholeBody: exchange.phase == .answering, url: request.url,
        isOfUpload: request.isUpload, requestLength: request.body.length)
      for (name, value) in head.headers.reversed() { answer.headers[name.lowercased()] = value }
      answer.flaw = answer.headers.removeValue(forKey: AnswerHead.flawField)
      for name in AnswerCollector.lists where answer.headers[name] != nil {
        answer.headers[name] = head.headers[name].joined(separator: ", ")
      }
      state.lastMove = .now
      let isEmpty = request.method == .head || answer.expectedLength == 0
      if answer.expectedLength == 0 { answer.takenLength = 0 }
      let isUnwanted =
        (200..<300).contains(answer.status)
        && (request.isWanted.map { !$0(answer) } ?? (answer.status == 200 && !request.wantsContent || request.isUnasked(answer.status)))
      state.answer = answer
      if isEmpty || isUnwanted { state.complete(in: exchange.phase) }
      return isUnwanted && !isEmpty
    }
    return isEnough ? task.eventLoop.makeFailedFuture(Enough()) : task.eventLoop.makeSucceededVoidFuture()
  }

  func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ part: ByteBuffer) -> EventLoopFuture<Void> {
    if let receiver = request.receiver, let answer, request.isWanted?(answer) ?? (answer.status == request.contentStatus) {
      return receive(part, receiver, task.eventLoop)
    }
    let isTooLong = state.withLock { state in
      state.lastMove = .now
      let room = request.answerLimit - (state.answer?.body.count ?? 0)
      state.answer?.body.append(contentsOf: part.readableBytesView.prefix(room))
      if let answer = state.answer, let expected = answer.expectedLength, answer.body.count >= expected {
        state.complete(in: exchange.phase)
      }
      return part.readableBytes > room
    }
    return isTooLong ? task.eventLoop.makeFailedFuture(AnswerTooLong()) : task.eventLoop.makeSucceededVoidFuture()
  }

  private func receive(_ part: ByteBuffer, _ sink: any ByteSink, _ eventLoop: any EventLoop) -> EventLoopFuture<Void> {
    // Silence is what has a limit, and this is none.
    exchange.moved()
    let isWanted = part.withUnsafeReadableBytes { sink.take($0) }
    state.withLock { state in
      state.lastMove = .now
      state.received += Int64(part.readableBytes)
      let isWhole = state.answer?.expectedLength.map { state.received >= $0 } ?? false
      if isWhole { state.answer?.takenLength = state.received }
      if isWhole || !isWanted { state.complete(in: exchange.phase) }
    }
    guard isWanted else { return eventLoop.makeFailedFuture(Enough()) }
    let room = eventLoop.makePromise(of: Void.self)
    exchange.hold()
    let isReady = sink.isReady { [exchange] in
      exchange.moved()
      room.succeed()
    }
    guard isReady else { return room.futureResult }
    exchange.moved()
    room.succeed()
    return room.futureResult
  }

  func didSendRequestPart(task: HTTPClient.Task<Void>, _ part: IOData) {
    let bytes = window.taken(part.readableBytes)
    request.body.meter?.setSent(max(0, min(bytes - Int64(request.body.prefix.count), Int64(request.body.range.count))))
    if bytes == request.body.length { exchange.sentAll() } else { exchange.moved() }
  }

  func didFinishRequest(task: HTTPClient.Task<Void>) throws {
    state.withLock { state in
      if request.receiver != nil, state.answer?.headers["transfer-encoding"] != nil { state.answer?.takenLength = state.received }
      state.complete(in: exchange.phase)
    }
  }
}

/// More came than `HTTPRequest.answerLimit`.
struct AnswerTooLong: Error {}

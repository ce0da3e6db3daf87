import BytePath
import Endpoints

/// What a line of the results is made of.
protocol ReportedOutcome: Sendable {
  /// What it is about, for people.
  var name: String { get }
  var failure: Failure? { get }
  /// For people, what has succeeded although the result could not be written.
  var success: String { get }
  var json: JSONValue { get }
}

extension Failure {
  /// As `error` of a result.
  var json: JSONValue {
    [
      "kind": .string(kind.rawValue), "message": .string(message), "retryable": .bool(isRetryable),
      "left": left.isEmpty ? nil : JSONValue(left),
    ]
  }
}

/// What is reported of one destination.
struct Outcome: ReportedOutcome {
  var destination: String
  var endpoint: String?
  var path: String?
  /// What would be done, for `--dry-run`.
  var plan: FillPlan?
  var payload: PayloadFacts?
  var attempts = 0
  var elapsed: Duration
  var uploadTime: Duration?
  var receipt = Receipt()
  var verification: Verification?
  var failure: Failure? {
    didSet {
      guard let likely, let kind = failure?.kind, [.rejected, .auth, .protocol].contains(kind) else { return }
      failure?.hint = likely
    }
  }
  /// True if the object was not sent, because that of a newer run stands under its name.
  var isSuperseded = false
  var held: String?
  /// The path of `NAME.sha256`, which was written beside the object.
  var sum: String?

  /// What the user may have meant by the destination.
  private let likely: String?

  init(of target: Target, elapsed: Duration = .zero) {
    destination = target.text
    endpoint = target.kind.name
    path = target.path
    likely = target.likely
    self.elapsed = elapsed
  }

  /// Of a destination that could not be opened.
  init(_ refused: DestinationFailure, elapsed: Duration) {
    destination = refused.text
    endpoint = refused.endpoint
    path = refused.path
    likely = nil
    failure = refused.failure
    self.elapsed = elapsed
  }

  /// For people, why the object was not sent.
  var superseding: String {
    let rest = held.map { "; it stays until: sluice held drop \($0); to send it all the same: sluice held push --even-if-older \($0)" }
    return "\(destination): a newer object was stored there meanwhile, so this one is not sent\(rest ?? "")"
  }

  var name: String { destination }

  var success: String {
    guard let payload else { return "this succeeded" }
    let bytes = payload.bytes.map { "\($0) bytes" } ?? "the object"
    return "the upload succeeded (\(bytes)\(payload.sha256.map { ", sha256 \($0.hex)" } ?? ""))"
  }

  /// The line of standard output, keys in the order of the contract.
  var json: JSONValue {
    [
      "ok": .bool(failure == nil),
      "dry_run": plan.map { _ in true },
      "destination": .string(destination),
      "endpoint": JSONValue(endpoint),
      "path": JSONValue(path),
      "input_bytes": JSONValue(payload?.inputBytes),
      "input_sha256": JSONValue(payload?.inputSHA256?.hex),
      "bytes": JSONValue(payload?.bytes),
      "gzip": JSONValue(payload?.isGzip),
      "gzip_levels": payload?.levels,
      "sha256": JSONValue(payload?.sha256?.hex),
      "sum": JSONValue(sum),
      "parts": JSONValue(payload?.parts),
      "plan": plan.map(Outcome.json(of:)),
      "attempts": JSONValue(attempts),
      "elapsed_s": JSONValue(seconds: elapsed),
      "upload_s": JSONValue(seconds: uploadTime),
      "http_status": JSONValue(failure == nil ? receipt.httpStatus : failure?.httpStatus),
      "response": failure == nil ? receipt.response : failure?.response,
      "link": failure == nil ? JSONValue(receipt.link) : nil,
      "task": failure == nil ? receipt.task : failure?.task,
      "verified": JSONValue(verification?.rawValue),
      "error": failure.map(\.json),
      "superseded": isSuperseded ? true : nil,
      "held": JSONValue(held),
    ]
  }

  private static func json(of plan: FillPlan) -> JSONValue {
    var input: String?
    var command: [String]?
    switch plan.input {
    case .standardInput: input = "-"
    case .path(let path): input = path
    case .command(let words): command = words
    }
    var level: JSONValue?
    switch plan.gzip?.level {
    case .fixed(let number): level = JSONValue(number)
    case .automatic: level = "auto"
    case nil: break
    }
    return [
      "input": JSONValue(input), "command": command.map { JSONValue($0) }, "check": JSONValue(plan.guards), "gzip_level": level,
      "through": JSONValue(plan.filters),
    ]
  }
}

/// What is known of the object.
struct PayloadFacts: Sendable {
  var inputBytes: Int64?
  /// Nil if the object is the input.
  var inputSHA256: Checksum?
  var bytes: Int64?
  var isGzip: Bool
  /// What `--level auto` did: blocks of 256 KiB by level; nil with a level of the user's own.
  var levels: JSONValue?
  /// Nil as long as it has not been computed.
  var sha256: Checksum?
  /// How many parts it was cut into; nil for one piece.
  var parts: Int?
}

import BytePath
import Endpoints

/// What is reported of one destination.
struct Outcome: Sendable {
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
  var failure: Failure?
  /// True if the object was not sent, because that of a newer run stands under its name.
  var isSuperseded = false
  var held: String?

  init(destination: String, endpoint: String?, path: String?, elapsed: Duration) {
    self.destination = destination
    self.endpoint = endpoint
    self.path = path
    self.elapsed = elapsed
  }

  /// Of a destination that could not be opened.
  init(_ refused: DestinationFailure, elapsed: Duration) {
    self.init(destination: refused.text, endpoint: refused.endpoint, path: refused.path, elapsed: elapsed)
    failure = refused.failure
  }

  /// For people, why the object was not sent.
  var superseding: String {
    let rest = held.map { "; it stays until: sluice held drop \($0); to send it all the same: sluice held push --even-if-older \($0)" }
    return "\(destination): a newer object was stored there meanwhile, so this one is not sent\(rest ?? "")"
  }

  /// The line of standard output, keys in the order of the contract.
  var json: String {
    var text = JSONText()
    text.add("ok", failure == nil)
    if plan != nil { text.add("dry_run", true) }
    text.add("destination", destination)
    text.add("endpoint", endpoint)
    text.add("path", path)
    text.add("input_bytes", payload?.inputBytes)
    text.add("bytes", payload?.bytes)
    text.add("gzip", payload?.isGzip)
    text.add("gzip_levels", json: payload?.levels)
    text.add("sha256", payload?.sha256)
    text.add("parts", payload?.parts.map(Int64.init))
    if let plan { text.add("plan", json: Outcome.json(of: plan)) }
    text.add("attempts", Int64(attempts))
    text.add("elapsed_s", seconds: elapsed)
    text.add("upload_s", seconds: uploadTime)
    text.add("http_status", (failure == nil ? receipt.httpStatus : failure?.httpStatus).map(Int64.init))
    text.add("response", json: failure == nil ? receipt.response : failure?.response)
    text.add("task", json: failure == nil ? receipt.task : failure?.task)
    text.add("verified", verification?.rawValue)
    if let failure {
      var error = JSONText()
      error.add("kind", failure.kind.rawValue)
      error.add("message", failure.message)
      error.add("retryable", failure.isRetryable)
      if !failure.left.isEmpty { error.add("left", json: JSONText.array(failure.left)) }
      text.add("error", json: error.text)
    }
    if isSuperseded { text.add("superseded", true) }
    text.add("held", held)
    return text.text
  }

  private static func json(of plan: FillPlan) -> String {
    var text = JSONText()
    switch plan.input {
    case .standardInput: text.add("input", "-")
    case .path(let path): text.add("input", path)
    case .command(let words): text.add("command", json: JSONText.array(words))
    }
    text.add("check", json: JSONText.array(plan.guards))
    switch plan.gzip?.level {
    case .fixed(let level): text.add("gzip_level", Int64(level))
    case .automatic: text.add("gzip_level", "auto")
    case nil: break
    }
    text.add("through", json: JSONText.array(plan.filters))
    return text.text
  }
}

/// What is known of the object.
struct PayloadFacts: Sendable {
  var inputBytes: Int64?
  var bytes: Int64?
  var isGzip: Bool
  /// What `--level auto` did, as compact JSON text: blocks of 256 KiB by level; nil with a level of the user's own.
  var levels: String?
  /// Nil as long as it has not been computed.
  var sha256: String?
  /// How many parts it was cut into; nil for one piece.
  var parts: Int?
}

import BytePath
import Endpoints

/// What is reported of one destination.
struct Outcome: Sendable {
  var destination: String
  var endpoint: String?
  var path: String?
  var isDryRun = false
  var payload: PayloadFacts?
  var attempts = 0
  var elapsed: Duration
  var uploadTime: Duration?
  var receipt = Receipt()
  var verification: Verification?
  var failure: Failure?
  var held: String?

  /// The line of standard output, keys in the order of the contract.
  var json: String {
    var text = JSONText()
    text.add("ok", failure == nil)
    if isDryRun { text.add("dry_run", true) }
    text.add("destination", destination)
    text.add("endpoint", endpoint)
    text.add("path", path)
    text.add("input_bytes", payload?.inputBytes)
    text.add("bytes", payload?.bytes)
    text.add("gzip", payload?.isGzip)
    text.add("sha256", payload?.sha256)
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
      text.add("error", json: error.text)
    }
    text.add("held", held)
    return text.text
  }
}

/// What is known of the object.
struct PayloadFacts: Sendable {
  var inputBytes: Int64?
  var bytes: Int64?
  var isGzip: Bool
  /// Nil as long as it has not been computed.
  var sha256: String?
}

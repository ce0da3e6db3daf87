import BytePath
import Endpoints

/// What is reported of one source.
struct GetOutcome: ReportedOutcome {
  var source: String
  var endpoint: String?
  var path: String?
  /// Where it went, if that is a file.
  var file: String?
  var bytes: Int64?
  var sha256: Checksum?
  /// Of what came out, if the object was unpacked.
  var outputBytes: Int64?
  var outputSHA256: Checksum?
  var parts: Int?
  var verified: String?
  var attempts = 0
  /// Bytes that an earlier run had fetched.
  var resumed: Int64 = 0
  var elapsed = Duration.zero
  var failure: Failure?

  init(of target: Target) {
    source = target.text
    endpoint = target.kind.name
    path = target.path
  }

  /// Of a source that could not be opened.
  init(_ refused: DestinationFailure) {
    source = refused.text
    endpoint = refused.endpoint
    path = refused.path
    failure = refused.failure
  }

  /// Takes over what was found of the object.
  mutating func note(_ unpacked: Unpacked, _ found: Retrieval.Found, unpacks: Bool) {
    bytes = unpacked.objectLength
    sha256 = unpacked.objectDigests.first { $0.algorithm == .sha256 }
    parts = found.manifest?.parts.count
    guard unpacks else { return }
    outputBytes = unpacked.outputLength
    outputSHA256 = unpacked.outputDigest
  }

  var name: String { source }

  var success: String {
    "the object is whole (\(bytes.map { "\($0) bytes" } ?? "")\(sha256.map { ", sha256 \($0.hex)" } ?? ""))"
  }

  var json: JSONValue {
    [
      "ok": .bool(failure == nil),
      "source": .string(source),
      "endpoint": JSONValue(endpoint),
      "path": JSONValue(path),
      "file": JSONValue(file),
      "bytes": JSONValue(bytes),
      "sha256": JSONValue(sha256?.hex),
      "output_bytes": JSONValue(outputBytes),
      "output_sha256": JSONValue(outputSHA256?.hex),
      "parts": JSONValue(parts),
      "attempts": JSONValue(attempts),
      "resumed": resumed > 0 ? JSONValue(resumed) : nil,
      "elapsed_s": JSONValue(seconds: elapsed),
      "http_status": JSONValue(failure?.httpStatus),
      "response": failure?.response,
      "verified": JSONValue(verified),
      "error": failure.map(\.json),
    ]
  }
}

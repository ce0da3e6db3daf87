import BytePath

/// What the `code` and `message` of AList's envelope mean.
enum AListCode {
  /// AList and OpenList: `code` of an answer with status 200. The texts are from the sources of both servers; an administrator can have parts
  /// of them masked, and then the code decides. The first line that fits counts.
  static let rules = [
    RetryTable.Rule(codes: 429...429, verdict: .mayPass),
    // Chunks whose connection broke, or whose session has just ended (internal/multipart/window.go).
    RetryTable.Rule(codes: 400...400, words: ["unexpected EOF", "upload window closed"], verdict: .mayPass),
    // Something on the way, or a server that is starting.
    RetryTable.Rule(
      codes: 500...500,
      words: ["Loading storage, please wait", "storage not init", "unexpected EOF", "context canceled", "failed to create temp file"],
      verdict: .mayPass),
    // A full disk that is not that of the server's own temporary files. Whatever else is said of a file that can't be written.
    RetryTable.Rule(codes: 400...500, words: ["no space left", "disk quota exceeded", "read-only file system"], verdict: .refusal),
    RetryTable.Rule(
      codes: 500...500,
      words: [
        "storage not found", "upload not supported", "is a directory", "not a directory", "not a folder", "file exists",
        "file name too long",
        "invalid argument", "permission denied", "delete root folder", "object not found",
      ], verdict: .refusal),
    RetryTable.Rule(codes: 400...499, verdict: .refusal),
    RetryTable.Rule(codes: .min ... .max, verdict: .mayPass),
  ]

  static func saysMissing(_ message: String) -> Bool {
    (message.contains("object not found") || message.contains("failed get parent list")) && !message.contains("storage not found")
  }

  /// Said while the server comes up (server/middlewares/check.go, internal/op/storage.go).
  static func saysStarting(_ message: String) -> Bool {
    message.contains("Loading storage") || message.contains("storage not init")
  }

  /// Said by drives that lack a call (internal/errs/errors.go).
  static func saysNotImplemented(_ message: String) -> Bool { message.contains("not implement") || message.contains("not support") }

  /// The reasons of code 401 that a fresh login cures (server/middlewares/auth.go).
  static func saysExpired(_ message: String) -> Bool {
    ["token is invalidated", "token is expired", "Password has been changed", "session inactive"].contains(where: message.contains)
  }

  /// - Throws: the failure that a reply other than success stands for.
  static func check(_ reply: AListReply, _ path: String) throws(Failure) {
    guard reply.code != 200 else { return }
    var failure = failure(reply, path)
    if failure.isRetryable, reply.code >= 500 { failure.isOutcomeUnknown = reply.answer.mayHaveStored }
    throw reply.answer.withEvidence(failure)
  }

  /// As `check`, for what may be refused because something is there.
  static func checkExisting(_ reply: AListReply, _ path: String) throws(Failure) {
    if reply.saysExisting { throw reply.answer.withEvidence(.alreadyThere(path)) }
    try check(reply, path)
  }

  private static func failure(_ reply: AListReply, _ path: String) -> Failure {
    let words = "\(reply.message) (\(reply.code))"
    switch reply.code {
    case 401:
      return Failure(.auth, "the credentials were not accepted: \(words)", hint: "check the token; one from the admin page does not expire")
    case 402: return Failure(.auth, "a second factor is wanted: \(words)", hint: "use a token from the admin page")
    case 403 where reply.message.contains("permission") || reply.message.contains("guest"):
      // Of folders with one of their own.
      let hint = reply.message.contains("password is incorrect") ? "a user who may see the folder without its password needs none" : nil
      return Failure(.auth, "no permission for \(path): \(words)", hint: hint)
    default: break
    }
    switch RetryTable.verdict(of: reply.code, reply.message, in: rules) {
    case .refusal: return Failure(.rejected, "\(path) was refused: \(words)", hint: hint(reply.message))
    case .mayPass where reply.code == 429: return Failure(.server, "the server asks to try again later: \(words)", retryable: true)
    case .mayPass: return Failure(.server, "the server failed with \(path): \(words)", retryable: true)
    }
  }

  /// What went wrong in a storage, where the server tells of it in other ways than by an answer to a put.
  static func storageFailure(_ reason: String, _ path: String) -> Failure {
    switch RetryTable.verdict(of: 500, reason, in: rules) {
    case .refusal: Failure(.rejected, "\(path) was refused: \(reason)", hint: hint(reason))
    case .mayPass: Failure(.server, "the server failed with \(path): \(reason)", retryable: true)
    }
  }

  private static func hint(_ message: String) -> String? {
    message.contains("storage not found") ? "the first part of the path must be the mount path of a storage" : nil
  }

  static func loginFailure(_ reply: AListReply, _ username: String, _ server: String) -> Failure {
    var failure = Failure(.auth, "\(server) refuses the login of \"\(username)\": \(reply.message) (\(reply.code))")
    failure.httpStatus = reply.answer.status
    switch reply.code {
    case 402: failure.hint = "logins with a second factor cannot be made here; use a token from the admin page"
    case 429: failure.hint = "the address is locked for five minutes after five failures; wait, then check the password"
    case 500...599: (failure.kind, failure.isRetryable) = (.server, true)
    default: failure.hint = "check user name and password; five failures lock the address"
    }
    return failure
  }
}

import BytePath

/// What the `code` and `message` of AList's envelope mean; whether it may pass is said by `RetryTable`.
enum AListCode {
  static func saysMissing(_ message: String) -> Bool {
    (message.contains("object not found") || message.contains("failed get parent list")) && !message.contains("storage not found")
  }

  /// Said while the server comes up (server/middlewares/check.go, internal/op/storage.go).
  static func saysStarting(_ message: String) -> Bool {
    message.contains("Loading storage") || message.contains("storage not init")
  }

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

  /// As `check`, for `PUT /api/fs/put`. With `mayRetryExisting`, an object that appeared since the look for it is looked at again.
  static func checkPut(_ reply: AListReply, _ path: String, mayRetryExisting: Bool) throws(Failure) {
    if reply.code == 403, reply.message.contains("file exists") {
      throw reply.answer.withEvidence(Failure(.exists, "\(path) exists already", retryable: mayRetryExisting))
    }
    try check(reply, path)
  }

  /// As `check`, for `POST /api/fs/rename`.
  static func checkRename(_ reply: AListReply, _ target: String, mayRetryExisting: Bool) throws(Failure) {
    if reply.code == 403, reply.message.contains("exists") {
      throw reply.answer.withEvidence(Failure(.exists, "\(target) exists already", retryable: mayRetryExisting))
    }
    try check(reply, target)
  }

  private static func failure(_ reply: AListReply, _ path: String) -> Failure {
    let words = "\(reply.message) (\(reply.code))"
    switch reply.code {
    case 401:
      return Failure(.auth, "the credentials were not accepted: \(words)", hint: "check the token; one from the admin page does not expire")
    case 402: return Failure(.auth, "a second factor is wanted: \(words)", hint: "use a token from the admin page")
    case 403 where reply.message.contains("permission") || reply.message.contains("guest"):
      return Failure(.auth, "no permission for \(path): \(words)")
    default: break
    }
    switch RetryTable.verdict(of: reply.code, reply.message, in: RetryTable.alist) {
    case .refusal: return Failure(.rejected, "\(path) was refused: \(words)", hint: hint(reply.message))
    case .mayPass where reply.code == 429: return Failure(.server, "the server asks to try again later: \(words)", retryable: true)
    case .mayPass: return Failure(.server, "the server failed with \(path): \(words)", retryable: true)
    }
  }

  /// What went wrong in a storage, where the server tells of it in other ways than by an answer to a put.
  static func storageFailure(_ reason: String, _ path: String) -> Failure {
    switch RetryTable.verdict(of: 500, reason, in: RetryTable.alist) {
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

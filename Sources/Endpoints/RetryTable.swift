public import BytePath

/// Which failures may pass, so that another attempt may help: the one place that says so. What stands in no table is not tried again.
///
/// What is meant for a person to change, such as credentials, a path or a full disk, is a refusal, and never tried again.
enum RetryTable {
  /// HTTP statuses, of whatever server or proxy (RFC 9110, RFC 6585): 408, 425, 429; 423, because locks end (RFC 4918, 11.3); and the failures of
  /// a server but for those that say that it will never do this: 501 not implemented, 505 HTTP version, 507 storage full, 508 loop, 511 a network that wants a login.
  static func mayPass(status: Int) -> Bool {
    switch status {
    case 408, 423, 425, 429: true
    case 501, 505, 507, 508, 511: false
    default: (500...599).contains(status)
    }
  }

  /// Exit statuses of plugins: EX_TEMPFAIL of sysexits(3).
  static func mayPass(exitStatus: Int32) -> Bool { exitStatus == 75 }

  /// A failure of a connection, whatever the server.
  enum ConnectionFault {
    case refused, lost, unknownHost, timedOut, cutAnswer, proxyUnreachable, tlsBroken
    case certificateNotTrusted, certificateOfOtherHost, noTLS, noHTTP
  }

  static func mayPass(_ fault: ConnectionFault) -> Bool {
    switch fault {
    case .refused, .lost, .unknownHost, .timedOut, .cutAnswer, .proxyUnreachable, .tlsBroken: true
    case .certificateNotTrusted, .certificateOfOtherHost, .noTLS, .noHTTP: false
    }
  }

  /// A line of the table of an API that says in its answer's body how a call went.
  struct Rule {
    let codes: ClosedRange<Int64>
    /// One of these is in the message; empty if any message will do.
    var words: [String] = []
    let verdict: Verdict
  }

  enum Verdict {
    /// Try again.
    case mayPass
    /// The server understood, and will refuse again.
    case refusal
  }

  static func verdict(of code: Int64, _ message: String, in table: [Rule]) -> Verdict {
    let rule = table.first { $0.codes.contains(code) && ($0.words.isEmpty || $0.words.contains(where: message.contains)) }
    return rule?.verdict ?? .refusal
  }
}

extension Failure {
  /// True if nothing but another word of a person is a reason to try again: the server understood, and refuses this object at this name. What
  /// is full, read-only or not mounted now may be otherwise tomorrow.
  public var isRefusal: Bool {
    guard kind == .rejected || kind == .exists else { return false }
    let words = "\(message) \(response?.text ?? "")".lowercased()
    let passing = ["no space", "quota", "read-only", "read only", "disk full", "insufficient storage", "no such file or directory"]
    return httpStatus != 507 && !passing.contains(where: words.contains)
  }
}

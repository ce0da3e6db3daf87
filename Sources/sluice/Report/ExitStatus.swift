import BytePath

extension Failure.Kind {
  /// The exit status, after sysexits(3) where it has one.
  ///
  /// - Parameter signal: what interrupted the run.
  func exitStatus(signal: Int32?) -> Int32 {
    switch self {
    case .usage: 64
    case .input: 65
    case .missing: 66
    case .unreachable, .timeout, .server: 69
    case .rejected, .exists: 73
    case .spool: 74
    case .protocol: 76
    case .auth: 77
    case .config: 78
    case .interrupted: 128 + (signal ?? SIGINT)
    }
  }
}

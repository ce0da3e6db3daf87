import BytePath
import Synchronization

/// Counts and hashes the body of an answer as it comes, and keeps nothing of it but its beginning.
final class BodyReceiver: ByteSink {
  /// As much is kept as the answer of an API has that is not a file or a list.
  private static let beginningLimit = 4096

  private struct State {
    var count: Int64 = 0
    var hash = RunningHash(.sha256)
    var beginning: [UInt8] = []
  }

  /// More than this is not waited for.
  private let limit: Int64
  private let state = Mutex(State())

  /// - Parameter limit: in bytes; once more have come, the connection is closed.
  init(limit: Int64) {
    self.limit = limit
  }

  /// How many bytes have come.
  var count: Int64 { state.withLock { $0.count } }
  var beginning: [UInt8] { state.withLock { $0.beginning } }
  /// Of all that has come.
  var sha256: Checksum { state.withLock { $0.hash.finalized() } }

  /// - Returns: false if more need not come.
  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { state in
      let room = BodyReceiver.beginningLimit - state.beginning.count
      state.beginning.append(contentsOf: bytes.prefix(room))
      state.hash.update(bytes)
      state.count += Int64(bytes.count)
      return state.count <= limit
    }
  }
}

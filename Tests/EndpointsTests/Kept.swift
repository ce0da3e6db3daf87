import BytePath
import Endpoints
import Synchronization

/// Keeps what a store reads.
final class Kept: ByteSink {
  private let state = Mutex<[UInt8]>([])
  private let enough: Int

  /// - Parameter enough: in bytes: more are not wanted.
  init(enough: Int = .max) { self.enough = enough }

  var bytes: [UInt8] { state.withLock { $0 } }

  func take(_ new: UnsafeRawBufferPointer) -> Bool {
    state.withLock { bytes in
      bytes += new
      return bytes.count < enough
    }
  }
}

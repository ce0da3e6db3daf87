import NIOCore
import Synchronization

/// All connections that are open.
final class Connections: Sendable {
  private struct State {
    var count = 0
    var open: [ObjectIdentifier: Connection] = [:]
  }
  private let state = Mutex(State())

  func add(_ channel: any Channel) -> Connection {
    state.withLock {
      $0.count += 1
      let connection = Connection(number: $0.count, channel: channel)
      $0.open[ObjectIdentifier(channel)] = connection
      return connection
    }
  }

  func remove(_ connection: Connection) {
    _ = state.withLock { $0.open.removeValue(forKey: ObjectIdentifier(connection.channel)) }
  }

  func of(_ channel: any Channel) -> Connection? {
    state.withLock { $0.open[ObjectIdentifier(channel)] }
  }

  var all: [Connection] { state.withLock { Array($0.open.values) } }
}
